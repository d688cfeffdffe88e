"""The gallery: each example as a user would run it, from an empty folder, and the report that comes of it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from instrument.integrations import FRAMEWORKS

GALLERY = Path(__file__).with_name("gallery")
EXAMPLES = sorted(GALLERY.glob("*.py"))
PATIENCE = 180


class Ran(NamedTuple):
    """An example's answer, what it said besides, and the report on it: as text, its figures, and its queries."""

    out: str
    err: str
    text: str
    figures: dict[str, dict[str, Any]]
    queries: list[dict[str, Any]]


def process(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def metrics(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return process(folder, "-m", "instrument_cli", *words)


@pytest.fixture(scope="module", params=EXAMPLES, ids=[path.stem for path in EXAMPLES])
def example(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    for name in imported(path.read_text("utf-8")):
        if not installed(name):
            pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def ran(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The example under `metrics run`, or under plain python where it installs its integration itself."""
    folder = tmp_path_factory.mktemp(example.stem)
    shutil.copy(example, folder / "example.py")  # under its own name it would hide the framework that it imports
    installs = re.search(r"\binstall\(", example.read_text("utf-8"))
    done = process(folder, "example.py") if installs else metrics(folder, "run", "example.py")
    shown = json.loads(metrics(folder, "report", "--format", "json").stdout)
    return Ran(done.stdout, done.stderr, metrics(folder, "report").stdout, shown["report"], shown["queries"])


def installed(module: str) -> bool:
    """Whether a module can be imported: `opentelemetry` may be there without `opentelemetry.sdk`."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def imported(source: str) -> set[str]:
    """The modules that a program imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_every_integration_has_an_example_of_its_name() -> None:
    assert {path.stem for path in EXAMPLES} >= set(FRAMEWORKS)


def test_an_example_is_short_and_calls_nothing_that_starts_or_finishes(example: Path) -> None:
    source = example.read_text("utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) <= 60
    source = source.replace("start_as_current_span(", "")  # OpenTelemetry's own, which the application has already
    assert re.findall(r"\b(?:start|finish|begin|end|stop)(?:_\w+)?\(", source) == []


def test_an_example_prints_its_answer_and_nothing_else(ran: Ran) -> None:
    assert len(ran.out.splitlines()) == 1
    assert ran.err == ""


def test_the_report_shows_the_query_and_every_call_of_it(ran: Ran) -> None:
    [query], figures = ran.queries, ran.figures
    assert figures["queries"]["total"] == figures["queries"]["successful"] == 1
    assert query["user_input"]
    for kind, count in (("tools", query["tool_calls"]), ("graphql", query["graphql_queries"])):
        assert sum(entry["calls"] - entry["failed"] for entry in figures[kind].values()) == count
    assert query["tool_calls"] + query["graphql_queries"] + query.get("model_calls", 0) > 0
    for name in (*figures["agents"], *figures["tools"], *figures["graphql"]):
        assert name in ran.text
