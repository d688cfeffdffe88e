"""Forecasts of evenly spaced figures, with intervals: robust autoregressions and seasonal repetitions, combined.

Seven members, each simple, are combined by a weighted median; the weights are their errors at earlier origins of the
same series, and so are the intervals. No setting is fitted to a series; nothing looks ahead.

    Makridakis, Spiliotis, Assimakopoulos, The M4 competition (2020): the figures in docs/insight.md.

Days and weeks are the seasons, as far as `every_seconds` fits into them. numpy is imported when a function is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from instrument.analysis.forecast_members import Member, Seasons, members, seasons
from instrument.errors import NotEnoughDataError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Z95 = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""

LEAST_DAYS = 2
"""Days of history below which nothing is forecast."""

ORIGINS, INTERVAL_ORIGINS = 4, 8
"""Earlier points in time at which the members are weighed, and at which the intervals are measured."""


class Forecast(Struct, frozen=True):
    """What is expected: `mean` a step, and `low` and `high`, between which 95 of 100 values should come to lie.

    Each has `steps` values in the series' own unit.
    """

    mean: list[float]
    low: list[float]
    high: list[float]


def forecast(values: Sequence[float], steps: int, *, every_seconds: float = 3600) -> Forecast:
    """Forecast the next `steps` values of a series.

    Args:
        values: the history, oldest first, one value for each `every_seconds`; NaN and infinite values are filled by
            the value a day before, or interpolated.
        steps: how many values to forecast, at least 1.
        every_seconds: length of a step in seconds.

    Raises:
        NotEnoughDataError: where the history is shorter than two days, or than eight steps; it says what is needed.
    """
    y, season = _history(values, steps, every_seconds)
    return _combined(y, steps, season)


def expected(values: Sequence[float], steps: int, *, every_seconds: float = 3600) -> list[float]:
    """The means that `forecast` gives, in half of its time: without intervals, fewer earlier origins are tried."""
    import numpy as np

    y, season = _history(values, steps, every_seconds)
    each = members(season)
    ahead = np.array([member(y, steps) for member in each.values()])
    errors = [np.abs(found - truth) for found, truth in _past_forecasts(y, steps, season, each, ORIGINS)]
    found: list[float] = weighted_median(ahead, _weights(errors, len(each))).tolist()
    return found


def _history(values: Sequence[float], steps: int, every_seconds: float) -> tuple[Array, Seasons]:
    """The history without holes, and its seasons; raises where it is too short."""
    import numpy as np

    history = np.asarray(values, dtype=float)
    season = seasons(every_seconds)
    needed = max(8, LEAST_DAYS * season.day)
    if steps < 1:
        raise UsageError("a forecast needs at least one step")
    if np.isfinite(history).sum() < needed:
        raise NotEnoughDataError(f"a forecast needs {needed} values ({LEAST_DAYS} days); there are {len(history)}")
    return filled(history, season.day), season


def filled(values: Array, season: int) -> Array:
    """A history without holes: each missing value is that of the season before, else interpolated."""
    import numpy as np

    known = np.isfinite(values)
    if known.all():
        return values
    whole: Array = np.where(known, values, np.nan)
    for place in np.flatnonzero(~known):
        if place >= season:
            whole[place] = whole[place - season]
    missing = ~np.isfinite(whole)
    if missing.any():
        places = np.arange(len(whole))
        whole[missing] = np.interp(places[missing], places[~missing], whole[~missing])
    return whole


# -- the combination ---------------------------------------------------------------------------------------------------


def _combined(y: Array, steps: int, season: Seasons) -> Forecast:
    import numpy as np

    each = members(season)
    ahead = np.array([member(y, steps) for member in each.values()])
    past = _past_forecasts(y, steps, season, each, INTERVAL_ORIGINS)
    errors = [np.abs(found - truth) for found, truth in past[:ORIGINS]]
    weights = _weights(errors, len(each))
    mean = weighted_median(ahead, weights)
    margins = _margins(past, weights, steps)
    low, high = _interval(mean, margins, y)
    return Forecast(mean.tolist(), low.tolist(), high.tolist())


def _past_forecasts(
    y: Array, steps: int, season: Seasons, each: dict[str, Member], origins: int
) -> list[tuple[Array, Array]]:
    """What the members would have said at so many earlier origins, newest first, each beside what came."""
    import numpy as np

    days = len(y) / season.day
    horizon = min(steps, (2 if days >= LEAST_DAYS + 2 + ORIGINS else 1) * season.day)
    past = []
    for number in range(origins):
        origin = len(y) - horizon - season.day * number
        if origin < max(8, LEAST_DAYS * season.day):
            break
        found = np.array([member(y[:origin], horizon) for member in each.values()])
        past.append((found, y[origin : origin + horizon]))
    return past


def _weights(errors: list[Array], count: int) -> Array:
    """The inverses of the members' mean absolute errors, as shares; equal ones without any past."""
    import numpy as np

    if not errors:
        return np.full(count, 1 / count)
    mean = np.mean([error.mean(axis=1) for error in errors], axis=0)
    if float(mean.min()) <= 0:
        exact = (mean <= 0).astype(float)
        shares: Array = exact / exact.sum()
        return shares
    shares = mean.min() / mean
    return shares / float(shares.sum())


def weighted_median(rows: Array, weights: Array) -> Array:
    """The weighted median of each column; between two values where the weight is split evenly."""
    import numpy as np

    order = np.argsort(rows, axis=0)
    ordered = np.take_along_axis(rows, order, axis=0)
    share = np.cumsum(weights[order], axis=0)
    upper = np.argmax(share > 0.5 + 1e-9, axis=0)
    lower = np.argmax(share >= 0.5 - 1e-9, axis=0)
    columns = np.arange(rows.shape[1])
    middle: Array = (ordered[lower, columns] + ordered[upper, columns]) / 2
    return middle


def _root(y: Array) -> Array:
    import numpy as np

    rooted: Array = np.sign(y) * np.sqrt(np.abs(y))
    return rooted


def _margins(past: list[tuple[Array, Array]], weights: Array, steps: int) -> Array | None:
    """How far to either side 95 % lie at each step, on the square root's scale; None without any past.

    They follow from the squared errors at the earlier origins, averaged a step and smoothed over 13 steps, at most
    three times their median and never falling with the horizon.
    """
    import numpy as np

    if not past:
        return None
    errors = np.array([_root(weighted_median(found, weights)) - _root(truth) for found, truth in past])
    squares = np.mean(errors**2, axis=0)
    kernel = np.ones(min(13, len(squares)))
    smooth = np.convolve(squares, kernel, mode="same") / np.convolve(np.ones(len(squares)), kernel, mode="same")
    deviations = np.sqrt(smooth)
    middle = float(np.median(deviations))
    deviations = np.maximum.accumulate(np.minimum(deviations, 3 * middle) if middle > 0 else deviations)
    margins: Array = Z95 * deviations
    horizon = len(margins)
    if steps > horizon:  # beyond what was tried: as the square root of the distance grows
        more = margins[-1] * np.sqrt(np.arange(horizon + 1, steps + 1) / horizon)
        margins = np.append(margins, more)
    return margins


def _interval(mean: Array, margins: Array | None, y: Array) -> tuple[Array, Array]:
    import numpy as np

    if margins is None:
        margins = np.full(len(mean), 2 * Z95 * float(np.std(np.diff(_root(y)))))
    middle = _root(mean)
    low, high = middle - margins, middle + margins
    if float(y.min()) >= 0:
        low = np.maximum(low, 0)
    return np.sign(low) * low**2, np.sign(high) * high**2
