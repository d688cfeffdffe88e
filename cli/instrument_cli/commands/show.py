"""`metrics show`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import completion, options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone


def show(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The query's id, or the beginning of it.", autocompletion=completion.query_ids
        ),
    ],
    tz: options.TimeZone = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Show one query whole. Its input, its outcome, its calls on a time axis.

    \b
    Example: metrics show 019a1b2c-3d4e
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    span = Span(time_zone=tz)
    period = asked_period(config, span)
    with opened(config, source, period) as store:
        found = store.query(id)
        unusual = None if chosen == "json" else store.unusual(found.query_id)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument.analysis.results import Limits
    from instrument_cli.rendering.page import current_page
    from instrument_cli.rendering.page import show as shown
    from instrument_cli.rendering.query import draw_query

    page = current_page(shown_zone(config, span, period), source)
    return shown(draw_query(found, Limits.of(config), page, unusual), page)
