"""The pages on following and storage: every example runs, and says what is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from instrument import configure, flush, track_query, track_tool
from instrument.config import DEFAULTS
from instrument.records import Record
from instrument.rows import columns
from instrument.rows.decoding import DEEPEST

DOCS = Path(__file__).parents[2] / "docs"
FOLLOWING, STORAGE = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("following", "storage"))
EXAMPLES = re.findall(r"```python\n(.*?)```", FOLLOWING, re.DOTALL)


@track_tool
def look_up(text: str) -> str:
    return text


@track_query(agent="simple")
def answer(text: str) -> str:
    return look_up(text)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_runs_as_it_stands_and_gives_each_record_once(code: str, tmp_path: Path) -> None:
    configure(directory=tmp_path / "monitoring")
    answer("unpaid bills")
    look_up("outside")
    flush()
    shown = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        shown.append(done.stdout)
    if "print(type" in code:
        assert [line.split()[0] for line in shown[0].splitlines()] == ["QueryRecord", "CallRecord"]
    elif "cursor.json" in code:
        assert shown == ["2 new records\n", ""]
    else:
        assert shown == ["2 records since the last time\n", "0 records since the last time\n"]


def test_the_pages_name_every_record_the_columns_and_the_settings() -> None:
    for kind in Record.__args__:  # type: ignore[attr-defined]
        assert f"`{kind.__name__}`" in FOLLOWING
    assert f"`{columns.SEGMENT}`, and `{columns.PLACE}`" in STORAGE
    assert f"`cursor_days` ({DEFAULTS.cursor_days})" in FOLLOWING
    assert f"`retention_days` ({DEFAULTS.retention_days})" in STORAGE
    assert f"more than {DEEPEST} levels" in STORAGE
