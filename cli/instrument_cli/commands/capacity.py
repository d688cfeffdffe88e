"""`metrics capacity`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.forecast import WEEKS_8
from instrument_cli.commands.reading import Span, asked_period, opened


def capacity(
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="How many queries are worked on at the same time.")],
    target_p95: Annotated[
        str, typer.Option("--target-p95", metavar="TIME", help="95 % are to be answered within it, with waiting.")
    ] = "5s",
    hours: options.EightWeeks = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Say how many workers your queries need, now and as they grow, by replaying the last week.

    \b
    Example: metrics capacity --workers 4
             metrics capacity --workers 8 --target-p95 10s --where agent=crewai
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    from instrument.analysis.filters import milliseconds

    target = milliseconds(target_p95)
    if not target:
        raise UsageError(f"--target-p95 {target_p95!r} is no duration; write 500ms, 5s or 2m")
    period = asked_period(config, Span(hours, since, until, tz), default=WEEKS_8)
    with opened(config, source, period) as store:
        found = store.capacity(workers, target_p95=target / 1000, where=where or ())
    if not (where or "://" in (source or "") or any((hours, since, until))):
        from instrument.analysis.notices import keep_capacity
        from instrument.errors import InstrumentError

        with suppress(InstrumentError, OSError):  # a store that may only be read
            keep_capacity(store.directory, found, period.now)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.capacity import draw_capacity
    from instrument_cli.rendering.page import current_page, show

    page = current_page()
    return show(draw_capacity(found, page), page)
