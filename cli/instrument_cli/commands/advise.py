"""`metrics advise`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone
from instrument_cli.commands.trends import WEEKS_4


def advise(
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Pieces of advice to show.")] = 10,
    hours: options.FourWeeks = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    format: options.AdviceFormat = "text",
    source: options.Source = None,
) -> None:
    """Say what would save time or money. Each piece of advice has its saving a week, its evidence and its pitfalls.

    \b
    Example: metrics advise
             metrics advise --where agent=crewai --since -14d
             metrics advise --format markdown > advice.md
    """
    config, chosen = settings(source), checked_format(format, options.ADVICE_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=WEEKS_4)
    with opened(config, source, period) as store:
        found = store.advice(where or ())
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    zone = shown_zone(config, span, period)
    if chosen == "markdown":
        from instrument_cli.rendering.json_output import show_pieces
        from instrument_cli.rendering.markdown import markdown_advice

        return show_pieces([markdown_advice(found, zone, top).encode()])
    from instrument_cli.rendering.advice import draw_advice
    from instrument_cli.rendering.page import current_page, show

    page = current_page(zone, source)
    return show(draw_advice(found, page, top), page)
