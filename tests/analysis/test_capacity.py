"""Recorded work replayed through workers: what waits, how many are needed, and when they will not be enough."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta

import pytest

from instrument.analysis.capacity import growth_limit, growth_of, limit_date, replay, workers_needed
from instrument.errors import NotEnoughDataError, UsageError


def poisson(count: int, rate: float, seconds: float, seed: int = 1) -> tuple[list[float], list[float]]:
    """Arrivals at `rate` a second and exponential durations of a mean of `seconds`."""
    chance, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        arrivals.append(now)
    return arrivals, [chance.expovariate(1 / seconds) for _ in range(count)]


def test_one_worker_does_one_query_after_the_other() -> None:
    done = replay([0, 0, 0], [1, 1, 1], 1)
    assert (done.p50, done.busy, done.waited) == (2, 1, pytest.approx(2 / 3))
    assert done.p95 == pytest.approx(2.9)


def test_enough_workers_make_nobody_wait() -> None:
    arrivals, durations = poisson(2000, 1, 1)
    done = replay(arrivals, durations, 1000)
    assert done.waited == 0
    assert done.p50 == pytest.approx((sorted(durations)[999] + sorted(durations)[1000]) / 2)


def test_one_workers_queue_waits_as_theory_says() -> None:
    # M/M/1 at a load of 0.5: the response is exponential with a mean of 2 (Kleinrock, Queueing Systems I, 3.2).
    arrivals, durations = poisson(100_000, 0.5, 1)
    done = replay(arrivals, durations, 1)
    assert done.p50 == pytest.approx(2 * math.log(2), rel=0.05)
    assert done.p95 == pytest.approx(2 * math.log(20), rel=0.05)
    assert done.busy == pytest.approx(0.5, rel=0.03)


def test_the_order_of_what_is_given_does_not_matter() -> None:
    arrivals, durations = poisson(500, 2, 1)
    pairs = list(zip(arrivals, durations, strict=True))
    random.Random(3).shuffle(pairs)
    assert replay([a for a, _ in pairs], [d for _, d in pairs], 3) == replay(arrivals, durations, 3)


def test_the_workers_needed_hold_the_target_and_one_fewer_does_not() -> None:
    arrivals, durations = poisson(5000, 4, 1)
    workers = workers_needed(arrivals, durations, 4.0)
    assert workers is not None
    assert replay(arrivals, durations, workers).p95 <= 4.0 < replay(arrivals, durations, workers - 1).p95
    more = workers_needed(arrivals, durations, 4.0, growth=2)
    assert more is not None
    assert more > workers


def test_no_number_of_workers_makes_a_query_shorter_than_it_is() -> None:
    assert workers_needed([0, 1, 2], [10, 10, 10], 5.0) is None


def test_the_growth_that_is_too_much_is_found() -> None:
    arrivals, durations = poisson(5000, 2, 1)
    factor = growth_limit(arrivals, durations, 4, 5.0)
    assert replay(arrivals, durations, 4, growth=factor * 0.98).p95 <= 5.0
    assert replay(arrivals, durations, 4, growth=factor * 1.02).p95 > 5.0
    assert growth_limit(arrivals, durations, 1, 5.0) == 1.0
    assert growth_limit([0.0, 1e6], [1.0, 1.0], 4, 5.0) == math.inf


def weeks(days: int, slope: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [(300 if day % 7 in (5, 6) else 1000) * math.exp(slope * day + chance.gauss(0, 0.05)) for day in range(days)]


def test_growth_is_found_beneath_a_weekly_rhythm() -> None:
    found = growth_of(weeks(56, 0.01))
    assert found.low <= 0.01 <= found.high
    assert found.is_certain
    assert found.slope == pytest.approx(0.01, abs=0.003)


def test_the_interval_of_growth_holds_the_truth_in_about_95_of_100_series() -> None:
    held = sum(found.low <= 0.005 <= found.high for found in (growth_of(weeks(42, 0.005, seed)) for seed in range(100)))
    assert held >= 88


def test_no_growth_gives_no_date() -> None:
    steady = growth_of(weeks(56, 0.0))
    assert not steady.is_certain
    assert limit_date(steady, 1.5, date(2026, 3, 1)) is None


def test_the_date_lies_within_its_range() -> None:
    growth = growth_of(weeks(70, 0.02))
    today = date(2026, 3, 1)
    limit = limit_date(growth, 2.0, today)
    assert limit is not None
    assert limit.latest is not None
    assert limit.earliest <= limit.day <= limit.latest
    assert abs(limit.day - (today + timedelta(days=math.log(2) / 0.02))) <= timedelta(days=8)
    assert limit_date(growth, 1.0, today) is not None
    assert limit_date(growth, math.inf, today) is None


@pytest.mark.parametrize("totals", [[], [5.0], [0.0] * 100, [math.nan] * 100, [7.0] * 13])
def test_growth_of_too_little_says_what_is_needed(totals: list[float]) -> None:
    with pytest.raises(NotEnoughDataError, match="needs 14 days"):
        growth_of(totals)


def test_questions_that_make_no_sense_are_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match="at least one worker"):
        replay([0], [1], 0)
    with pytest.raises(UsageError, match="factor above 0"):
        replay([0], [1], 1, growth=0)
    with pytest.raises(UsageError, match="1 arrivals and 2 durations"):
        replay([0], [1, 2], 1)
    with pytest.raises(NotEnoughDataError, match="there are none"):
        replay([], [], 1)
