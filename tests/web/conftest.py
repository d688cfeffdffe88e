from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import needs
from tests.web import states
from tests.web.browsing import ARGUMENTS, Browser

for _folder in ("store", "exporters"):
    sys.path.append(str(Path(__file__).parents[1] / _folder))


@dataclass
class Server:
    """A running `metrics serve`, and where it answers."""

    process: subprocess.Popen[str]
    address: str

    def get(self, path: str, **headers: str) -> str:
        request = urllib.request.Request(self.address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(10)


def _started(directory: Path | str, place: Path, *options: str, **environment: str) -> Server:
    """Start `metrics serve` on a free port over a store or an address, in a folder of its own."""
    command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", str(directory), *options]
    process = subprocess.Popen(command, cwd=place, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("http://"), line + process.stderr.read()
    return Server(process, line.split()[0].rstrip("/"))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `metrics serve` over a store; it is ended with the test."""
    servers: list[Server] = []

    def start(directory: Path | str, *options: str, **environment: str) -> Server:
        servers.append(_started(directory, tmp_path, *options, **environment))
        return servers[-1]

    yield start
    _end(servers)


@pytest.fixture(scope="module")
def serve_long() -> Iterator[Callable[[Path | str, Path], Server]]:
    """Start `metrics serve` over a store, in a folder, for all tests of a module that only look."""
    servers: list[Server] = []

    def start(directory: Path | str, place: Path) -> Server:
        servers.append(_started(directory, place, **_without_settings()))
        return servers[-1]

    yield start
    _end(servers)


def _without_settings() -> dict[str, str]:
    return {name: "" for name in os.environ if name.startswith("INSTRUMENT_")}


class State(NamedTuple):
    """A store in one of the states of `states.STATES`, its server, and each page's address there."""

    store: Path
    server: Server
    addresses: dict[str, str]

    def read(self, page: str) -> str:
        """The page of that name, as text."""
        return self.server.get(self.addresses[page].removeprefix(self.server.address))


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], State]]:
    """The stores that are only looked at: each is made once for all processes of a run, and served once by each."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    servers: list[Server] = []

    @cache
    def of(name: str) -> State:
        folder = shared / f"state-{name}"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not (folder / "made").exists():
                query_id = states.STATES[name](folder / "monitoring")
                if name == "week":
                    (folder / "instrument.toml").write_text(states.RULES)
                (folder / "made").write_text(query_id)
        query_id = (folder / "made").read_text()
        server = _started(folder / "monitoring", folder, **_without_settings())
        servers.append(server)
        return State(
            folder / "monitoring",
            server,
            {page: server.address + path for page, path in states.addresses(query_id).items()},
        )

    yield of
    _end(servers)


def _end(servers: list[Server]) -> None:
    for process in (server.process for server in servers):
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module, no longer: while it lives, an event loop runs in this thread."""
    [path] = needs("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield Browser(chromium)
        chromium.close()
