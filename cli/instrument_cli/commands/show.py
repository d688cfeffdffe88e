"""`metrics show`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings


def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="The query's id, or the beginning of it.")],
    format: options.ShownFormat = "text",
    directory: options.Directory = None,
) -> None:
    """Show one query whole. Its input, its outcome, its calls on a time axis.

    \b
    Example: metrics show 019a1b2c-3d4e
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    from instrument.analysis.results import Limits
    from instrument.analysis.search import one
    from instrument.store.tables import open_store

    with open_store(config.directory) as tables:
        found = one(tables, id)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page
    from instrument_cli.rendering.page import show as shown
    from instrument_cli.rendering.query import draw_query

    page = current_page()
    return shown(draw_query(found, Limits.of(config), page), page)
