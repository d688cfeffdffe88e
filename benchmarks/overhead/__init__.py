"""The overhead claim: one workload undecorated, disabled and recorded, in turns, queries of 1, 10 and 100 ms of CPU.

How it is measured stands in `instrument_cli/overhead.py` and, for readers, in `docs/overhead.md`. Every record goes to
a real store on disk, and when a case is over, what lies there is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import once
from benchmarks.overhead.cases import Case, Measured, Shares, cases
from benchmarks.overhead.measuring import measure
from benchmarks.overhead.showing import break_even_table, overhead_table, parts_table, yardstick_table
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Limit, Section, limit, measured_in_passes, number

WATCHED, LEAST_WATCHED_SECONDS = 1.5, 12
"""How many times as long the writer is watched at the real pace as queries take turns, and how long at least.

It works in bursts: of six windows of half a second an interval is three times as wide as of twenty-four.
"""

UNDISTURBED_US = {(1, "hot"): 95, (1, "cold"): 140, (10, "hot"): 350, (10, "cold"): 350}
"""What the yardstick costs a query of so many ms, at most, on a machine whose caches are its own.

Where it costs more, the query's share is shown and not judged: only its ratio to the yardstick is.
"""


def run(short: bool = False) -> Section:
    """Measure every case, and at the end once more those that did not keep their budgets."""
    measured = measured_in_passes(list(cases()), partial(_measure_longer, short), checks)
    say("overhead: what happens once")
    first = once.measured(3 if short else 11)
    return Section(
        "overhead",
        [
            overhead_table(measured),
            parts_table(measured),
            yardstick_table(measured),
            break_even_table(measured),
            once.table(first),
        ],
        list(checks(*measured)),
        {"cases": {one.case.name: _figures(one) for one in measured}, "once": first},
    )


def _measure_longer(short: bool, case: Case, longer: int) -> Measured:
    seconds = longer * (2 if short else 15)
    watched = max(LEAST_WATCHED_SECONDS if case.milliseconds else 0, WATCHED * seconds)
    return measure(case, seconds, watched)


def case_limit(case: Case) -> Limit:
    """What is promised of a case: percent of its CPU time, or microseconds where it does nothing."""
    figure = ("percent", f"{case.milliseconds:g}") if case.milliseconds else ("microseconds",)
    return limit("overhead", *figure, case.temperature, case.kind)


def checks(*measured: Measured) -> Iterator[Check]:
    """Cases against their budgets, and whether the store holds what was recorded."""
    for one in measured:
        if one.shares is not None:
            yield from _share_checks(one.case, one.shares)
        elif one.loop is not None:
            found = one.loop.ns.scaled(1e-3)
            yield Check(f"cost a query, {one.case.name}", found.mean, case_limit(one.case), "µs", found.low, found.high)
    lost = sum(abs(one.queries - one.stored) for one in measured)
    yield Check(f"queries not in the store, of {sum(one.queries for one in measured):,}", lost, NONE)


def _share_checks(case: Case, shares: Shares) -> Iterator[Check]:
    percent, ratio = shares.percent, shares.to_by_hand
    yield Check(
        f"overhead, {case.name}",
        percent.mean,
        case_limit(case),
        "%",
        percent.low,
        percent.high,
        _disturbance(case, shares),
    )
    if ratio is not None:
        bound = limit("overhead", "to_by_hand", f"{case.milliseconds:g}", case.temperature, case.kind)
        yield Check(f"of a decorator by hand, {case.name}", ratio.mean, bound, "", ratio.low, ratio.high)


def _disturbance(case: Case, shares: Shares) -> str:
    """Why a share says nothing of recording: the yardstick costs more than on a machine whose caches are its own."""
    if shares.by_hand is None:
        return ""
    found, most = shares.by_hand.mean / 1e3, UNDISTURBED_US[int(case.milliseconds), case.temperature]
    return f"by hand {number(found)} µs, more than {number(most)}" if found > most else ""


def _figures(one: Measured) -> dict[str, object]:
    figures: dict[str, object] = {"queries": one.queries, "stored": one.stored}
    if one.loop is not None:
        figures["loop"] = one.loop._asdict()
    if one.shares is not None:
        figures.update(one.shares._asdict(), cost=one.shares.cost._asdict(), percent=one.shares.percent._asdict())
    return figures
