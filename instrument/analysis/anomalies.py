"""Unusual stretches of any series, found online: by how new what comes is against all that came before.

A stretch is as new as its distance to the nearest stretch of the same length in the past. How surprising a distance is
follows from the tail of the distances so far:

    Hill, A simple general approach to inference about the tail of a distribution (1975).

A score depends on nothing after its point, and no setting is fitted to a series. It suits series about which nothing is
known; `incidents.py` knows what counts, rates and durations are. numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

ALARM = 0.5
"""A score of this and more is an alarm."""

PROBATION = 300
"""Points at the beginning during which a series is only learned from, unless told otherwise."""

LARGEST = 1e150
"""Greater values count as missing: their squares are no numbers any more."""

_BLOCKS = 104
"""Blocks that the probation is divided into: points are taken together where they come more densely than needed."""

_MOST_DISTANCES, _RENEWED = 3000, 10


class _Setting(Struct, frozen=True):
    """Widths of the stretches in blocks; weight of their form; least distance that can surprise; the tail's prior;
    the share of the probation after which distances are learned from; the least mean surprise of an alarm.
    """

    widths: tuple[int, ...]
    shape: float
    least: float
    tail: float
    begin: float
    threshold: float


_STRICT = _Setting(widths=(1, 2, 4, 8), shape=0.3, least=0.04, tail=0.5, begin=0.5, threshold=0.55)
_RANGED = _Setting(widths=(1, 3, 6, 12), shape=0.0, least=0.02, tail=1.0, begin=0.12, threshold=0.402)


def scores(
    times: Sequence[float] | None,
    values: Sequence[float],
    *,
    probation: int = PROBATION,
    value_range: tuple[float, float] | None = None,
) -> list[float]:
    """Score each point of a series, 0 to 1; 0.5 and more is an alarm.

    Args:
        times: the points' times in seconds, for which None stands for evenly spaced ones; only their order counts.
        values: the points' values; a missing one (NaN) or an infinite one repeats the one before.
        probation: how many points are only learned from, at least 20; they score 0.
        value_range: least and greatest value that the series can have, where that is known.
    """
    import numpy as np

    if times is not None and len(times) != len(values):
        raise ValueError(f"there are {len(times)} times and {len(values)} values")
    given = _known(np.asarray(values, dtype=float))
    probation = max(20, probation)
    novelty = _novelty(given, probation, value_range)
    setting = _STRICT if value_range is None else _RANGED
    return _alarms(novelty, probation, setting.threshold)


def _known(values: Array) -> Array:
    import numpy as np

    known = np.abs(values) < LARGEST
    if known.all():
        return values
    if not known.any():
        return np.zeros(len(values))
    places = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    first = int(np.argmax(known))
    filled: Array = values[np.maximum(places, first)]
    filled[:first] = 0.0  # nothing was known yet, and what comes later may not tell
    return filled


def _novelty(values: Array, probation: int, value_range: tuple[float, float] | None) -> Array:
    """How surprisingly new each point is, 0 where it is not; a block's last point has the block's figure."""
    import numpy as np

    setting = _STRICT if value_range is None else _RANGED
    size = max(1, probation // _BLOCKS)
    count = len(values) // size
    blocks = values[: count * size].reshape(count, size)
    scales = _scales(blocks) if value_range is None else np.full(count, max(value_range[1] - value_range[0], 1e-12))
    first = int(setting.begin * (probation // size))
    total = np.zeros(count)
    for stream in (blocks.mean(axis=1), _extremes(blocks)):
        for width in setting.widths:
            distances = _distances(stream, scales, width, setting.shape)
            total += _surprises(distances, first, setting)
    found = np.zeros(len(values))
    if count:
        found[size - 1 : count * size : size] = total / (2 * len(setting.widths))
    return found


def _extremes(blocks: Array) -> Array:
    """Of each block the value that is farthest from the recent mean."""
    import numpy as np

    if not len(blocks):
        return np.zeros(0)
    means, lows, highs = blocks.mean(axis=1), blocks.min(axis=1), blocks.max(axis=1)
    found = np.zeros(len(blocks))
    recent = float(means[0])
    for place in range(len(blocks)):
        high, low = float(highs[place]), float(lows[place])
        found[place] = high if high - recent >= recent - low else low
        recent = (recent + float(means[place])) / 2
    return found


def _scales(blocks: Array) -> Array:
    """What distances are measured by at each block: the spread of all values up to then."""
    import numpy as np

    found = np.zeros(len(blocks))
    size = blocks.shape[1]
    flat = blocks.ravel()
    spread = 1e-12
    for place in range(len(blocks)):
        if place < 200 or place % _RENEWED == 0:
            past = flat[: (place + 1) * size]
            low, high = np.quantile(past, (0.03, 0.97))
            spread = max(float(high - low), 0.3 * float(past.max() - past.min()), 1e-12)
        found[place] = spread
    return found


def _distances(stream: Array, scales: Array, width: int, shape: float) -> Array:
    """The distance of each window to the nearest one before it that it does not overlap; 0 for the first ones."""
    import numpy as np

    found = np.zeros(len(stream))
    if len(stream) < 2 * width:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(stream, width)
    lows = windows.min(axis=1, keepdims=True)
    spreads = windows.max(axis=1, keepdims=True) - lows
    forms = (windows - lows) / np.where(spreads > 0, spreads, 1.0)
    for place in range(width, len(windows)):
        past = place - width + 1
        apart = np.abs(windows[:past] - windows[place]).mean(axis=1) / scales[place + width - 1]
        if shape and width > 1:
            apart = apart + shape * np.abs(forms[:past] - forms[place]).mean(axis=1)
        found[place + width - 1] = apart.min()
    return found


def _surprises(distances: Array, first: int, setting: _Setting) -> Array:
    """How surprising each distance is against those before it: minus log10 of the chance of a greater one."""
    import numpy as np

    found = np.zeros(len(distances))
    border, gamma, chance = setting.least, setting.tail, 1.0
    for place in range(first, len(distances)):
        if (place - first) % _RENEWED == 0:
            past = distances[max(first, place - _MOST_DISTANCES) : place]
            positive = past[past > 0]
            border = max(setting.least, float(np.quantile(positive, 0.9))) if len(positive) else setting.least
            beyond = past[past > border]
            gamma = (float(np.log(beyond / border).sum()) + 10 * setting.tail) / (len(beyond) + 10)
            chance = (len(beyond) + 1) / (len(past) + 2)
        if distances[place] > border:
            found[place] = -math.log10(chance) + math.log10(distances[place] / border) / gamma
    return found


def _alarms(novelty: Array, probation: int, threshold: float) -> list[float]:
    """Scores in which an alarm is 0.5 and more: each makes the next dearer for a while, and stands for its stretch."""
    found = [0.0] * len(novelty)
    habit, last, height = 0.0, -math.inf, 0.0
    for place, z in enumerate(novelty.tolist()):
        habit *= 0.5 ** (1 / (2 * probation))
        if place < probation or z <= 0:
            continue
        limit = threshold * (1 + habit)
        score = z / (z + limit)
        if score >= ALARM and place - last <= 0.2 * probation and z < 3 * height:
            score = 0.499
        if score >= ALARM:
            habit, last, height = habit + 0.2, place, z
        found[place] = score
    return found
