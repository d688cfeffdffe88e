"""The page on insight: every example runs on a store of four weeks, every figure it names is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instrument.analysis.series import figure_names

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("analysis", "store")]
import weeks  # noqa: E402

PAGE = (ROOT / "docs" / "insight.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHOWN = re.findall(r"^\$ (metrics .+)$", PAGE, re.MULTILINE)


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("insight")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    weeks.store(folder / "monitoring", weeks.Plan(rate=8, slower_day=20, start=today - timedelta(days=28)))
    assert run(sys.executable, "-m", "instrument_cli", "predict", "--renew", folder=folder).returncode == 0
    return folder


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_shown_does_what_it_says(line: str, store: Path) -> None:
    done = run("sh", "-c", line.replace("metrics ", f'"{sys.executable}" -m instrument_cli ', 1), folder=store)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_every_python_example_runs_as_it_stands(code: str, store: Path) -> None:
    done = run(sys.executable, "-c", code, folder=store)
    assert done.returncode == 0, done.stderr


def test_the_page_names_every_figure() -> None:
    assert SHOWN
    assert PYTHON
    assert set(figure_names()) <= set(re.findall(r"`(\w+)`", PAGE))
