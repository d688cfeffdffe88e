"""Type checkers see the decorated function's own signature, and refuse what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED = HERE / "accepted.py"
REJECTED = HERE / "rejected.py.txt"  # no .py, so that no other run of a checker meets it


Complaints = Callable[[Path], set[int]]


def complaints_of_mypy(path: Path) -> set[int]:
    """The lines that mypy --strict objects to."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--cache-dir",
            "mypy",
            "--config-file=",
            str(path),
        ],
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return lines(path, re.findall(r"^(.+?):(\d+): error:", run.stdout, re.MULTILINE))


def complaints_of_pyright(path: Path) -> set[int]:
    """The lines that pyright objects to."""
    settings = Path.cwd() / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(path)], "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}))
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--project", str(settings), "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = json.loads(run.stdout)["generalDiagnostics"]
    errors = [one for one in found if one["severity"] == "error"]
    return lines(path, [(one["file"], one["range"]["start"]["line"] + 1) for one in errors])


def lines(path: Path, found: list[tuple[str, int]]) -> set[int]:
    elsewhere = [place for place in found if not Path(place[0]).resolve().samefile(path)]
    assert elsewhere == []
    return {int(line) for _, line in found}


CHECKERS = [complaints_of_mypy, complaints_of_pyright]


@pytest.mark.parametrize("complaints", CHECKERS)
def test_the_signatures_of_decorated_functions_are_understood(complaints: Complaints) -> None:
    assert complaints(ACCEPTED) == set()


@pytest.mark.parametrize("complaints", CHECKERS)
def test_wrong_use_is_refused_line_by_line(complaints: Complaints) -> None:
    text = REJECTED.read_text("utf-8")
    wrong = Path.cwd() / "rejected.py"
    wrong.write_text(text, "utf-8")
    expected = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")}
    assert len(expected) > 10
    assert complaints(wrong) == expected
