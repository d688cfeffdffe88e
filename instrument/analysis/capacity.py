"""How many workers the recorded work needs, now and as it grows: by replaying it, not by a formula.

Recorded arrivals and durations go through k workers that take queries in the order of their arrival. That keeps bursts,
which formulas for queues average away. Growth is Theil and Sen's slope (Sen, Estimates of the regression coefficient
based on Kendall's tau, 1968) of the logarithms of daily totals, with its interval.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from datetime import date, timedelta

from msgspec import Struct

from instrument.analysis.slopes import theil_sen
from instrument.errors import NotEnoughDataError, UsageError

LEAST_DAYS = 14
"""Days of totals below which growth is not estimated."""

MOST_GROWTH = 64.0
"""Growth beyond which no limit is looked for."""

MOST_WORKERS = 4096

_LEAST_SLOPE = math.log(1.01) / 365
"""A slope of less than 1 % a year is no growth: a date would lie beyond any use."""


class Replay(Struct, frozen=True):
    """Recorded work through so many workers: response is waiting and working together, in seconds.

    `busy` is the share of the workers' time that was worked, 0 to 1; `waited` the share of queries that had to wait.
    """

    workers: int
    p50: float
    p95: float
    busy: float
    waited: float


class Growth(Struct, frozen=True):
    """How daily totals grow: the slope a day of their logarithm, and the interval of it (95 %)."""

    slope: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out no growth at all."""
        return self.low > _LEAST_SLOPE or self.high < -_LEAST_SLOPE


class Limit(Struct, frozen=True):
    """When the target will be missed: the `day`, the `earliest` and `latest` by the growth's interval.

    `growth` is the factor of today's volume at which that is; `latest` is None where it may take for ever.
    """

    growth: float
    day: date
    earliest: date
    latest: date | None


def replay(arrivals: Sequence[float], durations: Sequence[float], workers: int, *, growth: float = 1.0) -> Replay:
    """Send recorded queries through so many workers, first come, first served.

    Args:
        arrivals: when each query began, in seconds, in any order.
        durations: how long each took, in seconds.
        workers: how many queries are worked on at the same time, at least 1.
        growth: how many times as fast queries arrive; 2 halves the time between them.

    Raises:
        UsageError: for no workers, or growth that is not above 0.
        NotEnoughDataError: without a query.
    """
    if workers < 1:
        raise UsageError("a replay needs at least one worker")
    if not growth > 0:
        raise UsageError("growth is a factor above 0, such as 1.5")
    responses, work, waited, end = [], 0.0, 0, 0.0
    order = _in_order(arrivals, durations)
    first = order[0][0]
    free = [0.0] * min(workers, len(order))
    for arrival, duration in order:
        came = (arrival - first) / growth
        begin = max(came, heapq.heappop(free))
        heapq.heappush(free, begin + duration)
        responses.append(begin + duration - came)
        waited += begin > came
        work += duration
        end = max(end, begin + duration)
    responses.sort()
    return Replay(
        workers,
        percentile(responses, 0.5),
        percentile(responses, 0.95),
        min(1.0, work / (workers * end)) if end > 0 else 0.0,
        waited / len(responses),
    )


def waits(arrivals: Sequence[float], durations: Sequence[float], workers: int) -> list[float]:
    """How long each query waits for a worker, in seconds, in the order given; arguments as in `replay`, all finite."""
    found = [0.0] * len(arrivals)
    order = sorted(range(len(arrivals)), key=arrivals.__getitem__)
    free = [-math.inf] * min(workers, len(order))
    for place in order:
        begin = max(arrivals[place], heapq.heappop(free))
        heapq.heappush(free, begin + max(0.0, durations[place]))
        found[place] = begin - arrivals[place]
    return found


def _in_order(arrivals: Sequence[float], durations: Sequence[float]) -> list[tuple[float, float]]:
    if len(arrivals) != len(durations):
        raise UsageError(f"there are {len(arrivals)} arrivals and {len(durations)} durations")
    pairs = sorted(
        (arrival, max(0.0, duration))
        for arrival, duration in zip(arrivals, durations, strict=True)
        if math.isfinite(arrival) and math.isfinite(duration)
    )
    if not pairs:
        raise NotEnoughDataError("a replay needs recorded queries; there are none")
    return pairs


def percentile(ordered: Sequence[float], share: float) -> float:
    """A percentile of ordered values by linear interpolation; `share` is 0 to 1."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def workers_needed(
    arrivals: Sequence[float], durations: Sequence[float], target_p95: float, *, growth: float = 1.0
) -> int | None:
    """The least number of workers with which 95 % of the queries are answered within `target_p95` seconds.

    None where no number is enough, because the queries themselves take longer.
    """
    ordered = sorted(duration for duration in durations if math.isfinite(duration))
    if ordered and percentile(ordered, 0.95) > target_p95:
        return None
    low, high = 1, 1
    while replay(arrivals, durations, high, growth=growth).p95 > target_p95:
        low, high = high + 1, high * 2
        if high > MOST_WORKERS:
            return None
    while low < high:
        middle = (low + high) // 2
        if replay(arrivals, durations, middle, growth=growth).p95 <= target_p95:
            high = middle
        else:
            low = middle + 1
    return high


def growth_limit(arrivals: Sequence[float], durations: Sequence[float], workers: int, target_p95: float) -> float:
    """The growth from which on `workers` miss the target: 1 where they do today, infinite beyond `MOST_GROWTH`."""
    if replay(arrivals, durations, workers).p95 > target_p95:
        return 1.0
    if replay(arrivals, durations, workers, growth=MOST_GROWTH).p95 <= target_p95:
        return math.inf
    low, high = 1.0, MOST_GROWTH
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        if replay(arrivals, durations, workers, growth=middle).p95 > target_p95:
            high = middle
        else:
            low = middle
    return high


def growth_of(totals: Sequence[float]) -> Growth:
    """How daily totals grow, oldest first, the last day whole; days of the same weekday are compared with each other.

    Raises NotEnoughDataError for fewer than `LEAST_DAYS` days with queries.
    """
    points = [(day, math.log(total)) for day, total in enumerate(totals) if total > 0 and math.isfinite(total)]
    if len(points) < LEAST_DAYS:
        raise NotEnoughDataError(f"growth needs {LEAST_DAYS} days with queries; there are {len(points)}")
    found = theil_sen(points, season=7)
    if found is None:
        raise NotEnoughDataError("growth needs two days of the same weekday; there are none")
    return Growth(found.slope, found.low, found.high)


def limit_date(growth: Growth, factor: float, today: date) -> Limit | None:
    """When today's volume will have grown by `factor`; None where it may not grow, or where the factor is infinite."""
    if factor <= 1:
        return Limit(1.0, today, today, today)
    if math.isinf(factor) or not growth.is_certain or growth.slope <= 0:
        return None
    days = [math.log(factor) / slope if slope > _LEAST_SLOPE else math.inf for slope in (growth.slope, growth.high)]
    longest = math.log(factor) / growth.low if growth.low > _LEAST_SLOPE else math.inf
    if days[0] > 10 * 365:
        return None
    return Limit(
        factor,
        today + timedelta(days=round(days[0])),
        today + timedelta(days=math.floor(days[1])),
        None if longest > 10 * 365 else today + timedelta(days=math.ceil(longest)),
    )
