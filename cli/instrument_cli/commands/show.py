"""`metrics show`."""

from __future__ import annotations

import click

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, settings


@click.command()
@click.argument("id", metavar="ID")
@options.format(options.SHOWN_FORMATS)
@options.directory
def show(id: str, format: str, directory: str | None) -> None:
    """Show one query whole. Its input, its outcome, its calls on a time axis; ID is its id, or the beginning of it.

    \b
    Example: metrics show 019a1b2c-3d4e
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    from instrument.analysis.search import one
    from instrument.store.reading import open_store

    with open_store(config.directory) as tables:
        found = one(tables, id)
    if chosen == "json":
        from instrument_cli.rendering.machine import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page
    from instrument_cli.rendering.page import show as shown
    from instrument_cli.rendering.query import draw_query
    from instrument_cli.rendering.report import Limits

    page = current_page()
    return shown(draw_query(found, Limits.of(config), page), page)
