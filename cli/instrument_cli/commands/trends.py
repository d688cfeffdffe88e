"""`metrics trends`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone

WEEKS_4 = 28 * 24.0


def trends(
    figures: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIGURE", help="Only these: queries, p95, failure_rate, cost, metric:NAME …"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Each of the largest agents, models, … or of an attribute."),
    ] = None,
    every: Annotated[str, typer.Option(metavar="LENGTH", help="Length of a bucket: 15m, 1h, 1d.")] = "1h",
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Findings to show.")] = 10,
    hours: options.FourWeeks = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Find what changed, grows or was unusual. The most important first, each with its size, cause and evidence.

    \b
    Example: metrics trends
             metrics trends p95 failure_rate --by agent --since -7d
             metrics trends --where tenant=north --format json
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=WEEKS_4)
    with opened(config, source, period) as store:
        found = store.trends(figures or None, every, by, where or ())
    if not (figures or by or where or "://" in (source or "") or any((hours, since, until))) and every == "1h":
        from instrument.analysis.notices import keep_findings
        from instrument.errors import InstrumentError

        with suppress(InstrumentError, OSError):  # a store that may only be read
            keep_findings(store.directory, found)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.trends import draw_trends

    page = current_page(shown_zone(config, span, period), source)
    return show(draw_trends(found, page, top), page)
