"""Measure one case: everybody in turns, then the writer at the real pace; what lies on disk is counted at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any

from instrument_cli.overhead import (
    Slice,
    Spent,
    async_slice,
    collections_ns,
    cost,
    cpu_ns,
    nothing,
    parts,
    sync_slice,
    take_turns,
    writer_at_pace,
)

import instrument
from benchmarks.between import other_work
from benchmarks.by_hand import by_hand
from benchmarks.ours import own_store, recorded, rows_written, switched_off
from benchmarks.overhead.cases import Case, Measured, Shares
from benchmarks.progress import say
from benchmarks.subject import Kit, fresh_agent, undecorated, units_for

RESOLUTION = 0.0005
"""Half an interval's width, as a share of the query, that will do; then no more rounds are run."""

HOT_LOOP = 100
"""Queries a slice where they do nothing: one alone would be too short for the clocks."""

SETTLING = {1: 41, 10: 11, 100: 5}
"""Queries that are timed to find how much work makes a query of so many ms."""

OFF_LENGTH, LENGTH_TRIES = 0.05, 3
"""How far a query may be from its length, as a share, before it is measured again, and how often it is tried.

A virtual core may be half as fast from one minute to the next: a query that was to take 1 ms took 0.69.
"""

WITH_YARDSTICK = (1, 10)
"""ms of the queries that are measured beside a decorator written by hand: there caches decide, and so do neighbours."""

COUNTED = 400
"""Queries whose containers are counted for the collections of garbage."""


def measure(case: Case, seconds: float, watched: float) -> Measured:
    """Run one case for about `seconds`, less when its interval is narrow enough before, then watch the writer.

    It is watched for `watched` seconds at the real pace.
    """
    say(f"overhead: {case.name}")
    with own_store() as store, asyncio.Runner() as runner:
        # Where there is no work, thousands of queries fit into a quarter of the time.
        measured = (
            _shares(case, seconds, watched, runner) if case.milliseconds else _loop(case, seconds / 4, watched, runner)
        )
        instrument.flush()
        return measured._replace(stored=rows_written(store))


def _loop(case: Case, seconds: float, watched: float, runner: asyncio.Runner) -> Measured:
    calls = 1 if case.cold else HOT_LOOP
    before = other_work if case.cold else nothing

    def slice_of(kit: Kit) -> Slice:
        call, _ = fresh_agent(kit, units=0, asynchronous=case.asynchronous)
        return async_slice(call, calls, runner, before) if case.asynchronous else sync_slice(call, calls, before)

    slices = {"undecorated": slice_of(undecorated()), "recorded": slice_of(recorded())}
    slices["recorded"]()
    instrument.flush()  # the writer lives now, and with it its clock
    taken = take_turns(slices, seconds, instrument.flush).slices
    pace = writer_at_pace(slices["recorded"], calls, watched, instrument.flush)
    found = cost(taken["recorded"], taken["undecorated"], pace.writer.mean, calls)
    return Measured(case, found, None, calls * (3 + len(taken["recorded"])) + pace.calls, 0)


def _shares(case: Case, seconds: float, watched: float, runner: asyncio.Runner) -> Measured:
    before = other_work if case.cold else nothing
    waits = runner if case.asynchronous else None

    def query_of(kit: Kit, units: int) -> Callable[[], Spent]:
        call, module = fresh_agent(kit, units=units, asynchronous=case.asynchronous)
        return marked(call, module, before, waits)

    wanted, made = case.milliseconds * 1e6, 0
    units = _to_length(wanted, units_for(case.milliseconds), partial(query_of, undecorated()), case)
    for _ in range(LENGTH_TRIES):
        with ExitStack() as kits:
            queries = _queries(case, partial(query_of, units=units), kits)
            queries["recorded"]()
            instrument.flush()
            taken = take_turns(queries, seconds, instrument.flush, _is_resolved).slices
        plain = taken["undecorated"]
        compared = parts(taken["recorded"], plain)
        made += 2 + len(plain)
        if abs(compared.plain_ns / wanted - 1) <= OFF_LENGTH:
            break
        units = max(1, round(units * wanted / compared.plain_ns))
    pace = writer_at_pace(queries["recorded"], 1, watched, instrument.flush)
    # What an empty query leaves is what recording leaves.
    empty, _ = fresh_agent(recorded(), units=0, asynchronous=case.asynchronous)
    call = (lambda: runner.run(empty())) if case.asynchronous else empty
    yardstick = parts(taken["by hand"], plain).outside if "by hand" in taken else None
    control = parts(taken["disabled"], plain)
    found = Shares(compared, pace, collections_ns(call, COUNTED), control, yardstick)
    return Measured(case, None, found, made + 1 + pace.calls + COUNTED, 0)


def _to_length(wanted: float, units: int, query_of: Callable[[int], Callable[[], Spent]], case: Case) -> int:
    """How many units of work make a query of so many ns here, with what comes before it."""
    query = query_of(units)
    query()
    spent = median(sum(query()) for _ in range(SETTLING[int(case.milliseconds)]))
    return max(1, round(units * wanted / spent))


def _queries(
    case: Case, query_of: Callable[[Kit], Callable[[], Spent]], kits: ExitStack
) -> dict[str, Callable[[], Spent]]:
    """What takes turns, by name."""
    queries = {"undecorated": query_of(undecorated()), "recorded": query_of(recorded())}
    with switched_off() as off:
        queries["disabled"] = query_of(off)
    if case.milliseconds in WITH_YARDSTICK:
        queries["by hand"] = query_of(kits.enter_context(by_hand()))
    return queries


def marked(
    call: Callable[[], Any], module: Any, before: Callable[[], None], runner: asyncio.Runner | None
) -> Callable[[], Spent]:
    """One query of an agent as something that tells its bodies from the rest; `runner` where it is asynchronous.

    `module` has the `clock` that its bodies read, and `bodies`, what they have taken.
    """
    module.clock = cpu_ns
    inside: list[int] = module.bodies

    def spent(begin: int) -> Spent:
        whole = cpu_ns() - begin
        return Spent(whole - inside[0], inside[0])

    def run() -> Spent:
        before()
        inside[0] = 0
        begin = cpu_ns()
        call()
        return spent(begin)

    async def run_async() -> Spent:
        before()
        inside[0] = 0
        begin = cpu_ns()
        await call()
        return spent(begin)

    return run if runner is None else lambda: runner.run(run_async())


def _is_resolved(taken: dict[str, list[Spent]]) -> bool:
    found = parts(taken["recorded"], taken["undecorated"])
    return found.outside.high - found.outside.mean < RESOLUTION * found.plain_ns
