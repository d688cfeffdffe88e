"""The server itself: a socket, uvicorn on it, and the jobs beside it, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from instrument.errors import UsageError
from instrument_cli.web import background
from instrument_cli.web.application import application

if TYPE_CHECKING:
    from instrument_cli.web.site import Site

BACKLOG = 128


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises UsageError when that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        raise UsageError(
            f"cannot serve on {host} port {port}: {error.strerror or error}; pass another --port"
        ) from None
    server.set_inheritable(False)
    return server


def serve(site: Site, listener: socket.socket) -> None:
    """Answer on that socket until the process is told to stop; the jobs run beside it and end with it."""
    host, port = listener.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C stops)", file=sys.stderr, flush=True)
    settings = uvicorn.Config(
        application(site),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    with background.running(site):
        _Server(settings).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which ends the process with 0 at a signal; uvicorn's own raises the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
