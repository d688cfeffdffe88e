"""`metrics stats`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, last, settings


def stats(
    hours: options.Hours = 24,
    format: options.ShownFormat = "text",
    directory: options.Directory = None,
) -> None:
    """Show everything in detail: per agent, per tool, per operation, per hour.

    \b
    Example: metrics stats --hours 48
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    period = last(hours, config.max_report_hours)
    from instrument.analysis import stats as analysis
    from instrument.store.reading import open_store
    from instrument_cli.rendering import stats as drawing

    with open_store(config.directory, since=period.start, until=period.end) as tables:
        found = analysis.stats(tables, **figures_of(period), limits)
