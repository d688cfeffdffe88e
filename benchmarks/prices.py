"""What the interpreter and the system charge for the parts that recording is made of.

Every figure that a comment of the package gives for its choice is measured here, with the file that says it beside it.
"""

from __future__ import annotations

import contextvars
import os
import random
import tempfile
import threading
import time
import timeit
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from instrument_cli.overhead import Cost, cost, nothing, take_turns

from benchmarks.results import Table, number
from benchmarks.subject import BILLS_QUERY, busy
from instrument import track_tool
from instrument.recording.operation_names import names, operation_name
from instrument.rows.live import LiveCall, LiveQuery, Origin
from instrument.rows.stored import CallRow, QueryRow, encode_lines

REPEATS = 7
"""Timings of which the least counts: what is added to it is others' work."""

LOCK_SLICE_SECONDS = 0.016
"""Work of the busy thread while another wants the interpreter's lock twice, 5 ms each time at the most."""


class Price(NamedTuple):
    """A statement; what it costs above `base` is what is told. `said` is the file whose comment gives the figure."""

    part: str
    statement: str
    base: str = "pass"
    said: str = ""
    times: int = 20_000


PRICES = (
    Price("a call of a function", "function()", said="recording/fast_path.py"),
    Price("reading perf_counter_ns", "perf_counter_ns()", said="recording/fast_path.py"),
    Price("reading time_ns", "time_ns()"),
    Price("thread's id", "get_ident()", said="recording/scope.py"),
    Price("ContextVar.get", "variable.get()", said="recording/scope.py"),
    Price("ContextVar.set and reset", "variable.reset(variable.set(scope))", said="recording/scope.py"),
    Price("reading a list's item", "scope[1]", "scope", said="recording/scope.py"),
    Price("setting a list's item", "scope[1] = 7", "scope", said="recording/scope.py"),
    Price("reading a Struct's attribute", "call.duration", "call", said="recording/scope.py"),
    Price("setting a Struct's attribute", "call.duration = 7", "call", said="recording/scope.py"),
    Price("reading a global name", "variable", said="collecting/collector.py"),
    Price("making a call's row, lean", "LiveCall('look_up', 1200)", said="rows/live.py"),
    Price("the same in its stored shape", "CallRow('look_up', 1200)", said="rows/live.py"),
    Price("list.append and pop", "scope.append(call); scope.pop()"),
    Price("a lock taken and given back", "lock.acquire(); lock.release()"),
    Price("uuid4", "uuid4()"),
    Price("os.urandom(8)", "urandom(8)"),
    Price("getrandbits(62)", "getrandbits(62)"),
    Price("encoding a query of five calls, lean", "encode_lines(lean)", said="rows/live.py", times=100),
    Price("the same in its stored shape, encoded", "encode_lines(batch)", said="rows/live.py", times=100),
    Price(
        "name out of a document",
        "names.clear(); operation_name(text, '')",
        "names.clear()",
        "recording/operation_names.py",
    ),
    Price("full parse of it", "parse(text)", said="recording/operation_names.py", times=300),
    Price("decorating a function", "track_tool(made())", "made()", "recording/fast_path.py", 2000),
    Price("os.stat", "stat(path)", said="sinks/segments.py"),
    Price("os.write of a query", "write(file, line)", said="collecting/writer.py", times=2000),
    Price("of 256 queries together", "write(file, lines)", said="collecting/writer.py", times=200),
)
"""Each in ns, but for those of many (see `_SHARED`)."""

_SHARED = {
    "encoding a query of five calls, lean": 256,
    "the same in its stored shape, encoded": 256,
    "of 256 queries together": 256,
}
"""How many queries a statement handles at once."""

_NEEDS = {"full parse of it": "graphql"}


def prices() -> dict[str, float]:
    """Every price in ns."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.open(Path(folder, "lines"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            known = _names(folder, file)
            found = {one.part: _nanoseconds(one, known) for one in PRICES if find_spec(_NEEDS.get(one.part, "os"))}
        finally:
            os.close(file)
    return {part: ns / _SHARED.get(part, 1) for part, ns in found.items()}


def _nanoseconds(price: Price, known: dict[str, Any]) -> float:
    def least(statement: str) -> float:
        timer = timeit.Timer(statement, timer=time.thread_time, globals=known)
        return min(timer.repeat(REPEATS, price.times)) / price.times * 1e9

    return max(0.0, least(price.statement) - least(price.base))


def _names(folder: str, file: int) -> dict[str, Any]:
    """What the statements speak of."""
    batch = [_query(number) for number in range(256)]
    lines = encode_lines(batch)
    return {
        **{name: getattr(time, name) for name in ("perf_counter_ns", "time_ns")},
        "function": lambda: None,
        "get_ident": threading.get_ident,
        "variable": contextvars.ContextVar("variable", default=None),
        "scope": [0, 0, [], None, None, None],
        "call": LiveCall("look_up", 1200),
        "CallRow": CallRow,
        "LiveCall": LiveCall,
        "lock": threading.Lock(),
        "uuid4": uuid.uuid4,
        "urandom": os.urandom,
        "getrandbits": random.getrandbits,
        "encode_lines": encode_lines,
        "batch": batch,
        "lean": [_query(number, LiveQuery, LiveCall) for number in range(256)],
        "names": names,
        "operation_name": operation_name,
        "text": BILLS_QUERY,
        "parse": _parse(),
        "track_tool": track_tool,
        "made": _made,
        "stat": os.stat,
        "path": folder,
        "write": os.write,
        "file": file,
        "line": lines[: lines.index(b"\n") + 1],
        "lines": lines,
    }


def _parse() -> Any:
    if not find_spec("graphql"):
        return None
    from graphql import parse

    return parse


def _made() -> Callable[[str], str]:
    def look_up(name: str) -> str:
        return name

    return look_up


def _query(number: int, query: type[Any] = QueryRow, call: type[Any] = CallRow) -> Any:
    calls = [call("look_up", 1200 * place, duration=900) for place in range(5)]
    row = query(1_795_368_239_000_000 + number, 1 << 60, "billing", "unpaid bills in India", "Agent.answer", calls)
    row.duration, row.result_size, row.origin = 7_000_000, 24, Origin("benchmark", 1)
    return row


# -- beside a busy thread ----------------------------------------------------------------------------------------------


class Woken(NamedTuple):
    """What a woken thread costs beside a busy one, above what it is compared with.

    `busy` is the busy thread's CPU time, `own_ns` that of the woken thread itself, and `waits_ns` how long (wall) each
    of its system calls took, until it had the interpreter's lock back.
    """

    busy: Cost
    own_ns: float
    waits_ns: list[int]


class _Sleeper:
    """A thread that sleeps until it is woken, does what it is told, and sleeps again."""

    def __init__(self) -> None:
        self.token = threading.Lock()
        self.token.acquire()
        self.task: Callable[[], object] = nothing
        self.asleep = self.ended = False
        self.waited: list[int] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            self.asleep = True
            self.token.acquire()
            if self.ended:
                return
            begin = time.perf_counter_ns()
            self.task()
            self.waited.append(time.perf_counter_ns() - begin)

    def wake(self) -> None:
        self.asleep = False
        self.token.release()

    def wait(self) -> None:
        while not self.asleep:
            time.sleep(0.0002)

    def cpu_ns(self) -> int:
        return time.clock_gettime_ns(time.pthread_getcpuclockid(self.thread.ident or 0))


@contextmanager
def _sleeper() -> Iterator[_Sleeper]:
    one = _Sleeper()
    try:
        one.wait()
        yield one
    finally:
        one.ended = True
        one.wake()
        one.thread.join()


def lock_prices(seconds: float) -> dict[str, Woken]:
    """What it costs, beside a busy thread, to wake another, and what a system call of that one adds.

    Empty where the system does not tell the CPU time of threads apart.
    """
    if not hasattr(time, "pthread_getcpuclockid"):
        return {}
    with tempfile.TemporaryFile() as file:
        lines = encode_lines([_query(number) for number in range(256)])
        tasks: dict[str, Callable[[], object]] = {
            "woken": nothing,
            "a look": lambda: os.stat("/"),
            "a write": lambda: os.write(file.fileno(), lines),
        }
        return _beside_a_busy_thread(tasks, seconds)


def _beside_a_busy_thread(tasks: dict[str, Callable[[], object]], seconds: float) -> dict[str, Woken]:
    units = _units(LOCK_SLICE_SECONDS)
    own = dict.fromkeys(tasks, 0)
    waits: dict[str, list[int]] = {name: [] for name in tasks}

    def slice_of(one: _Sleeper, name: str) -> int:
        one.task = tasks.get(name, nothing)
        before, begin = one.cpu_ns(), time.thread_time_ns()
        if name in tasks:
            one.wake()
        busy(units)
        spent = time.thread_time_ns() - begin
        one.wait()
        if name in tasks:
            own[name] += one.cpu_ns() - before
            waits[name].append(one.waited[-1])
        return spent

    with _sleeper() as one:
        slices = {name: partial(slice_of, one, name) for name in ("alone", *tasks)}
        taken = take_turns(slices, seconds, nothing).slices
    found = {}
    for name in tasks:
        base = "alone" if name == "woken" else "woken"
        spent = own[name] - own.get(base, 0)
        found[name] = Woken(cost(taken[name], taken[base], 0, 1), spent / len(waits[name]), sorted(waits[name]))
    return found


def _units(seconds: float) -> int:
    begin = time.thread_time()
    busy(200)
    return max(1, round(200 * seconds / (time.thread_time() - begin)))


# -- what is shown -----------------------------------------------------------------------------------------------------


def prices_table(found: dict[str, float]) -> Table:
    """The prices, the dearest last."""
    said = {one.part: one.said for one in PRICES}
    rows = [(part, number(ns), said[part] or "–") for part, ns in found.items()]
    return Table(
        "Prices: what the interpreter and the system charge, ns of CPU, the least of several",
        ("part", "ns", "said in"),
        rows,
        ("Queries of five calls; encoding and writing many together are a query's share.",),
    )


def lock_table(found: dict[str, Woken]) -> Table:
    """What another thread costs beside a busy one."""
    parts = {
        "woken": ("waking a thread", "collecting/writer.py"),
        "a look": ("an os.stat of it more", "sinks/segments.py"),
        "a write": ("an os.write of 256 queries of it more", "collecting/writer.py"),
    }
    rows = []
    for name, one in found.items():
        part, said = parts[name]
        low, mean, high = one.busy.ns.scaled(1e-3)
        waits = (one.waits_ns[len(one.waits_ns) // 2], fmean(one.waits_ns))
        cells = (f"{mean:.0f} ({low:.0f} … {high:.0f})", f"{one.own_ns / 1e3:.0f}")
        rows.append((part, *cells, " / ".join(f"{ns / 1e3:,.0f}" for ns in waits), said))
    return Table(
        "Beside a busy thread, µs: CPU of the busy one (95 % interval), of the thread itself; wall of its system call",
        ("part", "the busy one", "itself", "wall, median / mean", "said in"),
        rows,
        ("The wall time is until it has the interpreter's lock back: 5 ms where the busy one took it meanwhile.",),
    )
