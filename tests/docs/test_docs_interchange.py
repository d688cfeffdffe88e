"""The page on import and export: its commands run, its columns and formats are those that there are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from instrument_cli.commands import options
from test_docs_reading import RECORDING, run

from instrument.interchange import metrics_csv

PAGE = (Path(__file__).parents[2] / "docs" / "import-and-export.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interchange")
    done = run(sys.executable, "-c", RECORDING, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_the_page_s_commands_and_code_run_as_they_stand(folder: Path) -> None:
    for block in re.findall(r"```(?:console|python)\n(.*?)```", PAGE, re.DOTALL):
        if not block.startswith("$ "):
            done = run(sys.executable, "-c", block, folder=folder)
            assert (done.returncode, done.stderr) == (0, "")
            assert "find_customers" in done.stdout
            continue
        shown: list[str] = []
        for line in block.splitlines():
            if line.startswith("$ metrics "):
                command = f'"{sys.executable}" -m instrument_cli {line.removeprefix("$ metrics ")}'
                done = run("sh", "-c", command, folder=folder)
                assert (done.returncode, done.stderr) == (0, "")
                shown += done.stdout.splitlines()
            else:
                assert line in shown


def test_the_page_has_every_format_and_every_column_of_csv() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(options.EXPORT_FORMATS) <= named
    assert set(metrics_csv.ALL_FIELDS) <= named
