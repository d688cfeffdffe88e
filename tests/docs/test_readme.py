"""The README's promises, executed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import instrument

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ metrics")
]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first example was run."""
    folder = tmp_path_factory.mktemp("readme")
    done = run(sys.executable, "-W", "error", "-c", PYTHON[0], folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_every_python_example_runs_as_it_stands(code: str, store: Path) -> None:
    done = run(sys.executable, "-W", "error", "-c", code, folder=store)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_example_has_twelve_lines_and_yields_a_report(store: Path) -> None:
    assert len([line for line in PYTHON[0].splitlines() if line]) <= 12
    done = run(sys.executable, "-m", "instrument_cli", "report", folder=store)
    assert done.returncode == 0
    assert "find_customers" in done.stdout
    assert "simple" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shown_does_what_it_says_without_an_error(command: str, store: Path) -> None:
    words = shlex.split(command)
    if words[1] == "import":
        run(sys.executable, "-m", "instrument_cli", "export", "--output", words[2], folder=store)
    done = run(sys.executable, "-m", "instrument_cli", *words[1:], folder=store)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_the_report_shown_is_one_that_is_drawn() -> None:
    drawn = (ROOT / "tests" / "cli" / "report_80.txt").read_text("utf-8")
    assert f"```text\n{drawn.rstrip()}\n```" in README


def test_every_public_name_is_explained() -> None:
    missing = [name for name in instrument.__all__ if not name.startswith("__") and name not in README + PAGES]
    assert missing == []


def test_every_command_is_explained() -> None:
    listed = run(sys.executable, "-m", "instrument_cli", "--help", folder=ROOT).stdout
    names = re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)
    assert len(names) >= 10
    assert [name for name in names if f"metrics {name}" not in README + PAGES] == []


def test_there_are_exactly_two_set_up_commands() -> None:
    assert re.findall(r"<!-- command: (\w+) -->", README) == ["demo", "test"]
