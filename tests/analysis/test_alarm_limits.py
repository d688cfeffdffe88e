"""The limits of alarms follow from a series' own past and from the false alarms that the user allows."""

from __future__ import annotations

import random

import pytest

from instrument.analysis.alarm_limits import BUDGET, least_score, limits
from instrument.analysis.incidents import ALARM, alarms

WEEK = 672


def noise(weeks: int, peaks_a_week: float, excess: float = 0.27, seed: int = 1) -> list[float]:
    """Scores that chance lifts above 0.8 so many times a week."""
    chance = random.Random(seed)
    return [
        0.8 + chance.expovariate(1 / excess) if chance.random() < peaks_a_week / WEEK else 0.2
        for _ in range(weeks * WEEK)
    ]


def test_a_series_without_a_past_has_the_limit_of_the_simulations() -> None:
    assert limits([0.2] * WEEK, week=WEEK, learned=WEEK) == [ALARM] * WEEK
    assert limits([], week=WEEK, learned=WEEK) == []


@pytest.mark.parametrize("peaks", [1.3, 5, 15])
@pytest.mark.parametrize("budget", [0.1, 0.25, 1.0])
def test_chance_raises_about_as_many_alarms_as_the_budget_allows(peaks: float, budget: float) -> None:
    raised = weeks = 0
    for seed in range(20):
        values = noise(12, peaks, seed=seed)
        own = limits(values, week=WEEK, learned=WEEK, budget=budget)
        raised += sum(place >= 6 * WEEK for place in alarms(values, own))
        weeks += 6
    assert raised / weeks <= 2 * budget


def test_a_loud_series_gets_a_higher_limit_and_a_larger_budget_a_lower_one() -> None:
    quiet, loud = (limits(noise(6, peaks), week=WEEK, learned=WEEK)[-1] for peaks in (0.5, 20))
    assert quiet < loud
    assert limits(noise(6, 20), week=WEEK, learned=WEEK, budget=2.0)[-1] < loud
    assert least_score(1.0) < least_score(BUDGET) == ALARM < least_score(0.05)


def test_a_great_incident_does_not_hide_the_next_one() -> None:
    values = noise(6, 1.3)
    values[3 * WEEK : 3 * WEEK + 20] = [25.0] * 20
    assert limits(values, week=WEEK, learned=WEEK)[-1] < 2


def test_no_score_changes_a_limit_before_or_at_it() -> None:
    values = noise(6, 10)
    whole = limits(values, week=WEEK, learned=WEEK)
    for end in (0, 1, WEEK, 3 * WEEK + 7):
        assert limits(values[:end], week=WEEK, learned=WEEK) == whole[:end]
        changed = [*values[: end - 1], 9.0, *values[end:]] if end else values
        assert limits(changed, week=WEEK, learned=WEEK)[:end] == whole[:end]
