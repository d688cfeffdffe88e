"""A second look at a series: what differs from the same time of day before, little but for long, with a heavy tail.

numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

HISTORY_DAYS = 28
"""How many days of the same time a value is compared with."""


def seasonal_surprise(values: Sequence[float] | Array, *, day: int = 96, upper_only: bool = False) -> Array:
    """How surprising each value is against the same time of day before, on a scale on which 2.7 is rare.

    What is left after the median of the same time over four weeks, or after a slow mean where that was nearer of late,
    in units of its robust spread over two weeks, over 1, 3 and 6 intervals together; its tail is Hill's estimate.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    n = len(x)
    known = x[np.isfinite(x)]
    middle = float(np.median(np.abs(known[: 7 * day]))) if len(known) else 0.0
    y = np.arcsinh(2 * np.nan_to_num(x, nan=middle) / middle) if middle > 0 else np.zeros(n)
    z = _residuals(y, day)
    if upper_only:
        z = np.maximum(z, 0)
    sums = np.append(0.0, np.cumsum(z))
    strongest = np.abs(z)
    for width in (3, 6):
        places = np.arange(1, n + 1)
        total = np.abs(sums[places] - sums[np.maximum(0, places - width)]) / math.sqrt(width)
        strongest = np.maximum(strongest, 0.8 * total)
    return _tail_surprise(strongest, day)


def _residuals(y: Array, day: int) -> Array:
    """What a value differs from what was to be expected, in robust deviations of the last two weeks."""
    import numpy as np

    n = len(y)
    residuals = np.zeros(n)
    errors = [1.0, 1.0]
    level = float(y[0]) if n else 0.0
    spread = 1.0
    z = np.zeros(n)
    for place in range(n):
        same = y[place - day :: -day][:HISTORY_DAYS] if place >= day else y[:0]
        seasonal = float(np.median(same)) if len(same) >= 2 else level
        use = seasonal if len(same) >= 2 and errors[0] < errors[1] else level
        residuals[place] = y[place] - use
        errors[0] += 0.01 * (min(abs(y[place] - seasonal), 4 * spread) - errors[0])
        errors[1] += 0.01 * (min(abs(y[place] - level), 4 * spread) - errors[1])
        if place and place % max(1, day // 24) == 0:
            past = residuals[max(0, place - 14 * day) : place]
            spread = max(1.4826 * float(np.median(np.abs(past - np.median(past)))), 1e-6)
        z[place] = residuals[place] / spread if place >= 2 * day else 0.0
        level += 0.05 * max(-3 * spread, min(3 * spread, float(y[place]) - level))
    return z


def _tail_surprise(strength: Array, day: int) -> Array:
    import numpy as np

    found = np.zeros(len(strength))
    border, gamma, chance = 2.0, 0.3, 1.0
    step = max(1, day // 24)
    for place in range(2 * day, len(strength)):
        if place % step == 0:
            past = strength[2 * day : place][-28 * day :]
            border = max(2.0, float(np.quantile(past, 0.9))) if len(past) else 2.0
            beyond = past[past > border]
            gamma = (float(np.log(beyond / border).sum()) + 3.0) / (len(beyond) + 10)
            chance = (len(beyond) + 1) / (len(past) + 2)
        if strength[place] > border:
            found[place] = -math.log10(chance) + math.log10(strength[place] / border) / gamma
    return found
