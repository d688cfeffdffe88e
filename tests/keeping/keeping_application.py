"""Applications as processes of their own, and what they left in their store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

PRELUDE = """
import os, signal, sys, threading, time
from pathlib import Path
import instrument
from instrument import configure, flush, query_span, record_selection, shutdown, tool_span, track_query, track_tool

@track_query(agent="a")
def ask(text):
    return text

@track_tool
def look(text):
    return text

def held():
    return sorted(path for path in Path("monitoring").glob("*/*.jsonl"))
"""

PATIENCE = 60
"""Seconds after which a process that should have ended counts as hanging."""


class Application:
    """A program in `folder`, whose store is the default one: `monitoring` there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "monitoring"

    def start(self, *code: str, **environment: str) -> subprocess.Popen[str]:
        """Start the program and leave it to the test to wait for it."""
        path = self.folder / "program.py"
        path.write_text("\n".join([PRELUDE, *map(textwrap.dedent, code)]))
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", path],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_alone(self, code: str) -> None:
        """Run a program that makes its own imports, to its end."""
        path = self.folder / "alone.py"
        path.write_text(textwrap.dedent(code))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, path], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert (done.returncode, done.stderr) == (0, "")

    def run(self, *code: str, status: int = 0, **environment: str) -> tuple[str, str]:
        """Run the program to its end and return what it printed, to both."""
        process = self.start(*code, **environment)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(6)  # faulthandler then says where it hangs
            raise AssertionError(f"it hangs: {process.communicate()[1]}") from None
        assert process.returncode == status, err
        return out, err

    def lines(self, store: Path | None = None) -> list[dict[str, Any]]:
        """Every line of a store; each must be whole."""
        found = []
        for path in sorted((store or self.store).glob("*/*.jsonl")):
            content = path.read_bytes()
            assert content.endswith(b"\n") or not content, f"{path} ends in a torn line"
            found += [json.loads(line) for line in content.splitlines()]
        return found

    def queries(self, store: Path | None = None) -> list[dict[str, Any]]:
        """Every query of a store."""
        return [line for line in self.lines(store) if "type" not in line]

    def texts(self, store: Path | None = None) -> list[str]:
        """Every query's input, sorted: what was asked, each as often as it was written."""
        return sorted(line["q"] for line in self.queries(store))

    def health(self, part: str) -> dict[str, int]:
        """What all health lines together say was `dropped`, or which `problems` there were."""
        total: dict[str, int] = {}
        for line in self.lines():
            for reason, count in line.get(part, {}).items() if line.get("type") == "health" else ():
                total[reason] = total.get(reason, 0) + count
        return total
