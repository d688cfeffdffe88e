"""Change points: where a series begins to behave differently, each with its probability.

A Bayesian segmentation with an exact sum over all segmentations. A segment is explained by a constant or by a straight
line, both with conjugate priors, so its evidence has a closed form:

    Bishop, Pattern Recognition and Machine Learning, section 3.5 (Bayesian linear regression, normal-inverse-gamma);
    Fearnhead, Exact and efficient Bayesian inference for multiple changepoint problems (2006), the recursions.

One setting serves every series; nothing is fitted to one. numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MARGIN = 5
"""Points to either side within which the probabilities of a change are added up: where exactly it was is uncertain."""

SHORTEST = 3
"""Points that a segment has at least."""

MOST_POINTS = 2000
"""A longer series is averaged in equal stretches first: time and memory grow with the square."""

_PRECISION, _SHAPE, _SCALE = 0.1, 1.5, 0.75
"""The prior of a segment: precision of its coefficients, shape and scale of its noise; the series has deviation 1."""

_SLOPE = 4.0
"""How far the regressor of a slope goes over the whole series."""

LARGEST = 1e150
"""Greater values count as missing: their squares are no numbers any more."""

_HALF_WINDOW, _OUTLIER = 3, 4 * 1.4826
"""A point that is this many median absolute deviations from its seven neighbours' median is an outlier, no change."""


class Change(Struct, frozen=True):
    """A change point: `index` is the first of the new regime, `probability` (0 to 1) that there is a change near it.

    `before` and `after` are the medians of the regimes on either side, in the series' own unit.
    """

    index: int
    probability: float
    before: float
    after: float


def change_points(values: Sequence[float], *, probability: float = 0.7) -> list[int]:
    """Return the first index of each new regime, ascending; NaN counts as a missing point."""
    return [change.index for change in changes(values, probability=probability)]


def changes(values: Sequence[float], *, probability: float = 0.7, autocorrelated: bool = False) -> list[Change]:
    """Find where a series changes its level or slope, ascending by index.

    Args:
        values: equally spaced figures; NaN and infinite values count as missing.
        probability: least probability of a change to be returned, 0 to 1.
        autocorrelated: weaken the evidence by what neighbouring points repeat of each other, (1 - r) / (1 + r) with
            the residuals' lag-1 autocorrelation r. Traffic needs it: its noise comes in clusters.
    """
    import numpy as np

    given = np.asarray(values, dtype=float)
    places = np.flatnonzero(np.abs(given) < LARGEST)
    known = given[places]
    if len(known) < 2 * SHORTEST:
        return []
    stretch = -(-len(known) // MOST_POINTS)
    points = _pooled(known, stretch)
    standard = _standardised(_without_outliers(points))
    if standard is None:
        return []
    temper = _independence(standard) if autocorrelated else 1.0
    chances = _probabilities(_evidence(standard) * temper)
    found = sorted(_picked(chances, probability))
    edges = [0, *(place * stretch for place, _ in found), len(known)]
    return [
        Change(
            int(places[edges[number]]),
            min(1.0, mass),
            float(np.median(known[edges[number - 1] : edges[number]])),
            float(np.median(known[edges[number] : edges[number + 1]])),
        )
        for number, (_, mass) in enumerate(found, 1)
    ]


def _pooled(values: Array, stretch: int) -> Array:
    import numpy as np

    if stretch == 1:
        return values
    starts = np.arange(0, len(values), stretch)
    sums: Array = np.add.reduceat(values, starts)
    return sums / np.diff(np.append(starts, len(values)))


def _without_outliers(values: Array) -> Array:
    """The series with each outlier replaced by its neighbours' median (Hampel's filter)."""
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, _HALF_WINDOW, mode="edge"), 2 * _HALF_WINDOW + 1)
    middle = np.median(windows, axis=1)
    spread = np.median(np.abs(windows - middle[:, None]), axis=1)
    cleaned: Array = np.where(np.abs(values - middle) > _OUTLIER * spread, middle, values)
    return cleaned


def _standardised(values: Array) -> Array | None:
    """The series with mean 0 and deviation 1; None for one that never changes."""
    import numpy as np

    spread = float(np.std(values))
    if not spread > 1e-12 * max(1.0, float(np.max(np.abs(values)))):
        return None
    scaled: Array = (values - np.mean(values)) / spread
    return scaled


def _independence(standard: Array) -> float:
    """How much of the evidence is left when neighbours repeat each other; at least a tenth."""
    import numpy as np

    chances = _probabilities(_evidence(standard))
    edges = [0, *sorted(place for place, _ in _picked(chances, 0.5)), len(standard)]
    residuals = np.concatenate([standard[a:b] - np.mean(standard[a:b]) for a, b in pairwise(edges)])
    power = float(np.dot(residuals, residuals))
    r = float(np.dot(residuals[1:], residuals[:-1])) / power if power > 0 else 0.0
    return max(0.1, (1 - max(0.0, r)) / (1 + max(0.0, r)))


def _evidence(y: Array) -> Array:
    """The log evidence of every segment: row its first point, column one past its last; -inf where too short."""
    import numpy as np

    n = len(y)
    found = np.full((n, n + 1), -np.inf)
    sums, squares = np.append(0, np.cumsum(y)), np.append(0, np.cumsum(y * y))
    steps = np.arange(n)
    moments = np.append(0, np.cumsum(y * steps))
    lengths = np.arange(n + 1, dtype=float)
    shapes = _SHAPE + lengths / 2
    constant = (
        -lengths / 2 * math.log(2 * math.pi)
        + _SHAPE * math.log(_SCALE)
        - math.lgamma(_SHAPE)
        + np.array([math.lgamma(shape) for shape in shapes])
    )
    unit = _SLOPE / n
    first = unit * lengths * (lengths - 1) / 2  # sum of the slope's regressor over a segment
    second = unit * unit * lengths * (lengths - 1) * (2 * lengths - 1) / 6  # and of its square
    level, trend = lengths + _PRECISION, second + _PRECISION
    determinant = level * trend - first * first
    level_gain = constant + 0.5 * (math.log(_PRECISION) - np.log(level))
    line_gain = constant + 0.5 * (2 * math.log(_PRECISION) - np.log(determinant))
    for start in range(n - SHORTEST + 1):
        ends = slice(start + SHORTEST, n + 1)
        m = slice(SHORTEST, n + 1 - start)
        total, square = sums[ends] - sums[start], squares[ends] - squares[start]
        slope = unit * (moments[ends] - moments[start] - start * total)
        flat = _SCALE + 0.5 * np.maximum(square - total * total / level[m], 0)
        fitted = (trend[m] * total * total - 2 * first[m] * total * slope + level[m] * slope * slope) / determinant[m]
        sloped = _SCALE + 0.5 * np.maximum(square - fitted, 0)
        found[start, ends] = np.logaddexp(
            level_gain[m] - shapes[m] * np.log(flat), line_gain[m] - shapes[m] * np.log(sloped)
        ) - math.log(2)
    return found


def _probabilities(evidence: Array) -> Array:
    """The probability of a change at every point, given the evidence of every segment."""
    import numpy as np

    n = len(evidence)
    price = math.log(n)
    forward, backward = np.full(n + 1, -np.inf), np.full(n + 1, -np.inf)
    forward[0] = backward[n] = 0.0
    before = np.full(n + 1, -price)  # each change costs ln n; the beginning of the series is none
    before[0] = 0.0
    for end in range(SHORTEST, n + 1):
        last = end - SHORTEST + 1
        forward[end] = _log_sum(forward[:last] + before[:last] + evidence[:last, end])
    after = np.append(np.full(n, -price), 0.0)
    for start in range(n - SHORTEST, -1, -1):
        first = start + SHORTEST
        backward[start] = _log_sum(backward[first:] + after[first:] + evidence[start, first:])
    chances: Array = np.exp(np.minimum(forward[:n] + backward[:n] - price - forward[n], 0))
    chances[0] = 0.0
    return chances


def _log_sum(values: Array) -> float:
    import numpy as np

    most = float(np.max(values))
    return most if most == -math.inf else most + math.log(float(np.sum(np.exp(values - most))))


def _picked(chances: Array, least: float) -> list[tuple[int, float]]:
    """The windows that hold at least so much probability, the likeliest first, each as its likeliest point."""
    import numpy as np

    left = chances.copy()
    found: list[tuple[int, float]] = []
    while True:
        masses = np.convolve(left, np.ones(2 * MARGIN + 1), mode="same")
        middle = int(np.argmax(masses))
        if masses[middle] < least:
            return found
        first = max(0, middle - MARGIN)
        window = left[first : middle + MARGIN + 1]
        found.append((first + int(np.argmax(window)), float(masses[middle])))
        left[first : middle + MARGIN + 1] = 0.0
