"""`metrics serve`."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings

ANY = frozenset({"0.0.0.0", "::"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; loopback unless told otherwise.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Listen on this port; 0 takes a free one.")
    ] = 8321,
    token: Annotated[
        str | None,
        typer.Option(metavar="TEXT", envvar="METRICS_TOKEN", help="What a reader must show; needed beyond loopback."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer to this name in the Host header, too; may be repeated."),
    ] = None,
    source: options.Source = None,
) -> None:
    """Serve the dashboard, /metrics for Prometheus and /api/ over the store, beside any number of applications.

    \b
    Example: metrics serve
             metrics serve --port 9000 --from /var/lib/agents/monitoring
             metrics serve --host 0.0.0.0 --token "$TOKEN" --allow-host metrics.example.com
    """
    if host not in LOOPBACK and not token:
        raise UsageError(f"--host {host} is open to other machines; pass --token TEXT, which readers must show")
    try:
        from instrument_cli.web import serving
        from instrument_cli.web.site import Site
    except ModuleNotFoundError as error:
        raise UsageError(f"metrics serve needs {error.name}: pip install 'agent-instrument[serve]'") from None
    config = settings(source)
    listener = serving.listening(host, port)
    number = listener.getsockname()[1]
    names = LOOPBACK | {host, *(allow_host or ())} | ({socket.gethostname()} if host in ANY else set())
    chosen = source if source and "://" in source else config.directory
    serving.serve(Site(chosen, config, _host_headers(names, number), token), listener)


def _host_headers(names: frozenset[str], port: int) -> frozenset[str]:
    """How a reader may write these names in a Host header; an IPv6 address stands in brackets."""
    written = [f"[{name}]" if name.count(":") > 1 else name for name in names]
    return frozenset((*written, *(f"{name}:{port}" for name in written)))
