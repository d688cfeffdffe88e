"""The members of a forecast: three robust autoregressions, and four ways to repeat the days and weeks before.

No setting is fitted to a series; nothing looks ahead.

    Huber, Robust estimation of a location parameter (1964): the weights of the autoregressions' residuals.

numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Member = Callable[["Array", int], "Array"]

_DAY = 86400.0


class Seasons(Struct, frozen=True):
    """How many steps a day and a week have; `week` is 0 where steps are too long or history too short for one."""

    day: int
    week: int


def seasons(every_seconds: float) -> Seasons:
    """How many steps of that length a day and a week have; a step of a day and more leaves the week alone."""
    day = round(_DAY / every_seconds)
    if day < 2:
        return Seasons(max(1, round(7 * _DAY / every_seconds)), 0)
    return Seasons(day, 7 * day)


def members(season: Seasons) -> dict[str, Member]:
    """The members by name; each forecasts so many steps of a history without holes."""
    day, week = season.day, season.week
    found: dict[str, Member] = {
        "log": lambda y, h: autoregression(y, h, season, half_life=14 * day, ridge=1e-4, logs=True),
        "level": lambda y, h: autoregression(y, h, season, half_life=28 * day, ridge=1e-3, logs=False),
        "differences": lambda y, h: _of_differences(y, h, season),
        "day before": lambda y, h: _repeated(y, h, day, day),
        "usual day, at this level": lambda y, h: _usual_day(y, h, day),
    }
    if week:
        found["week before"] = lambda y, h: _repeated(y, h, week, day)
        found["week before, at this level"] = lambda y, h: _repeated_at_level(y, h, week, day)
    return found


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
