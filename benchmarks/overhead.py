"""The overhead claim: one workload undecorated, disabled and recorded, in turns, queries of 1, 10 and 100 ms of CPU.

How it is measured stands in `instrument_cli/overhead.py` and, for readers, in `docs/overhead.md`. Every record goes to
a real store on disk, and when a case is over, what lies there is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from instrument_cli.overhead import (
    Cost,
    Interval,
    Pace,
    Parts,
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
from benchmarks import once
from benchmarks.between import other_work
from benchmarks.ours import own_store, recorded, rows_written, switched_off
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Limit, Section, Table, limit, measured_again, number
from benchmarks.subject import Kit, fresh_agent, undecorated, units_for

RESOLUTION = 0.0005
"""Half an interval's width, as a share of the query, that will do; then no more rounds are run."""

HOT_LOOP = 100
"""Queries a slice where they do nothing: one alone would be too short for the clocks."""

PACE = 1.5
"""How many times as long the writer is watched at the real pace as queries take turns."""

COUNTED = 400
"""Queries whose containers are counted for the collections of garbage."""

LENGTHS = (1, 10, 100)
"""CPU ms of the queries that do something."""


class Case(NamedTuple):
    """One workload: the CPU time of a query in ms (0: no work at all), its kind, and what lies between two queries."""

    milliseconds: float
    asynchronous: bool
    cold: bool

    @property
    def temperature(self) -> str:
        """How warm the caches are."""
        return "cold" if self.cold else "hot"

    @property
    def kind(self) -> str:
        """What its functions are."""
        return "async" if self.asynchronous else "sync"

    @property
    def name(self) -> str:
        """The case in words."""
        work = f"{self.milliseconds:g} ms" if self.milliseconds else "no work"
        return f"{work}, {self.kind}, {self.temperature}"


class Shares(NamedTuple):
    """What recording costs a query that does something, in ns, part by part.

    `cost` is what is promised of: outside the bodies, the writer and collections of garbage together. `control` is what
    the same method finds for decorators that are switched off, which are nothing.
    """

    parts: Parts
    pace: Pace
    collections: float
    control: Parts

    @property
    def cost(self) -> Interval:
        """All but what happens inside the bodies."""
        return self.parts.outside.plus(self.pace.writer).shifted(self.collections)

    @property
    def percent(self) -> Interval:
        """The same, of the CPU time of the query without recording."""
        return self.cost.scaled(100 / self.parts.plain_ns)


class Measured(NamedTuple):
    """A case with what recording costs it: `loop` where its queries do nothing, else `shares`."""

    case: Case
    loop: Cost | None
    shares: Shares | None
    queries: int
    stored: int


def cases() -> Iterator[Case]:
    """What is measured."""
    for milliseconds in (0, *LENGTHS):
        for cold in (False, True):
            for asynchronous in (False, True):
                yield Case(milliseconds, asynchronous, cold)


def run(short: bool = False) -> Section:
    """Measure every case."""
    measured = [measured_again(partial(_measure_longer, case, short), checks) for case in cases()]
    say("overhead: what happens once")
    first = once.measured(3 if short else 11)
    return Section(
        "overhead",
        [_overhead_table(measured), _parts_table(measured), _break_even_table(measured), once.table(first)],
        list(checks(*measured)),
        {"cases": {one.case.name: _figures(one) for one in measured}, "once": first},
    )


def _measure_longer(case: Case, short: bool, longer: int) -> Measured:
    return measure(case, longer * (2 if short else 15))


def case_limit(case: Case) -> Limit:
    """What is promised of a case: percent of its CPU time, or microseconds where it does nothing."""
    figure = ("percent", f"{case.milliseconds:g}") if case.milliseconds else ("microseconds",)
    return limit("overhead", *figure, case.temperature, case.kind)


def measure(case: Case, seconds: float) -> Measured:
    """Run one case for about `seconds`, less when its interval is narrow enough before, then watch the writer."""
    say(f"overhead: {case.name}")
    with own_store() as store, asyncio.Runner() as runner:
        # Where there is no work, thousands of queries fit into a quarter of the time.
        measured = _shares(case, seconds, runner) if case.milliseconds else _loop(case, seconds / 4, runner)
        instrument.flush()
        return measured._replace(stored=rows_written(store))


def _loop(case: Case, seconds: float, runner: asyncio.Runner) -> Measured:
    calls = 1 if case.cold else HOT_LOOP
    before = other_work if case.cold else nothing

    def slice_of(kit: Kit) -> Slice:
        call, _ = fresh_agent(kit, units=0, asynchronous=case.asynchronous)
        return async_slice(call, calls, runner, before) if case.asynchronous else sync_slice(call, calls, before)

    slices = {"undecorated": slice_of(undecorated()), "recorded": slice_of(recorded())}
    slices["recorded"]()
    instrument.flush()  # the writer lives now, and with it its clock
    taken = take_turns(slices, seconds, instrument.flush).slices
    pace = writer_at_pace(slices["recorded"], calls, PACE * seconds, instrument.flush)
    found = cost(taken["recorded"], taken["undecorated"], pace.writer.mean, calls)
    return Measured(case, found, None, calls * (3 + len(taken["recorded"])) + pace.calls, 0)


def _shares(case: Case, seconds: float, runner: asyncio.Runner) -> Measured:
    units = units_for(case.milliseconds)
    before = other_work if case.cold else nothing

    def query_of(kit: Kit) -> Callable[[], Spent]:
        call, module = fresh_agent(kit, units=units, asynchronous=case.asynchronous)
        return marked(call, module, before, runner if case.asynchronous else None)

    queries = {"undecorated": query_of(undecorated()), "recorded": query_of(recorded())}
    with switched_off() as off:
        queries["disabled"] = query_of(off)
    queries["recorded"]()
    instrument.flush()
    taken = take_turns(queries, seconds, instrument.flush, _is_resolved).slices
    pace = writer_at_pace(queries["recorded"], 1, PACE * seconds, instrument.flush)
    # What an empty query leaves is what recording leaves.
    empty, _ = fresh_agent(recorded(), units=0, asynchronous=case.asynchronous)
    call = (lambda: runner.run(empty())) if case.asynchronous else empty
    plain = taken["undecorated"]
    found = Shares(
        parts(taken["recorded"], plain), pace, collections_ns(call, COUNTED), parts(taken["disabled"], plain)
    )
    return Measured(case, None, found, 3 + len(plain) + pace.calls + COUNTED, 0)


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


# -- what is shown ---------------------------------------------------------------------------------------------------


def _overhead_table(measured: Sequence[Measured]) -> Table:
    rows = [_overhead_row(one.case, one.shares) for one in measured if one.shares is not None]
    return Table(
        "Overhead: CPU of a query with its record on disk, beyond the same functions undecorated",
        ("query", "CPU ms", "recorded", "95 % interval", "µs", "95 % interval", "control", "pairs"),
        rows,
        (
            "Outside the bodies, which read their thread's clock at both ends; the writer's thread and collections of"
            " garbage included. What recording does to the bodies is in the next table.",
            "20 % trimmed mean of pairs that take turns, interval after Tukey and McLaughlin. control: what the same"
            " finds for INSTRUMENT_ENABLED=0, where decorating returns the function itself.",
            "hot: one query after the other. cold: a walk over 4 MB and unrelated code before each, off the clock.",
        ),
    )


def _overhead_row(case: Case, found: Shares) -> tuple[str, ...]:
    percent, micro, control = found.percent, found.cost.scaled(1e-3), found.control.outside
    share = 100 / found.parts.plain_ns
    return (
        case.name,
        number(found.parts.plain_ns / 1e6),
        f"{percent.mean:.3f} %",
        f"{percent.low:.3f} … {percent.high:.3f} %",
        number(micro.mean),
        f"{number(micro.low)} … {number(micro.high)}",
        f"{share * control.mean:+.3f} ± {share * (control.high - control.mean):.3f} %",
        f"{found.parts.rounds:,}",
    )


def _parts_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.shares is not None:
            found = one.shares
            woken = "–" if found.pace.woken is None else _plus_minus(found.pace.woken)
            cells = (_plus_minus(found.parts.outside), _plus_minus(found.pace.writer), number(found.collections / 1e3))
            rows.append((one.case.name, *cells, _plus_minus(found.parts.bodies), woken))
    return Table(
        "Where it goes, µs a query; and, apart, what recording does to the bodies",
        ("query", "outside", "writer", "collections", "bodies", "of the writer's work"),
        rows,
        (
            "writer: its thread's own clock while recorded queries run one after the other, half a second at a time.",
            "collections: containers left by a query over the collector's threshold, times a young collection's time.",
            "bodies: recorded minus undecorated, between the bodies' marks, in turns. of the writer's work: bodies it"
            " works beside minus their quiet neighbours.",
        ),
    )


def _plus_minus(found: Interval) -> str:
    return f"{number(found.mean / 1e3)} ± {number((found.high - found.mean) / 1e3, 2)}"


def _break_even_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.loop is not None:
            micro, even = one.loop.ns.scaled(1e-3), one.loop.ns.scaled(1e-4)
            rows.append(
                (
                    one.case.name,
                    f"{number(micro.mean)} µs",
                    f"{number(micro.low)} … {number(micro.high)} µs",
                    f"{number(one.loop.writer_ns / 1e3)} µs",
                    f"{number(even.mean)} ms",
                )
            )
    return Table(
        "Queries that do nothing; break-even: the shortest query whose overhead stays under 1 % at this cost",
        ("query", "cost a query", "95 % interval", "of it writer", "break-even"),
        rows,
        ("A query's own work cools the caches, so recording costs more there than in an empty loop.",),
    )


def checks(*measured: Measured) -> Iterator[Check]:
    """Cases against their budgets, and whether the store holds what was recorded."""
    for one in measured:
        if one.shares is not None:
            found, name, unit = one.shares.percent, "overhead", "%"
        elif one.loop is not None:
            found, name, unit = one.loop.ns.scaled(1e-3), "cost a query", "µs"
        yield Check(f"{name}, {one.case.name}", found.mean, case_limit(one.case), unit, found.low, found.high)
    lost = sum(abs(one.queries - one.stored) for one in measured)
    yield Check(f"queries not in the store, of {sum(one.queries for one in measured):,}", lost, NONE)


def _figures(one: Measured) -> dict[str, object]:
    figures: dict[str, object] = {"queries": one.queries, "stored": one.stored}
    if one.loop is not None:
        figures["loop"] = one.loop._asdict()
    if one.shares is not None:
        figures.update(one.shares._asdict(), cost=one.shares.cost._asdict(), percent=one.shares.percent._asdict())
    return figures
