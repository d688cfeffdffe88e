"""How many instructions recording takes a query: `python -m benchmarks instructions`. It needs valgrind or perf.

A count does not depend on the machine's speed, on its caches or on who else is at work. It is taken in fresh processes,
undecorated and recorded, at two numbers of queries each; the difference of the differences is that of a query, with the
start of the process left out. The writer's encoding and writing are in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.processes import ROOT, environment
from benchmarks.progress import say
from benchmarks.results import Section, Table, number

FEW, MANY = 100, 400
"""Queries of the two runs. The first ones, in which the interpreter adapts its code, are in both."""

_RUN = """
import asyncio, gc, sys, tempfile
import instrument
from benchmarks.ours import recorded
from benchmarks.subject import fresh_call, undecorated
kit, kind, queries = sys.argv[1], sys.argv[2], int(sys.argv[3])
gc.disable()
with tempfile.TemporaryDirectory() as folder:
    instrument.configure(directory=folder, flush_interval_ms=60_000)
    call = fresh_call(recorded() if kit == "recorded" else undecorated(), asynchronous=kind == "async")
    async def several():
        for _ in range(queries):
            await call()
    if kind == "async":
        asyncio.run(several())
    else:
        for _ in range(queries):
            call()
    instrument.flush()
    instrument.shutdown()
"""

Count = Callable[[list[str]], int]
"""Runs a command and gives how many instructions it took."""


def run(short: bool = False) -> Section:
    """Count, where something counts here; else say what is missing."""
    counter = _counter()
    if counter is None:
        note = "Nothing here counts instructions: install valgrind, or run where `perf stat -e instructions:u` works."
        return Section("instructions", [Table("Instructions a query", ("", ""), [("not counted", "–")], (note,))])
    name, count = counter
    found = {kind: a_query(kind, count) for kind in ("sync", "async")}
    rows = [(kind, *(number(each, 4) for each in one)) for kind, one in found.items()]
    return Section(
        "instructions",
        [
            Table(
                f"Instructions a query, as {name} counts them",
                ("", "undecorated", "recorded", "recording"),
                rows,
                ("A query does nothing itself; recording includes encoding and writing its record.",),
            )
        ],
        figures={"counter": name, **{kind: one[2] for kind, one in found.items()}},
    )


def a_query(kind: str, count: Count) -> tuple[float, float, float]:
    """Instructions of a query undecorated, recorded, and the difference."""
    plain, recorded = (_slope(kit, kind, count) for kit in ("undecorated", "recorded"))
    return plain, recorded, recorded - plain


def _slope(kit: str, kind: str, count: Count) -> float:
    say(f"instructions: {kit}, {kind}")
    few, many = (count([sys.executable, "-c", _RUN, kit, kind, str(queries)]) for queries in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _counter() -> tuple[str, Count] | None:
    """What counts instructions here, by name: perf where the processor does, else valgrind, else None."""
    for name, count in (("perf", _by_perf), ("callgrind", _by_callgrind)):
        tool = shutil.which("valgrind" if name == "callgrind" else name)
        if tool is None:
            continue
        try:
            count(tool, ["true"])
        except (ValueError, OSError, subprocess.CalledProcessError):
            continue
        return name, partial(count, tool)
    return None


def _by_perf(tool: str, command: list[str]) -> int:
    told = _told([tool, "stat", "-x", ",", "-e", "instructions:u", *command])
    return int(told.strip().splitlines()[-1].partition(",")[0])  # "<not supported>" is no number


def _by_callgrind(tool: str, command: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        told = _told([tool, "--tool=callgrind", f"--callgrind-out-file={Path(folder, 'out')}", *command])
    found = re.search(r"Collected : (\d+)", told)
    if found is None:
        raise ValueError("callgrind has counted nothing")
    return int(found[1])


def _told(command: list[str]) -> str:
    variables = {**os.environ, **environment(), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables, check=True).stderr
