"""The pages on reading and on the command: every example runs, every column and command is there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from instrument_cli.app import COMMANDS

from instrument.analysis.filters import FIELDS
from instrument.store.public_tables import TABLES

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("reading", "commands")}
PYTHON = re.findall(r"```python\n(.*?)```", PAGES["reading"], re.DOTALL)
SHOWN = [
    line.removeprefix("$ ")
    for page in PAGES.values()
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
RECORDING = """
from instrument import track_query, track_tool

class Agent:
    @track_query(agent="simple")
    def answer(self, user_input): return self.find_customers("India")
    @track_tool
    def find_customers(self, country): return ["Asha"]

Agent().answer("unpaid bills in India")
track_query(agent="crewai")(lambda text: text)("the other agent's question")
"""


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    environ["MPLBACKEND"] = "Agg"
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two agents were recorded."""
    folder = tmp_path_factory.mktemp("docs")
    done = run(sys.executable, "-c", RECORDING, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    run(
        sys.executable, "-m", "instrument_cli", "export", "--format", "store", "-o", "everything.parquet", folder=folder
    )
    return folder


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_every_python_example_runs_as_it_stands(code: str, store: Path) -> None:
    missing = [name for name in ("pandas", "matplotlib") if name in code and not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    done = run(sys.executable, "-c", code, folder=store)
    assert done.returncode == 0, done.stderr
    if "savefig" in code:
        assert (store / "durations.png").stat().st_size > 1000
        assert len([line for line in code.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_shown_does_what_it_says(line: str, store: Path) -> None:
    shell = line.replace("metrics ", f'"{sys.executable}" -m instrument_cli ', 1)
    if line == "metrics sql":
        shell = shell.strip()
    done = run("sh", "-c", shell, folder=store)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_lists_exactly_the_columns_there_are() -> None:
    for table, columns in TABLES.items():
        section = re.search(rf"^### `{table}`\n(.*?)(?=^### |\Z)", PAGES["reading"], re.DOTALL | re.MULTILINE)
        assert section is not None
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section[1], re.MULTILINE)
        assert rows == [(column.name, column.type, column.meaning) for column in columns]


def test_the_page_names_every_filter() -> None:
    named = set(re.findall(r"`(\w+)`", PAGES["reading"]))
    assert set(FIELDS) <= named


def test_what_reads_is_explained() -> None:
    for name in (
        "report",
        "stats",
        "queries",
        "show",
        "sql",
        "export",
        "import",
        "config",
        "doctor",
        "compact",
        "forget",
    ):
        assert name in COMMANDS
        assert f"metrics {name}" in PAGES["commands"]
