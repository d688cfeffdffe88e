"""The pages on configuration and processes: they name every setting, and their examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from instrument.config import Config, resolve

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in (DOCS / "configuration.md", DOCS / "processes.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
]


def test_the_page_of_settings_names_each_with_its_variable_and_its_default() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    rows = {cells[1].strip(" `"): cells for line in text.splitlines() if len(cells := line.split("|")) == 6}
    for name in Config.__struct_fields__:
        _, _, variable, default, _, _ = rows[name]
        assert variable.strip() == f"`INSTRUMENT_{name.upper()}`"
        value = getattr(Config(), name)
        shown = ",".join(value) if isinstance(value, tuple) else str(value)
        if shown and value is not None and name not in ("metrics_file", "csv_file"):
            assert default.strip(" `").lower() == shown.lower(), name
    assert set(rows) - {"setting", "---"} == set(Config.__struct_fields__)


def test_the_settings_file_and_the_variables_shown_are_right(tmp_path: Path) -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    [toml] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "instrument.toml").write_text(toml)
    assert resolve({}, {}, tmp_path).config.formats == ("json", "csv")
    variables = dict(re.findall(r"export (INSTRUMENT_\w+)=(\S+)", text))
    assert resolve({}, variables, None).config.sample_rate == 0.2


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_python_example_runs_as_it_stands(code: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
