"""Incidents in simulated agents' traffic are found, clean weeks stay quiet, and a finding explains itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import traffic

from instrument.analysis import incidents
from instrument.analysis.alarm_limits import BUDGET
from instrument.analysis.alarm_limits import limits as limits_of
from instrument.analysis.incidents import ALARM, Scores, alarms, count_scores, duration_scores, failure_scores

LEARNED = 3 * traffic.A_WEEK


def own_limits(one: Scores, days: int) -> list[float]:
    return limits_of(one.values, week=traffic.A_WEEK, learned=days * traffic.A_DAY)


def looks(given: traffic.Traffic) -> list[Scores]:
    return [
        count_scores(given.counts),
        failure_scores(given.failed, given.counts),
        duration_scores(given.durations),
    ]


@pytest.mark.parametrize(("rate", "least"), [(200, 0.92), (20, 0.65)])
def test_incidents_are_found_under_autocorrelated_load_and_clustered_errors(rate: int, least: float) -> None:
    found = total = false = series_weeks = 0
    for seed in range(12):
        given = traffic.simulate(rate, 6, seed=seed, stress=True)
        scores = looks(given)
        limits = [own_limits(one, days) for one, days in zip(scores, (14, 7, 7), strict=True)]
        raised = [alarms(one.values, own) for one, own in zip(scores, limits, strict=True)]
        for one in given.incidents:
            during = slice(one.first, one.last + 4)
            found += any(
                any(np.greater_equal(look.values[during], own[during]))
                for look, own in zip(scores, limits, strict=True)
            )
            total += 1
        near = [(one.first - 1, one.last + 16) for one in given.incidents]
        for places in raised:
            series_weeks += 3
            later = [place for place in places if place >= LEARNED]
            false += sum(not any(first <= place <= last for first, last in near) for place in later)
    assert found / total >= least
    assert false / series_weeks <= BUDGET


def test_clean_weeks_raise_hardly_an_alarm() -> None:
    raised = 0
    for seed in range(4):
        given = traffic.simulate(200, 5, seed=seed, stress=False, incidents=0)
        raised += sum(sum(place >= LEARNED for place in alarms(one.values)) for one in looks(given))
    assert raised <= 4  # 24 series and weeks


def one_incident(kind: str, rate: float = 200) -> tuple[list[Scores], traffic.Incident]:
    for seed in range(50):
        given = traffic.simulate(rate, 5, seed=seed, stress=False, incidents=7)
        for one in given.incidents:
            if one.kind == kind:
                return looks(given), one
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "place"), [("error burst", 1), ("latency shift", 2), ("traffic drop", 0), ("surge", 0)]
)
def test_a_finding_says_how_many_there_were_and_how_many_were_expected(kind: str, place: int) -> None:
    scores, one = one_incident(kind)
    found = [finding for finding in scores[place].findings[one.first : one.last + 4] if finding is not None]
    best = max(found, key=lambda finding: finding.score)
    assert best.kind == ("queries", "failures", "durations")[place]
    assert one.first - 16 <= best.first <= best.last <= one.last + 4
    if kind == "traffic drop":
        assert best.actual < best.expected / incidents.LEAST_EFFECT
    else:
        assert best.actual > best.expected * incidents.LEAST_EFFECT


def test_a_surge_does_not_raise_what_is_expected_of_the_next_day_by_much() -> None:
    calm = np.asarray(traffic.simulate(200, 5, seed=4, stress=False, incidents=0).counts)
    surge, after = slice(LEARNED + 36, LEARNED + 60), slice(LEARNED + 60, LEARNED + 60 + 72)  # six hours; 18 hours
    counts = calm.copy()
    counts[surge] = counts[surge] * 7 // 2  # the mean of the last day is 1.9 times as high then
    expected, usual = (sum(count_scores(each).expected[after]) for each in (counts, calm))
    assert expected < 1.3 * usual


def test_no_interval_changes_the_score_of_one_before_it() -> None:
    given = traffic.simulate(200, 3, seed=2, learned=2, incidents=3)
    whole = looks(given)
    for end in (0, 1, 100, 700, 1500):
        cut = traffic.Traffic(given.counts[:end], given.failed[:end], given.durations[:end], [])
        for part, one in zip(looks(cut), whole, strict=True):
            assert part.values == pytest.approx(one.values[:end])


@pytest.mark.parametrize("weekend", [(5, 6), (4, 5), (6, 0)])
@pytest.mark.parametrize("begun", [0, 230, 500])
def test_no_weekend_is_unusual_on_whichever_days_it_is_and_whenever_the_series_begins(
    weekend: tuple[int, int], begun: int
) -> None:
    chance = np.random.default_rng(3)
    places = begun + np.arange(5 * traffic.A_WEEK)
    day = 1 + 0.7 * np.sin((places % traffic.A_DAY / 4 - 9) / 24 * 2 * np.pi)
    means = 40 * day * np.where(np.isin(places // traffic.A_DAY % 7, weekend), 0.4, 1.0)
    look = count_scores(chance.poisson(means), begun=begun)
    assert [place for place in alarms(look.values, own_limits(look, 14)) if place >= LEARNED] == []


@pytest.mark.parametrize("n", [0, 1, 5, 96, 300])
@pytest.mark.parametrize("value", [0, 7])
def test_nothing_constant_or_empty_is_an_incident(n: int, value: int) -> None:
    counts: list[Any] = [value] * n
    for one in (
        count_scores(counts),
        failure_scores([0] * n, counts),
        failure_scores(counts, counts),
        duration_scores([[1.0] * value for _ in range(n)]),
    ):
        assert len(one.values) == n
        assert not any(score >= ALARM for score in one.values)


def test_neighbouring_scores_are_one_alarm() -> None:
    values = [0.0] * 100
    values[10:20] = [2.0] * 10
    values[60] = 2.0
    assert alarms(values) == [10, 60]
