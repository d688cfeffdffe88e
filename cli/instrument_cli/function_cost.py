"""What recording costs a function of the user's own: the method of `overhead.py`, with marks put in by `marking.py`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from itertools import repeat
from typing import Any, NamedTuple

import instrument
from instrument.spans import suppress
from instrument.testing import capture
from instrument_cli.marking import Marks, marked
from instrument_cli.overhead import (
    Interval,
    Pace,
    Parts,
    Spent,
    calls_a_slice,
    collections_ns,
    cpu_ns,
    parts,
    take_turns,
    writer_at_pace,
    writer_ns,
)

COUNTING_NS = 200_000_000
"""CPU time that counting the containers a call leaves may take."""


class FunctionCost(NamedTuple):
    """What recording costs a function that is decorated, or calls what is; all in ns a call.

    `parts` compares calls with recording to calls without. A call makes `queries` and `calls` records; `is_marked` says
    that all of them come from decorated functions. Where spans and streams make some, what lies between the marks is
    counted as cost, too, with its wider interval. `elsewhere` is the share of the CPU time that was spent in other
    threads of the application, where it cannot be compared.
    """

    parts: Parts
    pace: Pace
    collections: float
    queries: int
    calls: int
    is_marked: bool
    calls_a_slice: int
    elsewhere: float
    seconds: float

    @property
    def ns(self) -> Interval:
        """The whole cost of a call."""
        found = self.parts.outside.plus(self.pace.writer).shifted(self.collections)
        return found if self.is_marked else found.plus(self.parts.bodies)

    @property
    def share(self) -> Interval:
        """The same, of the CPU time of a call without recording (0.01 is 1 %)."""
        return self.ns.scaled(1 / self.parts.plain_ns)

    @property
    def break_even_ms(self) -> Interval:
        """The shortest CPU time of a call for which this cost stays under 1 %."""
        return self.ns.scaled(1e-4)


def function_cost(call: Callable[[], Any], seconds: float) -> FunctionCost | None:
    """Measure a function without arguments, sync or async, recorded and not, in turns; None if nothing records.

    Records go to the store that is configured. A stream is read to its end at every call.
    """
    began = time.monotonic()
    with asyncio.Runner() as runner:
        asynchronous, queries, calls = _looked_at(call, runner)
        if not queries + calls:
            return None
        with marked() as marks:
            whole = _whole(call)
            on, off = (_slice(whole, asynchronous, runner, marks, recorded=state) for state in (True, False))
            on(1)
            is_marked = marks.calls == queries + calls
            instrument.flush()  # the writer lives now, and with it its clock
            several = calls_a_slice(lambda: sum(off(1)))
            everything, main, writer = time.process_time_ns(), time.thread_time_ns(), writer_ns()
            slices = {"on": lambda: on(several), "off": lambda: off(several)}
            taken = take_turns(slices, seconds, instrument.flush).slices
            spent = time.process_time_ns() - everything
            elsewhere = 1 - (time.thread_time_ns() - main + writer_ns() - writer) / max(spent, 1)
            pace = writer_at_pace(slices["on"], several, min(seconds / 3, 3), instrument.flush)
            found = parts(taken["on"], taken["off"])
            counted = int(COUNTING_NS * several / max(found.plain_ns, 1))
            collections = collections_ns(lambda: on(1), min(max(counted, 3), 400))
    each = found._replace(
        outside=found.outside.scaled(1 / several),
        bodies=found.bodies.scaled(1 / several),
        plain_ns=found.plain_ns / several,
    )
    return FunctionCost(
        each, pace, collections, queries, calls, is_marked, several, max(elsewhere, 0.0), time.monotonic() - began
    )


def _looked_at(call: Callable[[], Any], runner: asyncio.Runner) -> tuple[bool, int, int]:
    """Call it once, writing nothing: whether it is asynchronous, and how many queries and calls it records."""
    with capture() as captured:
        result = call()
        asynchronous = inspect.isawaitable(result) or inspect.isasyncgen(result)
        if asynchronous:
            runner.run(_finished(result))
        elif inspect.isgenerator(result):
            deque(result, maxlen=0)
        instrument.flush()
        queries = captured.queries
        calls = len(captured.calls) + sum(len(query.calls) for query in queries)
    return asynchronous, len(queries), calls


async def _finished(result: Any) -> Any:
    if inspect.isasyncgen(result):
        async for _ in result:
            pass
        return None
    return await result


def _whole(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call, with what it returns read to its end where that is a stream."""
    if inspect.isasyncgenfunction(getattr(call, "func", call)):
        return lambda: _finished(call())
    if inspect.isgeneratorfunction(getattr(call, "func", call)):
        return lambda: deque(call(), maxlen=0)
    return call


def _slice(
    call: Callable[[], Any], asynchronous: bool, runner: asyncio.Runner, marks: Marks, *, recorded: bool
) -> Callable[[int], Spent]:
    around = nullcontext if recorded else suppress  # spans and streams have no marks

    def begin() -> int:
        marks.recorded, marks.outside = recorded, 0
        return cpu_ns()

    def spent(begun: int) -> Spent:
        whole = cpu_ns() - begun
        return Spent(marks.outside, whole - marks.outside)

    async def run_async(calls: int) -> Spent:
        with around():
            begun = begin()
            for _ in repeat(None, calls):
                await call()
            return spent(begun)

    def run(calls: int) -> Spent:
        with around():
            begun = begin()
            for _ in repeat(None, calls):
                call()
            return spent(begun)

    return (lambda calls: runner.run(run_async(calls))) if asynchronous else run
