"""`metrics stats`."""

from __future__ import annotations

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, last, settings


def stats(hours: options.Hours = 24, format: options.ShownFormat = "text", directory: options.Directory = None) -> None:
    """Show everything in detail: per agent, per tool, per operation, per hour.

    \b
    Example: metrics stats --hours 48
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    period = last(hours, config.max_report_hours)
    from instrument.analysis.stats import stats as analysed
    from instrument.store.reading import open_store

    with open_store(config.directory, since=period.start, until=period.end) as tables:
        found = analysed(
            tables,
            hours=period.hours,
            start=period.start,
            end=period.end,
            generated_at=period.end,
            slow_ms=config.slow_query_threshold_ms,
            very_slow_ms=config.very_slow_query_threshold_ms,
        )
    if chosen == "json":
        from instrument_cli.rendering.machine import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.report import Limits
    from instrument_cli.rendering.stats import draw_stats

    page = current_page()
    return show(draw_stats(found, Limits.of(config), page), page)
