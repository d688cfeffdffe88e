"""What recording costs once in a process and not again: the first record, and the writer's start.

Each figure comes from fresh processes. It belongs to no query, so no share has it in it.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.machine import spread
from benchmarks.processes import ROOT, environment
from benchmarks.results import Table, number

_FIRST = """
import json, time
import instrument
from benchmarks.ours import own_store, recorded
from benchmarks.subject import fresh_call
from instrument_cli.overhead import writer_ns
clock = time.thread_time_ns
begin = clock()
call = fresh_call(recorded())
spent = {"decorating six functions": clock() - begin}
with own_store():
    for turn in ("the first query", "the second query"):
        begin = clock()
        call()
        spent[turn] = clock() - begin
    instrument.flush()
    before = 0
    for turn in ("start, store and first flush", "the second flush"):
        spent[f"the writer's thread: {turn}"] = writer_ns() - before
        before = writer_ns()
        call()
        instrument.flush()
print(json.dumps(spent))
"""


def measured(times: int) -> dict[str, dict[str, float]]:
    """What happens once, in µs of CPU: the least and the median of so many fresh processes."""
    runs: list[dict[str, float]] = []
    for _ in range(1 + times):  # the first one compiles
        done = subprocess.run(
            [sys.executable, "-c", _FIRST], capture_output=True, text=True, cwd=ROOT, env=environment(), check=True
        )
        runs.append(json.loads(done.stdout))
    return {name: spread([one[name] / 1e3 for one in runs[1:]]) for name in runs[0]}


def table(found: dict[str, dict[str, float]]) -> Table:
    """The same as a table."""
    rows = [(name, number(one["min"]), number(one["median"])) for name, one in found.items()]
    return Table("What happens once, µs of CPU, in fresh processes", ("", "least", "median"), rows)
