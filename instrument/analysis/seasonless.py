"""A series on the logarithm's scale without what repeats every day and every week, and what is left in it.

Levels, slopes and change points are looked for in what is left: else each night and each weekend would be a change.
numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from instrument.analysis.changes import changes
from instrument.analysis.series import Series, figure
from instrument.analysis.slopes import Slope, theil_sen

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

LEAST_PROBABILITY, LEAST_EFFECT = 0.9, 1.15
"""How probable a change of a series must be, and how many times greater or smaller it must be after it."""

DAYS_FOR_WEEKS = 14
"""Days from which on weekdays are told apart; before that, a total may fall because of a weekend alone."""

DAYS_FOR_CHANGES, DAYS_FOR_SLOPE = 3, 5
"""Days from which on a change, and a slope, of what does not follow the week is looked for."""

LEAST_COUNT = 30
"""Queries on each side of a change, at least."""

LEAST_FAILURES = 10
"""Failures on the worse side of a change of a failure rate, at least."""

_GAP_HOURS = 6
"""Hours without any record that are taken for a gap; a shorter stretch counts as one without queries."""

_DENSE = 5.0
"""Buckets are taken together until they hold so many on average: queries of a total, failures of their rate."""

_LASTING_TOTAL, _LASTING = 3.0, 1.0
"""Days that the levels on both sides of a change of a total, and of anything else, last at least.

`stretches` looks for what is shorter.
"""

_THIN = 0.25
"""A percentile of a bucket with less than this share of the usual number of queries is left out: few have no tail."""

_DEVIATIONS = 4.0
"""How many standard deviations apart two failure rates must be, beside the probability of a change."""


class Shift(Struct, frozen=True):
    """A change of level at bucket `index`, holding up to bucket `end`; `ratio` is after over before, season removed."""

    index: int
    begin: int
    end: int
    probability: float
    ratio: float


def trimmed(one: Series) -> tuple[int, Array]:
    """The values of whole buckets from the first record on, with the bucket they begin at.

    A total is 0 in a short stretch without records and NaN in a long one. The bucket in which recording, or the period,
    began is left out of a total: it is not whole.
    """
    import numpy as np

    adds_up = figure(one.figure).adds_up
    recorded = one.recorded if one.is_last_whole else one.recorded[:-1]
    if not any(recorded):
        return 0, np.zeros(0)
    first = recorded.index(True) + adds_up
    values = np.asarray(one.known()[first:], dtype=float)
    if adds_up:
        for begin, end in _stretches(np.isnan(values)):
            if (end - begin) * one.every_seconds < _GAP_HOURS * 3600:
                values[begin:end] = 0.0
    return first, values


def _stretches(marked: Any) -> list[tuple[int, int]]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(marked, dtype=int), [0]])))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def days_of(one: Series) -> float:
    """How many days of history a series has."""
    return len(trimmed(one)[1]) * one.every_seconds / 86400


def shifts(one: Series, zone: tzinfo) -> list[Shift]:
    """The changes of a series' level, by time; none where the history is too short. Days are those of `zone`."""
    import numpy as np

    shape = figure(one.figure)
    if days_of(one) < (DAYS_FOR_WEEKS if shape.adds_up else DAYS_FOR_CHANGES):
        return []
    first, values = trimmed(one)
    together = _together(one, values, first)
    whole = _pooled(one, values, first, together)
    left = without_season(whole, *_day_of(one, first, together, zone))
    found = changes(left.tolist(), probability=LEAST_PROBABILITY, autocorrelated=True)
    edges = [0, *(change.index for change in found), len(whole)]
    shifted = []
    for place, change in enumerate(found, 1):
        begin, index, end = (first + edges[place + step] * together for step in (-1, 0, 1))
        end = min(end, first + len(values))
        typical = math.exp(max(-50.0, min(50.0, change.after - change.before)))
        ratio = _ratio_of_rates(one, begin, index, end) if one.unit == "share" else typical
        counts = [float(np.sum(one.counts[a:b])) for a, b in ((begin, index), (index, end))]
        is_large = all(max(each, 1 / each) >= LEAST_EFFECT for each in (ratio, typical))  # not one bucket's burst alone
        lasts = min(end - index, index - begin) * one.every_seconds / 86400  # a few hours are no level to compare with
        enough = lasts >= _LASTING_TOTAL if shape.adds_up else lasts >= _LASTING and min(counts) >= LEAST_COUNT
        if is_large and enough:
            shifted.append(Shift(index, begin, end, change.probability, ratio))
    return shifted


def _together(one: Series, values: Array, first: int) -> int:
    """How many buckets to take together, so that a total or failures are no row of zeros and ones; 1 for the rest."""
    import numpy as np

    if one.unit == "share":
        mean = _failures(one, first, first + len(values))[0] / max(1, len(values))
    elif figure(one.figure).adds_up:
        mean = float(np.mean(one.counts[first : first + len(values)])) if len(values) else 0.0
    else:
        return 1
    parts = [number for number in (1, 2, 3, 4, 6, 8, 12, 24) if 86400 % (number * one.every_seconds) == 0]
    return next((number for number in parts if number * mean >= _DENSE), parts[-1] if parts else 1)


def _pooled(one: Series, values: Array, first: int, together: int) -> Array:
    """Logarithms of buckets taken together; a failure rate is drawn towards the usual one by twenty queries."""
    import numpy as np

    if one.unit != "share":
        whole = values[: len(values) // together * together].reshape(-1, together).sum(axis=1)
        if figure(one.figure).adds_up:
            totals: Array = np.log1p(np.maximum(whole, 0) / _a_query(one, values, first))
            return totals
        counts = np.asarray(one.counts[first : first + len(whole)])
        usual = float(np.median(counts[counts > 0])) if (counts > 0).any() else 0.0
        return _logarithm(np.where(counts >= _THIN * usual, whole, np.nan))
    pairs = [
        _failures(one, place, place + together) for place in range(first, first + len(values) - together + 1, together)
    ]
    failed, counts = np.array(pairs).T if pairs else (np.zeros(0), np.zeros(0))
    usual = (float(failed.sum()) + 0.5) / (float(counts.sum()) + 1)
    return np.where(counts > 0, np.log((failed + 20 * usual) / (counts + 20)), np.nan)


def _a_query(one: Series, values: Array, first: int) -> float:
    """What a total has for each query: the unit in which an empty bucket is a little less than one with one query."""
    import numpy as np

    queries, total = sum(one.counts[first : first + len(values)]), float(np.nansum(values))
    return total / queries if queries and total > 0 else 1.0


def _logarithm(values: Array) -> Array:
    import numpy as np

    return np.log(np.where(values > 0, values, np.nan))


def _ratio_of_rates(one: Series, begin: int, index: int, end: int) -> float:
    """How many times greater a failure rate is after a change; 1 where that may be chance, or there are too few."""
    (failed, count), (failed_later, count_later) = (_failures(one, *side) for side in ((begin, index), (index, end)))
    if max(failed, failed_later) < LEAST_FAILURES or min(count, count_later) < LEAST_COUNT:
        return 1.0
    before, after = (failed + 0.5) / (count + 1), (failed_later + 0.5) / (count_later + 1)
    all_ = (failed + failed_later) / (count + count_later)
    deviation = math.sqrt(max(all_ * (1 - all_), 1e-12) * (1 / count + 1 / count_later))
    return after / before if abs(after - before) >= _DEVIATIONS * deviation else 1.0


def _failures(one: Series, first: int, last: int) -> tuple[float, float]:
    pairs = [(value or 0.0, count) for value, count in zip(one.values[first:last], one.counts[first:last], strict=True)]
    return sum(value * count for value, count in pairs), sum(count for _, count in pairs)


def without_season(logs: Array, day: int, begun: int) -> Array:
    """What is left of logarithms without the usual day, and without the usual week where two weeks are known.

    `day` is how many points a day has, `begun` how many of the first day had passed before the first point: a weekend
    begins at midnight, not at the hour at which the series does. Both are medians of the differences to the level
    around them, so neither a trend nor a change of level moves them.
    """
    import numpy as np

    left = np.concatenate([np.full(begun, math.nan), logs])
    if day >= 2 and len(logs) >= 2 * day:
        left -= _effects(left, day, day)
    if len(logs) >= DAYS_FOR_WEEKS * day:
        left -= np.repeat(_effects(_means(left, day), 7, 7), day)[: len(left)]
    return left[begun:]


def _day_of(one: Series, first: int, together: int, zone: tzinfo) -> tuple[int, int]:
    """How many points a day has, where so many buckets are taken together, and how many of them came before `first`."""
    seconds = one.every_seconds * together
    local = (one.start + timedelta(seconds=one.every_seconds * first)).astimezone(zone)
    day = max(1, round(86400 / seconds))
    return day, int((local.hour * 3600 + local.minute * 60 + local.second) // seconds) % day


def _effects(values: Array, season: int, window: int) -> Array:
    """For each point the median difference of its place in the season to the mean of the window around it."""
    import numpy as np

    if not np.isfinite(values).any():
        return np.zeros(len(values))
    known = np.isfinite(values)
    kernel = np.ones(window + 1 - window % 2)
    weight = np.convolve(known, kernel, mode="same")
    level = np.convolve(np.where(known, values, 0), kernel, mode="same") / np.maximum(weight, 1)
    apart = np.where(known, values - level, np.nan)
    effects = np.zeros(season)
    for place in range(season):
        own = apart[place::season]
        own = own[np.isfinite(own)]
        effects[place] = np.median(own) if len(own) else 0.0
    effects -= effects.mean()
    repeated: Array = effects[np.arange(len(values)) % season]
    return repeated


def _means(values: Array, day: int) -> Array:
    """The mean of each day, also of the last one, that may be cut."""
    import numpy as np

    found = []
    for place in range(0, len(values), day):
        own = values[place : place + day]
        own = own[np.isfinite(own)]
        found.append(float(own.mean()) if len(own) else math.nan)
    return np.array(found)


def slope_a_week(one: Series, zone: tzinfo) -> Slope | None:
    """How the level grows: the slope a week of its logarithm, of whole days; None where the history is too short."""
    adds_up = figure(one.figure).adds_up
    if days_of(one) < (DAYS_FOR_WEEKS if adds_up else DAYS_FOR_SLOPE) or one.every_seconds > 86400:
        return None
    points = _daily(one, zone)
    if len(points) < DAYS_FOR_SLOPE:
        return None
    found = theil_sen(points, season=7 if adds_up else 1)
    return None if found is None else Slope(7 * found.slope, 7 * found.low, 7 * found.high, found.is_certain)


def is_a_line(one: Series, slope_a_week: float, shifted: list[Shift], zone: tzinfo) -> bool:
    """Whether days lie nearer to a straight line of that slope than to the levels between the changes."""
    import numpy as np

    first, _ = trimmed(one)
    points = _daily(one, zone)
    places = np.array([place for place, _ in points], dtype=float)
    values = without_season(np.array([value for _, value in points]), 1, 0)
    line = values - slope_a_week / 7 * places
    steps = (np.array([shift.index for shift in shifted]) - first) * one.every_seconds / 86400
    regime = np.searchsorted(steps, places + 0.5)
    levels = {number: float(np.median(values[regime == number])) for number in set(regime.tolist())}
    apart = values - np.array([levels[number] for number in regime.tolist()])
    return float(np.abs(line - np.median(line)).sum()) < float(np.abs(apart).sum())


def _daily(one: Series, zone: tzinfo) -> list[tuple[int, float]]:
    """The logarithm of each whole day's total or usual level, with the day's number."""
    import numpy as np

    first, values = trimmed(one)
    day = round(86400 / one.every_seconds)
    if figure(one.figure).adds_up:
        totals = [float(np.nansum(values[place : place + day])) for place in range(0, len(values) - day + 1, day)]
        daily = [math.log(total) if total > 0 else math.nan for total in totals]
    else:
        left = without_season(_pooled(one, values, first, 1), *_day_of(one, first, 1, zone))
        daily = _means(left[: len(left) // day * day], day).tolist()
    return [(place, value) for place, value in enumerate(daily) if math.isfinite(value)]


def level(one: Series, first: int, last: int) -> float | None:
    """The level between two buckets: the mean of a total, the share of all, the median of anything else."""
    import numpy as np

    if one.unit == "share":
        failed, count = _failures(one, first, last)
        return failed / count if count else None
    values = [
        value
        for value, known in zip(one.values[first:last], one.recorded[first:last], strict=True)
        if value is not None
    ]
    if not values:
        return None
    return float(np.mean(values)) if figure(one.figure).adds_up else float(np.median(values))
