"""ClickHouse in a process of its own, which tests kill and start again, and shippers to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from instrument.store.clickhouse.client import Client

FRONT = Path(__file__).with_name("clickhouse_front.py")
SHIP = (
    "import sys; from instrument.exporters.clickhouse.shipping import ship;"
    " ship(sys.argv[1], sys.argv[2], follow=True, say=lambda line: print(line, flush=True))"
)


class Server:
    """The engine behind its HTTP front; it keeps its folder and its port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/default"

    @property
    def source(self) -> str:
        """The same address, to read from."""
        return self.address.replace("http:", "clickhouse:")

    def start(self, *faults: str) -> Server:
        command = [sys.executable, str(FRONT), str(self.folder), str(self.port), *faults]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready"), line
        self.port = int(line.split()[1])
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def count(self, expression: str = "count()", table: str = "queries") -> int:
        client = Client(self.address)
        try:
            return int(client.rows(f"SELECT {expression} AS n FROM {table}")[0]["n"])
        finally:
            client.close()


def follow(store: Path, server: Server) -> subprocess.Popen[bytes]:
    """A process that ships what comes until it is killed."""
    return subprocess.Popen([sys.executable, "-c", SHIP, str(store), server.address], stdout=subprocess.DEVNULL)
