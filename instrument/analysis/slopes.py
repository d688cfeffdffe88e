"""The slope of points by Theil and Sen, with its interval: one outlier, or ten, do not turn it.

Sen, Estimates of the regression coefficient based on Kendall's tau (1968); among points of the same season only, as in
Hirsch, Slack and Smith, Techniques of trend analysis for monthly water quality data (1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

_Z95, _Z99 = 1.959964, 2.575829

_MOST_LIKENESS = 0.8
"""The greatest autocorrelation that few points can be believed to show."""


class Slope(Struct, frozen=True):
    """The median slope a step, the interval of it (95 %), and whether the interval of 99 % leaves out 0."""

    slope: float
    low: float
    high: float
    is_certain: bool


def theil_sen(points: Sequence[tuple[int, float]], season: int = 1) -> Slope | None:
    """The slope of points, given as step and value; only points whole seasons apart are compared with each other.

    The interval is wider where neighbouring points repeat each other. None where no two points can be compared.
    """
    slopes = sorted(
        (later - earlier) / (b - a)
        for place, (a, earlier) in enumerate(points)
        for b, later in points[place + 1 :]
        if (b - a) % season == 0
    )
    if not slopes:
        return None
    half = len(slopes) // 2
    median = slopes[half] if len(slopes) % 2 else (slopes[half - 1] + slopes[half]) / 2
    # Sen's interval counts independent pairs; those within a season are, of a sum over the seasons.
    counts = [sum(step % season == own for step, _ in points) for own in range(season)]
    deviation = math.sqrt(sum(n * (n - 1) * (2 * n + 5) / 18 for n in counts)) * _wider(points, median, season) / 2
    low, high = _interval(slopes, _Z95 * deviation)
    least, most = _interval(slopes, _Z99 * deviation)
    is_known = _Z99 * deviation <= (len(slopes) - 1) / 2  # else so few slopes have no interval of 99 %
    return Slope(median, low, high, is_known and (least > 0 or most < 0))


def _wider(points: Sequence[tuple[int, float]], slope: float, season: int) -> float:
    """How much wider an interval is because neighbours are alike: what is left after slope and season follows AR(1).

    The correlation's bias in few points is added back (Kendall, Note on bias in the estimation of autocorrelation,
    1954). The factor is that of the variance of a mean, as for a trend in Hamed and Rao, A modified Mann-Kendall trend
    test for autocorrelated data (1998).
    """
    left: dict[int, float] = {}
    for own in range(season):
        values = {step: value - slope * step for step, value in points if step % season == own}
        mean = math.fsum(values.values()) / len(values) if values else 0.0
        left |= {step: value - mean for step, value in values.items()}
    squares = math.fsum(value * value for value in left.values())
    if squares <= 0:
        return 1.0
    likeness = math.fsum(value * left[step + 1] for step, value in left.items() if step + 1 in left) / squares
    likeness += (1 + 3 * likeness) / len(left)
    likeness = min(_MOST_LIKENESS, max(0.0, likeness))
    return math.sqrt((1 + likeness) / (1 - likeness))


def _interval(slopes: Sequence[float], reach: float) -> tuple[float, float]:
    """The slopes so many places to either side of the middle; beyond the ends, by their mean distance a place."""
    middle, last = (len(slopes) - 1) / 2, len(slopes) - 1
    gap = (slopes[-1] - slopes[0]) / max(1, last)
    low, high = math.floor(middle - reach), math.ceil(middle + reach)
    return (
        slopes[max(0, low)] - max(0, -low) * gap,
        slopes[min(last, high)] + max(0, high - last) * gap,
    )
