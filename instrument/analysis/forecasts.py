"""Forecasts of evenly spaced figures, with intervals: robust autoregressions and seasonal repetitions, combined.

Seven members, each simple, are combined by a weighted median; the weights are their errors at earlier origins of the
same series, and so are the intervals. No setting is fitted to a series; nothing looks ahead.

    Huber, Robust estimation of a location parameter (1964): the weights of the autoregressions' residuals;
    Makridakis, Spiliotis, Assimakopoulos, The M4 competition (2020): the figures in docs/insight.md.

Days and weeks are the seasons, as far as `every_seconds` fits into them. numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from instrument.errors import NotEnoughDataError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Member = Callable[["Array", int], "Array"]

Z95 = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""

LEAST_DAYS = 2
"""Days of history below which nothing is forecast."""

ORIGINS, INTERVAL_ORIGINS = 4, 8
"""Earlier points in time at which the members are weighed, and at which the intervals are measured."""

_DAY = 86400.0


class Forecast(Struct, frozen=True):
    """What is expected: `mean` a step, and `low` and `high`, between which 95 of 100 values should come to lie.

    Each has `steps` values in the series' own unit.
    """

    mean: list[float]
    low: list[float]
    high: list[float]


class Seasons(Struct, frozen=True):
    """How many steps a day and a week have; `week` is 0 where steps are too long or history too short for one."""

    day: int
    week: int


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
    import numpy as np

    history = np.asarray(values, dtype=float)
    season = seasons(every_seconds)
    needed = max(8, LEAST_DAYS * season.day)
    if steps < 1:
        raise UsageError("a forecast needs at least one step")
    if np.isfinite(history).sum() < needed:
        raise NotEnoughDataError(f"a forecast needs {needed} values ({LEAST_DAYS} days); there are {len(history)}")
    return _combined(filled(history, season.day), steps, season)


def seasons(every_seconds: float) -> Seasons:
    """How many steps of that length a day and a week have; a step of a day and more leaves the week alone."""
    day = round(_DAY / every_seconds)
    if day < 2:
        return Seasons(max(1, round(7 * _DAY / every_seconds)), 0)
    return Seasons(day, 7 * day)


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


# -- the members -------------------------------------------------------------------------------------------------------


def _members(season: Seasons) -> dict[str, Member]:
    day, week = season.day, season.week
    members: dict[str, Member] = {
        "log": lambda y, h: autoregression(y, h, season, half_life=14 * day, ridge=1e-4, logs=True),
        "level": lambda y, h: autoregression(y, h, season, half_life=28 * day, ridge=1e-3, logs=False),
        "differences": lambda y, h: _of_differences(y, h, season),
        "day before": lambda y, h: _repeated(y, h, day, day),
        "usual day, at this level": lambda y, h: _usual_day(y, h, day),
    }
    if week:
        members["week before"] = lambda y, h: _repeated(y, h, week, day)
        members["week before, at this level"] = lambda y, h: _repeated_at_level(y, h, week, day)
    return members


def _repeated(y: Array, steps: int, season: int, day: int) -> Array:
    """The last season, again and again; as many whole days of it as there are."""
    import numpy as np

    season = min(season, max(len(y) // day, 1) * day, len(y))
    repeated: Array = y[-season:][np.arange(steps) % season]
    return repeated


def _usual_day(y: Array, steps: int, day: int) -> Array:
    """The days before, each weighing 0.4 of the next, at the last one's level."""
    import numpy as np

    days = y[-(len(y) // day) * day :].reshape(-1, day)[-14:]
    weights = 0.4 ** np.arange(len(days) - 1, -1, -1.0)
    usual = weights @ days / weights.sum()
    last, mean = float(days[-1].mean()), float(usual.mean())
    ratio = last / mean if last > 0 and mean > 0 else 1.0
    ahead: Array = (usual * ratio)[np.arange(steps) % day]
    return ahead


def _repeated_at_level(y: Array, steps: int, week: int, day: int) -> Array:
    """The last week, moved half of the way by which it differed from the week before."""
    import numpy as np

    repeated = _repeated(y, steps, week, day)
    if len(y) < 2 * week:
        return repeated
    last, before = float(np.mean(y[-week:])), float(np.mean(y[-2 * week : -week]))
    ratio = last / before if before > 0 and last > 0 else 1.0
    return repeated * math.sqrt(min(2.0, max(0.5, ratio)))


def _of_differences(y: Array, steps: int, season: Seasons) -> Array:
    """An autoregression of what changed since the day before, added up again."""
    import numpy as np

    day = season.day
    if len(y) <= 2 * day + 8:
        return _repeated(y, steps, day, day)
    change = _Scale.of(y)
    x = change.into(y)
    differences = autoregression(
        x[day:] - x[:-day], steps, season, half_life=28 * day, ridge=1e-3, logs=False, profile=False, bounded=False
    )
    grown = list(x[-day:])
    for step in range(steps):
        grown.append(grown[step] + differences[step])
    return _bounded(change.back(np.asarray(grown[day:])), y)


class _Scale(Struct, frozen=True):
    """Logarithms where the values allow them: of x + 1 where there are zeros, none where any is negative."""

    kind: str

    @classmethod
    def of(cls, y: Array) -> _Scale:
        least = float(y.min())
        return cls("level" if least < 0 else "log" if least > 0 else "log1p")

    def into(self, y: Array) -> Array:
        import numpy as np

        changed: Array = np.log(y) if self.kind == "log" else np.log1p(y) if self.kind == "log1p" else y
        return changed

    def back(self, x: Array) -> Array:
        import numpy as np

        if self.kind == "level":
            return x
        safe = np.minimum(x, 700.0)  # the bound below cuts it; beyond that exp overflows
        changed: Array = np.exp(safe) if self.kind == "log" else np.expm1(safe)
        return changed


def autoregression(
    y: Array,
    steps: int,
    season: Seasons,
    *,
    half_life: float,
    ridge: float,
    logs: bool,
    profile: bool = True,
    bounded: bool = True,
) -> Array:
    """Forecast by a robust autoregression on the recent past, the days before and the week before.

    Rows are weighted by age (half of it every `half_life` steps) and reweighted five times against outliers (Huber).
    `profile` gives each hour of the day a level of its own; else there is one constant. `bounded` keeps the forecast
    within the range of the history, widened by half to either side.
    """
    import numpy as np

    change = _Scale.of(y) if logs else _Scale("level")
    x = change.into(y)
    centre, spread = float(np.mean(x)), float(np.std(x))
    if not spread > 1e-12 * max(1.0, abs(centre)):
        return np.full(steps, y[-1])
    x = (x - centre) / spread
    lags = _lags(len(x), season)
    if len(x) - max(lags) < 8:
        return _repeated(y, steps, season.day, season.day)
    coefficients = _fit(x, lags, season.day if profile else 1, half_life, ridge)
    ahead = _recursion(x, lags, coefficients, steps, season.day if profile else 1)
    found = change.back(ahead * spread + centre)
    return _bounded(found, y) if bounded else found


def _lags(n: int, season: Seasons) -> list[int]:
    """The lags in use: the last points, those about a day before, whole days before, those about a week before."""
    day, week = season.day, season.week
    wanted = {1, 2, 3, *range(day - 2, day + 3)}
    wanted |= {day * number for number in range(2, 7)} if week else set()
    wanted |= set(range(week - 2, week + 3)) if week else set()
    room = min(max(week, 7 * day), max(2 * day, n - 2 * day - 2))
    kept = [lag for lag in sorted(wanted) if lag >= 1 and n - lag >= room]
    return kept or [1]


def _fit(x: Array, lags: list[int], hours: int, half_life: float, ridge: float) -> Array:
    import numpy as np

    first, n = max(lags), len(x)
    design = np.zeros((n - first, len(lags) + hours))
    for column, lag in enumerate(lags):
        design[:, column] = x[first - lag : n - lag]
    times = np.arange(first, n)
    design[np.arange(n - first), len(lags) + times % hours] = 1.0
    target = x[first:]
    weights: Array = 0.5 ** ((n - 1 - times) / half_life)
    penalty = np.append(np.full(len(lags), ridge), np.full(hours, 1e-3)) * weights.sum()
    robust = weights
    coefficients: Any = None
    for _ in range(6):
        weighted = design * robust[:, None]
        coefficients = np.linalg.solve(weighted.T @ design + np.diag(penalty), weighted.T @ target)
        residuals = np.abs(target - design @ coefficients)
        scale = 1.4826 * float(np.median(residuals))
        if scale <= 1e-12:
            break
        robust = weights * np.minimum(1.0, 0.5 * scale / np.maximum(residuals, 1e-12))
    solved: Array = coefficients
    return solved


def _recursion(x: Array, lags: list[int], coefficients: Array, steps: int, hours: int) -> Array:
    import numpy as np

    n, reach = len(x), max(lags)
    line = np.append(x[-reach:], np.zeros(steps))
    places = reach - np.asarray(lags)
    levels = coefficients[len(lags) :]
    slopes = coefficients[: len(lags)]
    most = 4.0 + 2.0 * float(np.max(np.abs(x)))
    for step in range(steps):
        value = float(line[places + step] @ slopes) + float(levels[(n + step) % hours])
        line[reach + step] = min(most, max(-most, value))
    ahead: Array = line[reach:]
    return ahead


def _bounded(found: Array, y: Array) -> Array:
    import numpy as np

    low, high = float(y.min()), float(y.max())
    room = (high - low) / 2
    least = max(0.0, low - room) if low >= 0 else low - room
    kept: Array = np.clip(found, least, high + room)
    return kept


# -- their combination -------------------------------------------------------------------------------------------------


def _combined(y: Array, steps: int, season: Seasons) -> Forecast:
    import numpy as np

    members = _members(season)
    ahead = np.array([member(y, steps) for member in members.values()])
    past = _past_forecasts(y, steps, season, members)
    errors = [np.abs(found - truth) for found, truth in past[:ORIGINS]]
    weights = _weights(errors, len(members))
    mean = weighted_median(ahead, weights)
    margins = _margins(past, weights, steps)
    low, high = _interval(mean, margins, y)
    return Forecast(mean.tolist(), low.tolist(), high.tolist())


def _past_forecasts(y: Array, steps: int, season: Seasons, members: dict[str, Member]) -> list[tuple[Array, Array]]:
    """What the members would have said at earlier origins, newest first, each beside what came."""
    import numpy as np

    days = len(y) / season.day
    horizon = min(steps, (2 if days >= LEAST_DAYS + 2 + ORIGINS else 1) * season.day)
    past = []
    for number in range(INTERVAL_ORIGINS):
        origin = len(y) - horizon - season.day * number
        if origin < max(8, LEAST_DAYS * season.day):
            break
        found = np.array([member(y[:origin], horizon) for member in members.values()])
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
