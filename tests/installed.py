"""Try an installed wheel in an environment that has nothing else: `python tests/installed.py ENVIRONMENT`.

Not collected by pytest: it is the last step of `.ci/run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
import sys
from instrument import query_span, track_query, track_tool
assert {name.partition(".")[0] for name in sys.modules} & {"wrapt", "typer", "rich", "duckdb"} == set()

@track_tool
def look_up(name: str) -> str:
    return name.upper()

@track_query(agent="simple")
def answer(user_input: str) -> str:
    return look_up(user_input)

with query_span("around", agent="crewai"):
    assert answer("hello") == "HELLO"
"""

APPLICATION = """
import sys
from instrument.integrations import installed
print(*installed(), *sys.argv[1:])
"""


def run(*command: str | Path, folder: str) -> str:
    """Run a command in a folder and give what it printed."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main(environment: str) -> None:
    """Record with the package, report with the command, and look for what does not belong into a wheel."""
    programs = Path(environment).resolve() / "bin"
    with tempfile.TemporaryDirectory() as folder:
        run(programs / "python", "-c", PROGRAM, folder=folder)
        report = json.loads(run(programs / "metrics", "report", "--format", "json", folder=folder))["report"]
        assert report["queries"]["total"] == 1, report["queries"]
        assert report["tools"] == {"look_up": report["tools"]["look_up"]}, report["tools"]
        assert "crewai" in run(programs / "python", "-m", "instrument_cli", "stats", folder=folder)
        (Path(folder) / "app.py").write_text(APPLICATION)
        assert run(programs / "metrics", "run", "app.py", "--help", folder=folder) == "threads --help\n"
        assert not _has(programs, "cli", folder), "the wheel installs a generic package"
    print("the installed wheel records and reports")


def _has(programs: Path, module: str, folder: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([str(programs / "python"), "-c", code], cwd=folder, check=False).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1])
