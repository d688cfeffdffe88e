"""`metrics anomalies`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone
from instrument_cli.commands.trends import WEEKS_4


def anomalies(
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Stretches of each agent, model, … or value of an attribute."),
    ] = None,
    budget: Annotated[
        float, typer.Option(metavar="N", help="Stretches, and single queries, that chance may show a week.")
    ] = 1.0,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Stretches, and single queries, to show.")] = 10,
    hours: options.FourWeeks = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Find what was unusual. Stretches of too many, few, failing or slow queries, and single queries, with reasons.

    \b
    Example: metrics anomalies
             metrics anomalies --by agent --budget 0.25
             metrics anomalies --where tenant=north --format json
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=WEEKS_4)
    with opened(config, source, period) as store:
        found = store.anomalies(by=by, budget=budget, where=where or (), limit=None if chosen == "json" else top)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.anomalies import draw_anomalies
    from instrument_cli.rendering.page import current_page, show

    page = current_page(shown_zone(config, span, period), source)
    return show(draw_anomalies(found, page, top), page)
