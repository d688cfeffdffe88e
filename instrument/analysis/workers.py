"""How many workers a store's queries need, now and as they grow, in figures and sentences: `capacity` over a store."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

from msgspec import Struct

from instrument.analysis import capacity
from instrument.analysis.capacity import Growth, Limit, Replay
from instrument.analysis.periods import Period
from instrument.analysis.series import series
from instrument.analysis.wording import count, duration, percent, several
from instrument.errors import NotEnoughDataError, UsageError
from instrument.store.tables import Tables

REPLAYED, MOST_QUERIES = timedelta(days=7), 200_000
"""What is replayed: the last week, and of it the last queries, at most so many."""

ASSUMPTIONS = (
    "a query occupies one worker for as long as it was recorded to take; a duration that contains waiting for a worker "
    "counts the waiting twice",
    "queries are taken in the order in which they came; none is dropped or tried again",
    "growth brings queries closer together and leaves their durations and daily rhythm as they are",
)


class Capacity(Struct, frozen=True):
    """Recorded work against so many workers and a target for the p95 of the response (waiting and working), in seconds.

    `needed_now` and `needed_doubled` are the least workers that hold the target; None where no number does. `growth` is
    None where history is too short for it; `limit` where no date can be given, `sentences` say why.
    """

    workers: int
    target_s: float
    queries: int
    days: float
    now: Replay
    needed_now: int | None
    needed_doubled: int | None
    growth: Growth | None
    limit: Limit | None
    sentences: list[str]
    assumptions: list[str]


class _Work(NamedTuple):
    arrivals: list[float]
    durations: list[float]


def capacity_of(tables: Tables, period: Period, workers: int, target_s: float) -> Capacity:
    """Replay the last week of a period, and say when its growth misses the target.

    Raises UsageError for workers or a target that make no sense, NotEnoughDataError without a query.
    """
    if not (math.isfinite(target_s) and target_s > 0):
        raise UsageError(f"a target of {target_s:g} s is none; give seconds above 0")
    work = _work(tables, period)
    now = capacity.replay(work.arrivals, work.durations, workers)
    needed = capacity.workers_needed(work.arrivals, work.durations, target_s)
    doubled = capacity.workers_needed(work.arrivals, work.durations, target_s, growth=2)
    growth, missing = _growth(tables, period)
    factor = capacity.growth_limit(work.arrivals, work.durations, workers, target_s)
    today = period.until.astimezone(period.zone).date()
    limit = None if growth is None else capacity.limit_date(growth, factor, today)
    days = (max(work.arrivals) - min(work.arrivals)) / 86400
    sentences = [
        _of_now(now, target_s),
        _of_workers(needed, doubled, target_s, work),
        _of_growth(growth, missing),
        _of_limit(limit, growth, factor, workers),
    ]
    return Capacity(
        workers, target_s, len(work.arrivals), days, now, needed, doubled, growth, limit, sentences, list(ASSUMPTIONS)
    )


def _work(tables: Tables, period: Period) -> _Work:
    if tables.weighted:
        raise NotEnoughDataError("a replay needs every query; this store holds a sample (the setting sample_rate)")
    since = round((period.until - REPLAYED).timestamp() * 1e6)
    rows = tables.rows(
        f"""SELECT started_us / 1e6, duration_ms / 1e3 FROM queries
        WHERE parent_id IS NULL AND duration_ms IS NOT NULL AND started_us >= {since}
        ORDER BY started_us DESC LIMIT {MOST_QUERIES}"""
    )
    if not rows:
        raise NotEnoughDataError("a replay needs queries of the last 7 days; there are none")
    return _Work([arrival for arrival, _ in rows], [seconds for _, seconds in rows])


def _growth(tables: Tables, period: Period) -> tuple[Growth | None, str]:
    """The growth by whole days, or why there is none."""
    days = series(tables, "queries", period, 86400.0)[0]
    values = days.values if days.is_last_whole else days.values[:-1]
    recorded = days.recorded[: len(values)]
    first = recorded.index(True) + 1 if any(recorded) else len(values)
    try:
        return capacity.growth_of([value or 0.0 for value in values[first:]]), ""
    except NotEnoughDataError as error:
        return None, str(error)


def _of_now(now: Replay, target_s: float) -> str:
    verdict = "within" if now.p95 <= target_s else "beyond"
    return (
        f"With {several(now.workers, 'worker')}, 95 % of the last week's queries are answered within {_time(now.p95)}, "
        f"{verdict} the target of {_time(target_s)}; {percent(now.waited)} have to wait, and the workers are busy "
        f"{percent(now.busy)} of the time."
    )


def _of_workers(needed: int | None, doubled: int | None, target_s: float, work: _Work) -> str:
    if needed is None:
        alone = capacity.percentile(sorted(work.durations), 0.95)
        return f"No number of workers holds {_time(target_s)}: the queries alone take {_time(alone)} at the p95."
    twice = f"{count(doubled)} at twice the volume" if doubled is not None else "more than can be had at twice it"
    return f"The target needs {several(needed, 'worker')} at today's volume, {twice}."


def _of_growth(growth: Growth | None, missing: str) -> str:
    if growth is None:
        return f"How fast queries grow cannot be said: {missing}."
    weekly = [percent_of(7 * slope) for slope in (growth.slope, growth.low, growth.high)]
    return f"The number of queries changes by {weekly[0]} a week (95 %: {weekly[1]} … {weekly[2]})."


def percent_of(slope: float) -> str:
    """A logarithm's slope as a signed percentage."""
    return f"{math.expm1(slope) * 100:+.1f} %"


def _of_limit(limit: Limit | None, growth: Growth | None, factor: float, workers: int) -> str:
    if factor <= 1:
        return "The target is missed today."
    room = "64 times" if math.isinf(factor) else f"{factor:.2g} times"
    held = f"{several(workers, 'worker')} hold{'s' * (workers == 1)} the target up to {room} today's volume"
    if limit is not None:
        latest = f"{limit.latest:%d %b %Y}" if limit.latest else "never, perhaps"
        return f"{held}: it is missed on {limit.day:%d %b %Y} ({limit.earliest:%d %b %Y} … {latest})."
    if math.isinf(factor):
        return f"{held}, and more was not tried: there is no date."
    if growth is None:
        return f"{held}; there is no date without a growth."
    if growth.is_certain and growth.slope <= 0:
        return f"{held}; queries become fewer, so there is no date."
    if growth.is_certain:
        return f"{held}; at this growth that is more than ten years away."
    return f"{held}; the growth may be none at all (its interval contains 0), so there is no date."


def _time(seconds: float) -> str:
    return duration(seconds * 1000)
