"""`metrics queries`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, settings, since


def queries(
    failed: Annotated[bool, typer.Option("--failed", help="Only queries that failed.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Only those above slow_query_threshold_ms.")] = False,
    agent: options.Agent = None,
    contains: Annotated[str | None, typer.Option(metavar="TEXT", help="Only inputs that hold this text.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most N of them, the newest first.")] = 20,
    hours: options.AnyHours = None,
    format: options.ShownFormat = "text",
    directory: options.Directory = None,
) -> None:
    """List single queries, the newest first: which one was it?

    \b
    Example: metrics queries --failed --limit 5
             metrics queries --contains "unpaid bills"
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    start = since(hours)
    from instrument.analysis import search
    from instrument.store.reading import open_store
    from instrument_cli.rendering import queries as drawing

    slower_than = config.slow_query_threshold_ms if slow else None
    with open_store(config.directory, since=start) as tables:
        found = search.find(
            tables, failed=failed, slow_ms=slower_than, agent=agent, contains=contains, limit=limit
        )
    drawing.show_queries(found, chosen, config)
