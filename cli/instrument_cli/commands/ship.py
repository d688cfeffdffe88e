"""`metrics ship`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings

if TYPE_CHECKING:
    from instrument.config import Config


def ship(
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help="otlp, clickhouse, or a lake: s3://…, file://….")],
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="The target's address, where --to is its name.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until stopped.")] = False,
    signals: Annotated[
        str | None, typer.Option("--signals", metavar="LIST", help="OTLP: traces (the default), metrics, logs.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="OTLP: only records from this time on: -7d, 2026-11-20."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="ClickHouse: replicated tables on this cluster.")
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option("--keep-days", metavar="N", min=1, help="ClickHouse, a lake: remove days older than this there."),
    ] = None,
    as_delta: Annotated[bool, typer.Option("--delta", help="A lake: make it a Delta table, too.")] = False,
    directory: options.Directory = None,
) -> None:
    """Ship records to other systems, each once. What is not shipped yet waits in the store.

    \b
    Example: metrics ship --to otlp http://localhost:4318 --follow
             metrics ship --to clickhouse http://metrics@localhost:8123/agents
             metrics ship --to s3://bucket/agents
    """
    from instrument.exporters.shipping import Order
    from instrument.exporters.shipping import ship as ship_to
    from instrument_cli.rendering.notes import show_lines, warn

    config = settings(directory)
    given = {
        "delta": "yes" if as_delta else None,
        "cluster": cluster,
        "keep_days": keep_days and str(keep_days),
        "signals": signals,
        "since": since and _microseconds(config, since),
    }
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT) if follow else ():
        signal.signal(number, lambda *_: stop.set())
    options_given = {name: value for name, value in given.items() if value}
    show_lines(ship_to(to, Order(Path(config.directory), address or "", follow, stop, warn, options_given)))


def _microseconds(config: Config, since: str) -> str:
    """A time as the command line has it, in µs since 1970."""
    from instrument_cli.commands.reading import Span, asked_period

    begin = asked_period(config, Span(since=since)).since
    return "" if begin is None else str(round(begin.timestamp() * 1_000_000))
