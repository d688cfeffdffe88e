"""`metrics forecast`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone

WEEKS_8 = 56 * 24.0


def forecast(
    figure: Annotated[
        str, typer.Argument(metavar="FIGURE", help="What to forecast: queries, p95, tokens, cost, metric:NAME …")
    ] = "queries",
    days: Annotated[int, typer.Option(metavar="N", help="How many whole days.")] = 7,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Each of the largest agents, models, … or of an attribute."),
    ] = None,
    hours: options.EightWeeks = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Forecast a figure's next days. A mean and a 95 % interval for each, tried on your own past.

    \b
    Example: metrics forecast
             metrics forecast cost --days 14 --by agent
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=WEEKS_8)
    with opened(config, source, period) as store:
        found = store.forecast(figure, days=days, by=by, where=where or ())
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.forecast import draw_forecast
    from instrument_cli.rendering.page import current_page, show

    page = current_page(shown_zone(config, span, period), source)
    return show(draw_forecast(found, page), page)
