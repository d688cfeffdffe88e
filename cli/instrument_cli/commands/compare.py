"""`metrics compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone


def compare(
    hours: options.DayHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="PERIOD",
            show_default="previous",
            help="With which period: previous, -7d, or SINCE..UNTIL.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Compare two values of this attribute or field instead.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None, typer.Option("--between", metavar="A B", help="The two values of --by.")
    ] = None,
    where: options.Where = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Compare two periods, or two values of an attribute. What really changed, and what is noise.

    \b
    Example: metrics compare --hours 24 --against -7d
             metrics compare --since today --against yesterday..today
             metrics compare --hours 72 --by version --between 1.4 1.5
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=24, most=config.longest_report_hours)
    with opened(config, source, period) as store:
        found = store.compare(against, by=by, between=between, where=where or ())
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.compare import draw_comparison
    from instrument_cli.rendering.page import current_page, show

    page = current_page(shown_zone(config, span, period), source)
    return show(draw_comparison(found, page), page)
