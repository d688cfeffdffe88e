from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import needs
from tests.web.browsing import ARGUMENTS, Browser

sys.path.append(str(Path(__file__).parents[1] / "store"))


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


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `metrics serve` on a free port over a store; it is ended with the test."""
    servers: list[subprocess.Popen[str]] = []

    def start(directory: Path, *options: str, **environment: str) -> Server:
        command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", str(directory), *options]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | environment, stderr=subprocess.PIPE, text=True
        )
        servers.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("http://"), line + process.stderr.read()
        return Server(process, line.split()[0].rstrip("/"))

    yield start
    for process in servers:
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
