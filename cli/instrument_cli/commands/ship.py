"""`metrics ship`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings


def ship(
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help="clickhouse, or a lake: s3://…, gs://…, file://….")],
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="The target's address, where --to is its name.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until stopped.")] = False,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="ClickHouse: replicated tables on this cluster.")
    ] = None,
    directory: options.Directory = None,
) -> None:
    """Ship records to other systems, each once. What is not shipped yet waits in the store.

    \b
    Example: metrics ship --to clickhouse http://metrics@localhost:8123/agents
             metrics ship --to clickhouse http://metrics@localhost:8123/agents --follow
             metrics ship --to s3://bucket/agents
    """
    from instrument.exporters.shipping import Order
    from instrument.exporters.shipping import ship as ship_to
    from instrument_cli.rendering.notes import show_lines, warn

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT) if follow else ():
        signal.signal(number, lambda *_: stop.set())
    given = {"cluster": cluster} if cluster else {}
    show_lines(ship_to(to, Order(Path(settings(directory).directory), address or "", follow, stop, warn, given)))
