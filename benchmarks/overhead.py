"""The overhead claim: one workload undecorated, disabled and recorded, in turns, queries of 1, 10 and 100 ms of CPU.

How it is measured stands in `instrument/benchmarking.py`. Every record goes to a real store on disk, and when a case
is over, what lies there is counted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from instrument_cli.overhead import (
    Cost,
    Enough,
    Slice,
    async_slice,
    cost,
    never,
    nothing,
    sync_slice,
    take_rounds,
    take_turns,
    writer_at_pace,
)

import instrument
from benchmarks.between import other_work
from benchmarks.ours import own_store, recorded, rows_written, switched_off
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Limit, Section, Table, limit, measured_again, number
from benchmarks.subject import fresh_agent, undecorated, units_for
from benchmarks.together import Agent, round_together

LONG_MS = 10
"""Queries of so many ms and more take turns within the query (`together.py`); shorter ones one after the other."""

PACE_SECONDS = 2.5

CONFIDENT = 0.1
"""An interval may end at this share of its budget to either side of the mean; then no more rounds are run."""


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


class Measured(NamedTuple):
    """A case with the cost of recording and of decorators that are switched off."""

    case: Case
    recorded: Cost
    disabled: Cost
    queries: int
    stored: int


def cases(short: bool) -> Iterator[Case]:
    """What is measured; `short` leaves out the long queries."""
    for milliseconds in (0, 1, 10) if short else (0, 1, 10, 100):
        for cold in (False, True):
            for asynchronous in (False, True):
                if not (short and milliseconds == 10 and cold):
                    yield Case(milliseconds, asynchronous, cold)


def run(short: bool = False) -> Section:
    """Measure every case."""
    measured = [measured_again(partial(_measure_longer, case, short), checks) for case in cases(short)]
    return Section(
        "overhead",
        [_overhead_table(measured), _break_even_table(measured)],
        list(checks(*measured)),
        {one.case.name: _figures(one) for one in measured},
    )


def _seconds(case: Case, short: bool) -> float:
    if short:
        return 5
    return {0: 6, 1: 15, 10: 20, 100: 30}[int(case.milliseconds)]


def case_limit(case: Case) -> Limit:
    """What is promised of a case: percent of its CPU time, or microseconds where it does nothing."""
    figure = ("percent", f"{case.milliseconds:g}") if case.milliseconds else ("microseconds",)
    return limit("overhead", *figure, case.temperature, case.kind)


def _measure_longer(case: Case, short: bool, longer: int) -> Measured:
    return measure(case, longer * _seconds(case, short))


def measure(case: Case, seconds: float) -> Measured:
    """Run one case for about `seconds`, less when its interval is narrow enough before."""
    say(f"overhead: {case.name}")
    calls = 1 if case.milliseconds or case.cold else 100
    agents = _agents(case)
    with own_store() as store, asyncio.Runner() as runner:
        slices = {name: _slice(case, call, calls, runner) for name, (call, _) in agents.items()}
        slices["recorded"]()
        instrument.flush()  # the writer lives now, and with it its clock
        if case.milliseconds >= LONG_MS:
            before = other_work if case.cold else nothing

            def one_round(order: random.Random) -> dict[str, int]:
                return round_together(agents, case.asynchronous, order, before)

            taken = take_rounds(one_round, seconds, instrument.flush, _narrow(case_limit(case).budget)).slices
        else:
            enough = _narrow(case_limit(case).budget) if case.milliseconds else never
            taken = take_turns(slices, seconds, instrument.flush, enough).slices
        pace = writer_at_pace(slices["recorded"], calls, min(seconds, PACE_SECONDS), instrument.flush)
        kept = rows_written(store)
    return Measured(
        case,
        cost(taken["recorded"], taken["undecorated"], pace.writer_ns, calls),
        cost(taken["disabled"], taken["undecorated"], 0, calls),
        calls * (2 + len(taken["recorded"])) + pace.calls,
        kept,
    )


def _narrow(budget_percent: float) -> Enough:
    def narrow(taken: dict[str, list[int]]) -> bool:
        share = cost(taken["recorded"], taken["undecorated"], 0, 1).share
        return share.high - share.low < 2 * CONFIDENT * budget_percent / 100

    return narrow


def _agents(case: Case) -> dict[str, Agent]:
    units = units_for(case.milliseconds) if case.milliseconds else 0
    kits = {"undecorated": undecorated(), "recorded": recorded()}
    made = {name: fresh_agent(kit, units=units, asynchronous=case.asynchronous) for name, kit in kits.items()}
    with switched_off() as off:
        made["disabled"] = fresh_agent(off, units=units, asynchronous=case.asynchronous)
    return made


def _slice(case: Case, call: Callable[[], Any], calls: int, runner: asyncio.Runner) -> Slice:
    before = other_work if case.cold else nothing
    return async_slice(call, calls, runner, before) if case.asynchronous else sync_slice(call, calls, before)


# -- what is shown ---------------------------------------------------------------------------------------------------


def _overhead_table(measured: Sequence[Measured]) -> Table:
    rows = [_overhead_row(one) for one in measured if one.case.milliseconds]
    return Table(
        "Overhead: CPU of all threads, records on disk, against the same functions undecorated",
        ("query", "CPU ms", "recorded", "95 % interval", "untrimmed", "disabled", "of it writer", "pairs", "noise"),
        rows,
        (
            "20 % trimmed mean of the ratios of neighbouring queries, interval after Tukey and McLaughlin; untrimmed:"
            " ratio of the totals, with every disturbance by others on the machine.",
            "Queries of 10 ms and more run side by side in threads that take turns every half a millisecond.",
            "CPU ms: what a query took undecorated; the machine's speed drifts after the work is measured out.",
            "hot: one query after the other. cold: a walk over 4 MB and unrelated code before each, off the clock.",
            "disabled: INSTRUMENT_ENABLED=0 when decorating returns the function itself. noise: median deviation of"
            " one pair from the mean.",
        ),
    )


def _overhead_row(one: Measured) -> tuple[str, ...]:
    share = one.recorded.share.scaled(100)
    writer = 100 * one.recorded.writer_ns / one.recorded.plain_ns
    return (
        one.case.name,
        number(one.recorded.plain_ns / 1e6),
        f"{share.mean:.3f} %",
        f"{share.low:.3f} … {share.high:.3f} %",
        f"{100 * one.recorded.all_share:.2f} %",
        f"{100 * one.disabled.share.mean:+.3f} %",
        f"{writer:.3f} %",
        f"{one.recorded.rounds:,}",
        f"{100 * one.recorded.noise:.1f} %",
    )


def _break_even_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.case.milliseconds <= 1:
            micro, even = one.recorded.ns.scaled(1e-3), one.recorded.ns.scaled(1e-4)
            rows.append(
                (
                    one.case.name,
                    f"{number(micro.mean)} µs",
                    f"{number(micro.low)} … {number(micro.high)} µs",
                    f"{number(even.mean)} ms",
                    f"{number(even.low)} … {number(even.high)} ms",
                )
            )
    return Table(
        "Break-even: the shortest query whose overhead stays under 1 % (a hundred times what recording it costs)",
        ("query", "cost a query", "95 % interval", "break-even", "95 % interval"),
        rows,
        ("In queries of 1 ms the work itself cools the caches, so recording costs more there than in an empty loop.",),
    )


def checks(*measured: Measured) -> Iterator[Check]:
    """Cases against their budgets, and whether the store holds what was recorded."""
    for one in measured:
        if one.case.milliseconds:
            found, name, unit = one.recorded.share.scaled(100), "overhead", "%"
        else:
            found, name, unit = one.recorded.ns.scaled(1e-3), "cost a query", "µs"
        yield Check(f"{name}, {one.case.name}", found.mean, case_limit(one.case), unit, found.low, found.high)
    lost = sum(abs(one.queries - one.stored) for one in measured)
    yield Check(f"queries not in the store, of {sum(one.queries for one in measured):,}", lost, NONE)


def _figures(one: Measured) -> dict[str, object]:
    return {
        "recorded": one.recorded._asdict(),
        "disabled": one.disabled._asdict(),
        "queries": one.queries,
        "stored": one.stored,
    }
