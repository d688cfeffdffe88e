"""What got worse since the period before: slower, or failing more often, than chance explains.

Slower: the median rose by a fifth at least, and by 3.5 standard errors of the difference of two log-normal medians. The
spread of the logarithms is taken from the median and the 95th percentile, which lie 1.645 deviations apart; the
standard error of a median is 1.2533 times that of a mean (normal approximation).
Failing: the share of failures rose by half at least, which the one-sided exact test of Fisher gives chance less than
one in 4,300, as much as 3.5 standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from instrument.analysis.differences import log10_tail
from instrument.analysis.side_by_side import Kind, Row
from instrument.analysis.standing_out import LEAST_FAILURES

LEAST = 20
"""Of fewer queries or calls, in either period, nothing is said."""

_SLOWER, _FAILING = 1.2, 1.5
_LOG10_CHANCE = -3.63
_DEVIATIONS, _TO_95, _OF_MEDIAN = 3.5, 1.6449, 1.2533
_LEAST_SPREAD = 0.05
"""Of the logarithms: the percentiles of a few values may lie too close together."""


class Worse(Struct, frozen=True):
    """One agent, tool, operation or model that got worse.

    `before` and `after` are medians in ms where it got `slower`, shares of failures where it is `failing`. `effect` is
    how many ms more it took, or how many more failed, altogether.
    """

    kind: Kind
    name: str
    how: Literal["slower", "failing"]
    before: float
    after: float
    effect: float


def worse(kind: Kind, rows: Iterable[Row], before: Mapping[str, Row]) -> list[Worse]:
    """Find what got worse among rows of one kind: first what fails, then what is slower, the greatest effect first."""
    failing, slower = [], []
    for row in rows:
        past = before.get(row.name)
        if past is None or min(row.count, past.count) < LEAST:
            continue
        failing += _failing(kind, row, past)
        slower += _slower(kind, row, past)
    return [each for found in (failing, slower) for each in sorted(found, key=lambda one: (-one.effect, one.name))]


def _failing(kind: Kind, row: Row, past: Row) -> list[Worse]:
    now, then = row.failure_rate or 0.0, past.failure_rate or 0.0
    if row.failed < LEAST_FAILURES or now < then * _FAILING:
        return []
    calls, failures = round(row.count + past.count), round(row.failed + past.failed)
    if log10_tail(round(row.failed), calls, failures, round(row.count)) > _LOG10_CHANCE:
        return []
    return [Worse(kind, row.name, "failing", then, now, (now - then) * row.count)]


def _slower(kind: Kind, row: Row, past: Row) -> list[Worse]:
    now, then = row.p50_ms, past.p50_ms
    if not now or not then or now < then * _SLOWER:
        return []
    error = _OF_MEDIAN * math.sqrt(_spread(row) ** 2 / row.count + _spread(past) ** 2 / past.count)
    if math.log(now / then) < _DEVIATIONS * error:
        return []
    return [Worse(kind, row.name, "slower", then, now, (now - then) * row.count)]


def _spread(row: Row) -> float:
    """The standard deviation of the logarithms of its durations."""
    if not row.p50_ms or not row.p95_ms:
        return _LEAST_SPREAD
    return max(math.log(row.p95_ms / row.p50_ms) / _TO_95, _LEAST_SPREAD)
