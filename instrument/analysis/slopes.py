"""The slope of points by Theil and Sen, with its interval: one outlier, or ten, do not turn it.

Sen, Estimates of the regression coefficient based on Kendall's tau (1968); among points of the same season only, as in
Hirsch, Slack and Smith, Techniques of trend analysis for monthly water quality data (1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

_Z95 = 1.959964


class Slope(Struct, frozen=True):
    """The median slope a step, and the interval of it (95 %)."""

    slope: float
    low: float
    high: float


def theil_sen(points: Sequence[tuple[int, float]], season: int = 1) -> Slope | None:
    """The slope of points, given as step and value; only points whole seasons apart are compared with each other.

    None where no two points can be compared.
    """
    slopes = sorted(
        (later - earlier) / (b - a)
        for place, (a, earlier) in enumerate(points)
        for b, later in points[place + 1 :]
        if (b - a) % season == 0
    )
    if not slopes:
        return None
    # Sen's interval counts independent pairs; those within a season are, of a sum over the seasons.
    counts = [sum(step % season == own for step, _ in points) for own in range(season)]
    reach = _Z95 * math.sqrt(sum(n * (n - 1) * (2 * n + 5) / 18 for n in counts)) / 2
    middle = (len(slopes) - 1) / 2
    low = slopes[max(0, math.floor(middle - reach))]
    high = slopes[min(len(slopes) - 1, math.ceil(middle + reach))]
    half = len(slopes) // 2
    median = slopes[half] if len(slopes) % 2 else (slopes[half - 1] + slopes[half]) / 2
    return Slope(median, low, high)
