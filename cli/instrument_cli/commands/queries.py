"""`metrics queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings, since

if TYPE_CHECKING:
    from instrument.store.tables import Tables


def queries(
    failed: Annotated[bool, typer.Option("--failed", help="Only queries that failed.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Only those above slow_query_threshold_ms.")] = False,
    agent: options.Agent = None,
    contains: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only with this in the input, error, agent or id.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most N of them, the newest first.")] = 20,
    hours: options.AnyHours = None,
    format: options.ShownFormat = "text",
    directory: options.Directory = None,
) -> None:
    """List single queries, the newest first. From a figure to what is behind it.

    \b
    Example: metrics queries --failed --limit 5
             metrics queries --contains "unpaid bills"
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    start = since(hours)
    slower_than = config.slow_query_threshold_ms if slow else None
    from instrument.analysis.results import Limits
    from instrument.analysis.search import find
    from instrument.store.tables import open_store

    with open_store(config.directory, since=start) as tables:
        found = find(tables, failed=failed, slow_ms=slower_than, agent=agent, contains=contains, limit=limit)
        others = beginning_like(tables, [query.query_id for query in found])
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.queries import draw_queries

    page = current_page()
    return show(draw_queries(found, Limits.of(config), page, others), page)


def beginning_like(tables: Tables, ids: list[str]) -> list[str]:
    """The ids in the tables that begin like one of these, so that a short form can tell them apart."""
    from instrument_cli.rendering.queries import SHORTEST_ID

    statement = f"SELECT query_id FROM queries WHERE list_contains($begin, left(query_id, {SHORTEST_ID}))"
    return (
        [query_id for (query_id,) in tables.rows(statement, {"begin": [each[:SHORTEST_ID] for each in ids]})]
        if ids
        else []
    )
