"""The API as a process of its own, which ends when the demo does, whatever ended the demo.

The child holds the other end of a pipe as its standard input. When the demo is gone, even by SIGKILL, the system closes
the pipe, and the child leaves. It says on standard output which port it listens on, once it answers.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

from instrument.errors import InstrumentError

DEFAULT_PORT = 8642
_HOST = "127.0.0.1"
_START_LIMIT_S = 15.0


class ServerNotStartedError(InstrumentError):
    """The API's process did not come up; the message says why."""


@contextlib.contextmanager
def serving(seed: int, customers: int) -> Iterator[Server]:
    """Start the API over the books of this seed; it has gone when the block is left."""
    server = Server(seed, customers)
    try:
        yield server
    finally:
        server.stop()


class Server:
    """The API's process, as the demo sees it."""

    def __init__(self, seed: int, customers: int) -> None:
        # -P: the working directory, where a user may have a gql.py, is not searched; the demo's own path is.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(seed), str(customers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the demo, which finishes its questions first.
        )

    def url(self) -> str:
        """Wait until the API answers and return its address; raises ServerNotStartedError."""
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        stdout = self._process.stdout
        assert stdout is not None
        threading.Thread(target=lambda: said.put(stdout.readline()), daemon=True).start()
        try:
            port = json.loads(said.get(timeout=_START_LIMIT_S))["port"]
        except queue.Empty:
            raise ServerNotStartedError(f"the demo's API did not answer within {_START_LIMIT_S:.0f} s") from None
        except (ValueError, KeyError, TypeError):
            raise ServerNotStartedError(
                f"the demo's API ended at its start, with code {self._process.wait()}"
            ) from None
        return f"http://{_HOST}:{port}/graphql"

    def stop(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.communicate()


def main(seed: int, customers: int) -> None:
    """Serve until standard input is closed."""
    threading.Thread(target=_leave_with, args=(sys.stdin,), daemon=True).start()
    listener = bound_socket(DEFAULT_PORT)

    import uvicorn

    from instrument_cli.demo.api import application
    from instrument_cli.demo.data import generate

    class AnnouncingServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(json.dumps({"port": listener.getsockname()[1]}), flush=True)

    logging.disable()  # What fails in a resolver fails on purpose, and is told to the client.
    app = application(generate(seed, customers))
    config = uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None)
    AnnouncingServer(config).run([listener])


def bound_socket(port: int) -> socket.socket:
    """Return a socket on loopback, bound to this port or, when it is taken, to a free one."""
    listener = socket.socket()
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        listener = socket.socket()
        listener.bind((_HOST, 0))
    return listener


def _leave_with(pipe: IO[str]) -> None:
    while pipe.read(1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
