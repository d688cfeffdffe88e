"""From which score on to raise an alarm, so that no more false ones come a week than the user allows.

The scores of `incidents` are made so that a calm series passes 0.8 about 1.3 times a week by chance, and each 0.27 more
is e times rarer. A series of one's own may differ: clustered failures pass it more often. So each series' own past says
how often its scores peak above 0.8, and by how much: the mean excess of an exponential tail, cut at three times its
median, so that real incidents among the peaks do not turn it. Both are drawn towards what a calm series has, the more
the fewer weeks are known. An exponential tail is the simplest of the generalised Pareto distributions:

    Davison and Smith, Models for exceedances over high thresholds (1990).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from instrument.analysis.incidents import ALARM, alarms

BUDGET = 0.25
"""False alarms that a series may raise a week, unless the user allows more or fewer."""

SMALLEST_BUDGET, LARGEST_BUDGET = 0.001, 20.0

_PEAK = 0.8
_EXCESS, _LARGEST_EXCESS = 0.27, 0.6
_KNOWN_PEAKS, _KNOWN_WEEKS = 10, 1.0
"""How many peaks, and weeks, of a calm series the own past is drawn towards."""

_CUT = 3.0
"""Peaks count up to so many times their median: what lies far beyond may have been an incident."""

_LOWER = 0.15
"""How far a very calm series may lower the limit."""


def least_score(budget: float = BUDGET) -> float:
    """The limit for a series that nothing is known of yet; `ALARM` at a quarter of an alarm a week."""
    return ALARM + _EXCESS * math.log(BUDGET / budget)


def limits(values: Sequence[float], *, week: int, learned: int, budget: float = BUDGET) -> list[float]:
    """The limit for each score: what the weeks before it say, renewed once a week.

    `week` is how many scores a week has; the first `learned` scores are not looked at, because too little was known
    when they were made. No limit depends on its own score or a later one.
    """
    found = [least_score(budget)] * len(values)
    for place in range(learned + week, len(values), week):
        limit = _limit(values[learned:place], (place - learned) / week, budget)
        found[place : place + week] = [limit] * len(found[place : place + week])
    return found


def _limit(past: Sequence[float], weeks: float, budget: float) -> float:
    peaks = _peaks(past)
    calm = BUDGET * math.exp((ALARM - _PEAK) / _EXCESS)
    rate = (len(peaks) + calm * _KNOWN_WEEKS) / (weeks + _KNOWN_WEEKS)
    cut = _CUT * median(peaks) if peaks else 0.0
    own = math.fsum(min(peak, cut) for peak in peaks) / (
        1 - math.pow(0.5, _CUT)
    )  # of an exponential tail that is cut there
    excess = min(_LARGEST_EXCESS, (own + _EXCESS * _KNOWN_PEAKS) / (len(peaks) + _KNOWN_PEAKS))
    return max(least_score(budget) - _LOWER, _PEAK + excess * math.log(max(1.0, rate / budget)))


def _peaks(past: Sequence[float]) -> list[float]:
    """How far the highest score of each alarm lies above 0.8."""
    begins = alarms(past, _PEAK)
    ends = [*begins[1:], len(past)]
    return [max(past[begin:end]) - _PEAK for begin, end in zip(begins, ends, strict=False)]
