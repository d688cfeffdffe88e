"""What the parts cost: a root, a call, a context manager, an async call, a chunk; memory; the import."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import repeat
from time import thread_time_ns
from typing import Any

from instrument_cli.overhead import Cost, Slice, cost, take_turns

import instrument
from benchmarks import prices
from benchmarks.machine import spread
from benchmarks.ours import own_store, recorded, switched_off
from benchmarks.peers.environments import interpreter
from benchmarks.processes import ROOT, environment
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Section, Table, limit, measured_again, number
from benchmarks.subject import Kit, fresh_call, undecorated
from instrument import query_span, suppress, tool_span
from instrument.testing import capture

TIMES = 500
"""Operations a slice."""

Operation = Callable[[Kit], Callable[[int], int]]
"""Makes, of a kit, what runs so many operations and gives their CPU time in ns."""


def run(short: bool = False) -> Section:
    """Measure the parts."""
    seconds = 0.5 if short else 2
    with own_store(), asyncio.Runner() as runner:
        costs = {name: measure(make, seconds) for name, make in operations(runner).items()}
        costs["context manager: tool_span"] = span_cost(seconds)
    say("ingredients: prices")
    charged, lock = prices.prices(), prices.lock_prices(2 if short else 12)
    say("ingredients: memory")
    buffered = buffered_bytes()
    grown = measured_again(lambda longer: growth(100_000 if short else 1_000_000), _growth_checks)
    say("ingredients: imports")
    imports = measured_again(lambda longer: import_costs(longer * (5 if short else 11)), _import_checks)
    return Section(
        "ingredients",
        [
            _costs_table(costs),
            prices.prices_table(charged),
            *([prices.lock_table(lock)] if lock else []),
            _memory_table(buffered, grown),
            _import_table(imports),
        ],
        [*_growth_checks(grown), *_import_checks(imports)],
        {
            "ns": {name: {state: one._asdict() for state, one in states.items()} for name, states in costs.items()},
            "prices": charged,
            "lock": {name: one._asdict() for name, one in lock.items()},
            "bytes_per_1000_buffered": buffered,
            "growth": grown,
            "imports": imports,
        },
    )


# -- nanoseconds -----------------------------------------------------------------------------------------------------


def operations(runner: asyncio.Runner) -> dict[str, Operation]:
    """The parts by name."""
    return {
        "root: @track_query": _root,
        "call: @track_tool in a query": _call,
        "GraphQL call in a query": _graphql_call,
        "async call in a query": lambda kit: _async_call(kit, runner),
        "stream, a chunk": _chunk,
    }


def _root(kit: Kit) -> Callable[[int], int]:
    @kit.query
    def answer(user_input: str) -> str:
        return user_input

    return lambda times: _timed(answer, times)


def _call(kit: Kit) -> Callable[[int], int]:
    @kit.tool
    def look_up(key: str) -> str:
        return key

    return _inside_a_query(lambda times: _timed(look_up, times))


def _graphql_call(kit: Kit) -> Callable[[int], int]:
    @kit.graphql
    def execute(query: str) -> dict[str, Any]:
        return {"data": query}

    return _inside_a_query(lambda times: _timed(lambda text: execute("query Customers { id }"), times))


def _async_call(kit: Kit, runner: asyncio.Runner) -> Callable[[int], int]:
    @kit.tool
    async def look_up(key: str) -> str:
        return key

    async def several(times: int) -> int:
        with query_span("parts", agent="parts"):
            begin = thread_time_ns()
            for _ in repeat(None, times):
                await look_up("key")
            return thread_time_ns() - begin

    return lambda times: runner.run(several(times))


def _chunk(kit: Kit) -> Callable[[int], int]:
    @kit.query
    def chunks(user_input: str) -> Any:
        for _ in repeat(None, TIMES):
            yield "chunk"

    def several(times: int) -> int:
        begin = thread_time_ns()
        for _ in chunks("parts"):
            pass
        return thread_time_ns() - begin

    return several


def _timed(function: Callable[[str], Any], times: int) -> int:
    begin = thread_time_ns()
    for _ in repeat(None, times):
        function("key")
    return thread_time_ns() - begin


def _inside_a_query(several: Callable[[int], int]) -> Callable[[int], int]:
    def inside(times: int) -> int:
        with query_span("parts", agent="parts"):
            return several(times)

    return inside


def measure(make: Operation, seconds: float) -> dict[str, Cost]:
    """An operation recorded, disabled and suppressed, each against the same undecorated."""
    with switched_off() as off:
        disabled = make(off)
    plain, tracked = make(undecorated()), make(recorded())
    slices: dict[str, Slice] = {
        "undecorated": lambda: plain(TIMES),
        "recorded": lambda: tracked(TIMES),
        "disabled": lambda: disabled(TIMES),
        "suppressed": lambda: _suppressed(tracked),
    }
    turns = take_turns(slices, seconds, instrument.flush)
    base = turns.slices.pop("undecorated")
    return {
        state: cost(taken, base, turns.writer_ns / len(taken) / TIMES if state == "recorded" else 0, TIMES)
        for state, taken in turns.slices.items()
    }


def _suppressed(several: Callable[[int], int]) -> int:
    with suppress():
        return several(TIMES)


def span_cost(seconds: float) -> dict[str, Cost]:
    """`tool_span` in a query, recorded and suppressed, against an empty block."""

    def spans(times: int) -> int:
        begin = thread_time_ns()
        for _ in repeat(None, times):
            with tool_span("part"):
                pass
        return thread_time_ns() - begin

    def nothing(times: int) -> int:
        begin = thread_time_ns()
        for _ in repeat(None, times):
            pass
        return thread_time_ns() - begin

    inside = _inside_a_query(spans)
    turns = take_turns(
        {"empty": lambda: nothing(TIMES), "recorded": lambda: inside(TIMES), "suppressed": lambda: _suppressed(inside)},
        seconds,
        instrument.flush,
    )
    base = turns.slices.pop("empty")
    return {
        state: cost(taken, base, turns.writer_ns / len(taken) / TIMES if state == "recorded" else 0, TIMES)
        for state, taken in turns.slices.items()
    }


# -- memory ----------------------------------------------------------------------------------------------------------


def buffered_bytes(queries: int = 5000) -> float:
    """Memory that a thousand queries of the subject take while they wait for the writer, in bytes."""
    call = fresh_call(recorded())
    with capture() as captured:
        call()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in repeat(None, queries):
                call()
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert len(captured.queries) == 1 + queries
    return 1000 * (after - before) / queries


_GROWTH = """
import json, sys
from benchmarks.ours import own_store, recorded, rows_written
from benchmarks.subject import fresh_call
import instrument
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
with own_store() as store:
    call, seen = fresh_call(recorded()), []
    for _ in range(20):
        for _ in range(int(sys.argv[1]) // 20):
            call()
        seen.append(resident())
    instrument.flush()
    print(json.dumps({"resident": seen, "stored": rows_written(store)}))
"""


def growth(queries: int) -> dict[str, Any]:
    """Resident memory of a process while it records so many queries, in bytes, and how many were stored."""
    if not os.path.exists("/proc/self/statm"):
        return {"queries": queries, "resident": [], "stored": 0}
    return {"queries": queries, **json.loads(_python(sys.executable, _GROWTH, str(queries)))}


# -- the import ------------------------------------------------------------------------------------------------------

_IMPORT = """
import json, os, sys, time
before, begin = set(sys.modules), time.process_time_ns()
{statement}
spent = time.process_time_ns() - begin
memory = int(open("/proc/self/statm").read().split()[1]) * 4 if os.path.exists("/proc/self/statm") else 0
print(json.dumps({{"ms": spent / 1e6, "kb": memory, "modules": sorted(set(sys.modules) - before)}}))
"""

STATEMENTS = {
    "nothing": "pass",
    "msgspec": "import msgspec, msgspec.json",
    "instrument": "import instrument",
    "instrument, one function decorated": "import instrument\n@instrument.track_query\ndef f(x): return x",
    "wrapt": "import wrapt",
    "DuckDB's compiled module": "import _duckdb",
    "the duckdb package": "import duckdb",
    "opentelemetry-sdk, a provider set up": "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import"
    " TracerProvider\nfrom opentelemetry.sdk.trace.export import BatchSpanProcessor\nTracerProvider()",
}

OWN = ("wrapt", "DuckDB's compiled module", "the duckdb package")
"""What this package is installed with, and OpenTelemetry's environment not."""


def import_costs(times: int) -> dict[str, dict[str, Any]]:
    """Fresh processes in turns: CPU ms, peak memory and modules of each import; the SDK only where it is installed."""
    shared = interpreter("shared")
    pythons = {name: sys.executable if name in OWN else shared or sys.executable for name in STATEMENTS}
    asked = {name: text for name, text in STATEMENTS.items() if shared or "opentelemetry" not in name}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    for turn in range(1 + times):
        for name, statement in asked.items():
            told = json.loads(_python(pythons[name], _IMPORT.format(statement=statement)))
            if turn:  # the first ones compile
                runs[name].append(told)
    return {
        name: {
            "ms": spread([one["ms"] for one in taken]),
            "kb": spread([one["kb"] for one in taken]),
            "modules": taken[0]["modules"],
        }
        for name, taken in runs.items()
    }


def _python(python: str, source: str, *arguments: str) -> str:
    done = subprocess.run(
        [python, "-c", source, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment(), check=True
    )
    return done.stdout


# -- what is shown ---------------------------------------------------------------------------------------------------


def _costs_table(costs: dict[str, dict[str, Cost]]) -> Table:
    rows = []
    for name, states in costs.items():
        cells = [number(states[state].ns.mean) if state in states else "–" for state in ("recorded", "disabled")]
        rows.append((name, *cells, number(states["suppressed"].ns.mean), number(states["recorded"].writer_ns)))
    return Table(
        "Ingredients: ns above the same undecorated, writer included",
        ("part", "recorded", "disabled", "suppressed", "of it writer"),
        rows,
        ("In a hot loop; disabled is INSTRUMENT_ENABLED=0 at decoration, suppressed a block under suppress().",),
    )


def _memory_table(buffered: float, grown: dict[str, Any]) -> Table:
    rows = [("1,000 queries waiting for the writer", f"{buffered / 1e6:.2f} MB")]
    if grown["resident"]:
        seen = [f"{size / 1e6:.0f}" for size in grown["resident"][:: len(grown["resident"]) // 5]]
        rows.append((f"process while {grown['queries']:,} are recorded", f"{' '.join(seen)} MB"))
        rows.append(("of them in the store", f"{grown['stored']:,}"))
    return Table("Memory", ("", ""), rows)


def _import_table(imports: dict[str, dict[str, Any]]) -> Table:
    base = imports["nothing"]
    own = set(imports["instrument"]["modules"]) - set(imports["msgspec"]["modules"])
    rows = [
        (
            name,
            f"{one['ms']['min']:.1f} / {one['ms']['median']:.1f}",
            f"{(one['kb']['median'] - base['kb']['median']) / 1024:.1f}",
            str(len(one["modules"])),
        )
        for name, one in imports.items()
    ]
    others = sorted({module.partition(".")[0] for module in own} - {"instrument"})
    return Table(
        "Import: CPU ms, minimum / median; MB above a bare interpreter; modules",
        ("import", "CPU ms", "MB", "modules"),
        rows,
        (f"Beyond msgspec's own, `import instrument` imports: {', '.join(others) or 'nothing'}.",),
    )


def _growth_checks(grown: dict[str, Any]) -> Iterator[Check]:
    if grown["resident"]:
        seen = grown["resident"]
        # From the fifth part on: before it, the buffer and the allocator find their size.
        growth_mb = (seen[-1] - seen[4]) / 1e6
        yield Check("memory growth while recording", growth_mb, limit("ingredients", "memory_growth_mb"), "MB")
        yield Check("queries not in the store after them", grown["queries"] // 20 * 20 - grown["stored"], NONE)


def _import_checks(imports: dict[str, dict[str, Any]]) -> Iterator[Check]:
    sdk = imports.get("opentelemetry-sdk, a provider set up")
    if sdk is not None:
        value = imports["instrument, one function decorated"]["ms"]["median"] / sdk["ms"]["median"]
        promised = limit("ingredients", "import_against_opentelemetry")
        yield Check("import and set-up against the OpenTelemetry SDK", value, promised)
