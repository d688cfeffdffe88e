from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer, command, environment, failed_query, query, write
from instrument_cli.app import run

from instrument.rows.stored import Row


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("INSTRUMENT_")]:
        monkeypatch.delenv(name)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "METRICS_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in the default place: twelve queries of two agents, one of which failed."""
    directory = tmp_path / "monitoring"
    rows: list[Row] = [query(10 + number, 100 + number, duration=(number + 1) * 100_000_000) for number in range(11)]
    write(directory, [*rows, failed_query()])
    return directory


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """The command, run in this process."""

    def answer(*arguments: str) -> Answer:
        code = run(arguments)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return answer


@pytest.fixture
def process() -> Callable[..., Answer]:
    """The command, run as a process of its own with its output in a pipe."""

    def answer(*arguments: str, **variables: str) -> Answer:
        done = subprocess.run(
            command(*arguments),
            env=environment(**variables),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return answer


@pytest.fixture
def nobody() -> Callable[[], None]:
    """Make this process nobody, so that a mode keeps even root's tests out; the test goes back to itself."""

    def become() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    return become
