"""The pages on recording and on integrations: every example runs, every name and setting of theirs is there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import instrument
from instrument.integrations import FRAMEWORKS
from instrument.rows.live import ModelFacts

ROOT = Path(__file__).parents[2]
RECORDING, INTEGRATIONS = ((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("recording", "integrations"))
EXAMPLES = re.findall(r"```python\n(.*?)```", RECORDING + INTEGRATIONS, re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_runs_as_it_stands(code: str, tmp_path: Path) -> None:
    for name in ("graphql", "openai"):
        if f"import {name}\n" in code and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_integration_is_in_the_table() -> None:
    listed = {name for line in INTEGRATIONS.splitlines() if line.startswith("| `") for name in _names(line)}
    assert listed >= set(FRAMEWORKS)


def _names(line: str) -> list[str]:
    return re.findall(r"`(\w+)`", line.split("|")[1])


def test_every_way_to_record_is_on_the_page() -> None:
    process = {"configure", "flush", "shutdown", "install", "uninstall", "track_entities"}
    names = {name for name in instrument.__all__ if not name.startswith("__")} - process
    assert [name for name in sorted(names) if name not in RECORDING] == []


def test_every_fact_of_a_model_call_is_explained() -> None:
    facts = {"first_chunk_ms" if name == "first_chunk" else name for name in ModelFacts.__struct_fields__}
    assert [name for name in sorted(facts) if f"`{name}`" not in RECORDING] == []
