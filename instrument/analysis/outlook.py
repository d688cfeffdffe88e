"""What to expect of a figure on the next days: hourly forecasts added up, with an interval that was tried on the past.

The interval of a day follows from what the same forecast missed on earlier days of the series, as many days ahead (on
the square root's scale). Where history is too short for that, the hours' own intervals are added up, which is wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from msgspec import Struct

from instrument.analysis import seasonless
from instrument.analysis.forecasts import LEAST_DAYS, Forecast, expected, forecast
from instrument.analysis.periods import Period
from instrument.analysis.series import Series, Unit, figure, series
from instrument.errors import NotEnoughDataError, UsageError
from instrument.store.tables import Tables

HOUR = 3600.0

MOST_DAYS, MOST_GROUPS, MOST_HISTORY = 60, 10, timedelta(days=91)
"""Days that are forecast, groups of which each gets a forecast, and history that is looked at, at most."""

_ORIGINS, _LEAST_ERRORS = 8, 5
"""Earlier days on which the forecast is tried, and how many misses make an interval."""

_LEADS = 7
"""Days ahead at which the forecast is tried; what it misses further ahead grows as the root of the distance."""

_LIKENESS = 0.7
"""The correlation of what is missed on one day and on the next.

With it, 97 of 100 sums of seven days lay within their interval on M4's hourly series; 92 with 0.6, and 79 with 0.
"""

Days = dict[date, list[float]]


class Day(Struct, frozen=True):
    """What is expected of one day: `mean`, and `low` and `high`, between which 95 of 100 days should come to lie."""

    day: date
    mean: float
    low: float
    high: float


class Total(Struct, frozen=True):
    """What is expected of all days together: `mean`, and `low` and `high`, between which 95 of 100 come to lie."""

    mean: float
    low: float
    high: float


class Outlook(Struct, frozen=True):
    """The next whole days of a figure (a total a day, or the mean of its hours), and the whole days before.

    `basis` says what the interval rests on; `note` what is missing where there are no days. `total` is of several days
    of a figure that adds up, else None.
    """

    figure: str
    unit: Unit
    group: str | None
    history: dict[date, float]
    days: list[Day]
    basis: str
    note: str = ""
    total: Total | None = None


def outlooks(tables: Tables, period: Period, name: str, days: int, by: str | None) -> list[Outlook]:
    """Forecast a figure from the end of a period on, of all queries or of each of the largest groups.

    Raises UsageError for a number of days that cannot be had, NotEnoughDataError where no history is long enough.
    """
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"--days {days} cannot be forecast; give 1 to {MOST_DAYS}")
    if period.since is not None and period.until - period.since > MOST_HISTORY:
        period = period.beginning(period.until - MOST_HISTORY)
    groups = sorted(series(tables, name, period, HOUR, by=by), key=lambda one: -sum(one.counts))[:MOST_GROUPS]
    if by is None:
        return [_outlook(one, period, days) for one in groups]
    found = []
    for one in groups:
        try:
            found.append(_outlook(one, period, days))
        except NotEnoughDataError as error:
            found.append(Outlook(one.figure, one.unit, one.group, {}, [], "", str(error)))
    return found


def ahead(values: Sequence[float | None], every_seconds: float, unit: Unit, steps: int) -> Forecast | None:
    """Forecast the steps after a series, none below 0 and no share above 1; None where its history is too short."""
    history = [math.nan if value is None else value for value in values]
    try:
        found = forecast(history, steps, every_seconds=every_seconds)
    except NotEnoughDataError:
        return None
    most = 1.0 if unit == "share" else math.inf
    return Forecast(*([min(max(value, 0.0), most) for value in each] for each in (found.mean, found.low, found.high)))


def _outlook(one: Series, period: Period, days: int) -> Outlook:
    first, values = seasonless.trimmed(one)
    history = values.tolist()
    known = sum(math.isfinite(value) for value in history)
    if known < 24 * LEAST_DAYS:
        raise NotEnoughDataError(
            f"a forecast of {name_of(one)} needs {LEAST_DAYS} days of history, {24 * LEAST_DAYS} hours with values; "
            f"there are {known} hours"
        )
    begins = [one.start + timedelta(seconds=HOUR * (first + place)) for place in range(len(history) + 24 * (days + 2))]
    dates = [moment.astimezone(period.zone).date() for moment in begins]
    steps = _steps(dates, len(history), days)
    said = forecast(history, steps)
    whole = [len(history) + step for step in range(steps) if dates[len(history) + step] != _begun(dates, len(history))]
    offset = len(history)
    adds_up = figure(one.figure).adds_up
    wanted = sorted({dates[place] for place in whole})
    columns = [
        _by_day(column, dates[offset : offset + steps], wanted, adds_up) for column in (said.mean, said.low, said.high)
    ]
    misses = _misses(history, dates, adds_up, min(_LEADS, len(wanted)))
    basis = "the hours' own intervals, added up: too few earlier days to try the forecast on"
    if misses:
        basis = f"what the forecast missed on {len(misses[0])} earlier days, as many days ahead"
        columns[1], columns[2] = _bounds(columns[0], misses, min(history))
    found = [Day(*each) for each in zip(wanted, *columns, strict=True)]
    total = _together(found) if adds_up and len(found) > 1 else None
    return Outlook(one.figure, one.unit, one.group, _past(history, dates, adds_up), found, basis, total=total)


def name_of(one: Series) -> str:
    """A figure and its group."""
    return one.figure if one.group is None else f"{one.figure} of {one.group}"


def _begun(dates: Sequence[date], place: int) -> date | None:
    """The day that has begun already at a place, which is not forecast; None where one begins there."""
    return dates[place] if place and dates[place - 1] == dates[place] else None


def _steps(dates: Sequence[date], place: int, days: int) -> int:
    """Hours up to the end of so many whole days from a place on."""
    wanted = days + (_begun(dates, place) is not None)
    last = dates[place] + timedelta(days=wanted)
    return next(step for step, day in enumerate(dates[place:]) if day >= last)


def _by_day(values: Sequence[float], dates: Sequence[date], wanted: Sequence[date], adds_up: bool) -> list[float]:
    days: Days = {}
    for day, value in zip(dates, values, strict=True):
        days.setdefault(day, []).append(value)
    return [_of_day(days[day], adds_up) for day in wanted]


def _of_day(values: Sequence[float], adds_up: bool) -> float:
    known = [value for value in values if math.isfinite(value)]
    total = math.fsum(known)
    return total if adds_up else total / len(known) if known else math.nan


def _past(history: Sequence[float], dates: Sequence[date], adds_up: bool) -> dict[date, float]:
    """The whole days of the history."""
    days: Days = {}
    for day, value in zip(dates, history, strict=False):
        days.setdefault(day, []).append(value)
    past = {day: _of_day(values, adds_up) for day, values in days.items() if len(values) >= 23}
    return {day: value for day, value in past.items() if math.isfinite(value)}


def _misses(history: Sequence[float], dates: Sequence[date], adds_up: bool, leads: int) -> list[list[float]]:
    """What forecasts missed on earlier whole days, as differences of square roots: a list for each day ahead.

    Days further ahead that were tried on fewer than `_LEAST_ERRORS` days are left out.
    """
    ends = [place for place in range(1, len(history)) if dates[place] != dates[place - 1]]
    if _begun(dates, len(history)) is None:
        ends.append(len(history))
    missed: list[list[float]] = [[] for _ in range(leads)]
    for origin in range(max(0, len(ends) - _ORIGINS - leads), len(ends) - 1):
        begins = ends[origin : origin + leads + 1]
        past = history[: begins[0]]
        if sum(map(math.isfinite, past)) < 24 * LEAST_DAYS:
            continue
        said = expected(past, begins[-1] - begins[0])
        for lead, (begin, end) in enumerate(pairwise(begins)):
            truth = _of_day(history[begin:end], adds_up)
            if math.isfinite(truth):
                ahead = _of_day(said[begin - begins[0] : end - begins[0]], adds_up)
                missed[lead].append(_root(ahead) - _root(truth))
    return [of_lead[-_ORIGINS:] for of_lead in missed if len(of_lead) >= _LEAST_ERRORS]


def _bounds(means: Sequence[float], misses: Sequence[Sequence[float]], least: float) -> tuple[list[float], list[float]]:
    """What lies 95 % to either side, by Student's distribution, and never less than on the day before."""
    low, high, margin = [], [], 0.0
    for ahead, mean in enumerate(means):
        if ahead < len(misses):
            own = misses[ahead]
            deviation = math.sqrt(math.fsum(miss * miss for miss in own) / len(own))
            margin = max(margin, (1.96 + 2.6 / len(own)) * deviation)
        else:
            margin *= math.sqrt((ahead + 1) / ahead)
        below = _root(mean) - margin
        low.append(_squared(max(below, 0.0) if least >= 0 else below))
        high.append(_squared(_root(mean) + margin))
    return low, high


def _together(days: Sequence[Day]) -> Total:
    """The sum of days: what neighbouring days miss is alike, so that it cancels out in part only."""
    mean = math.fsum(day.mean for day in days)
    below, above = [day.mean - day.low for day in days], [day.high - day.mean for day in days]
    return Total(mean, mean - _summed(below), mean + _summed(above))


def _summed(margins: Sequence[float]) -> float:
    """The margin of a sum of figures whose errors follow AR(1) with `_LIKENESS`."""
    return math.sqrt(
        math.fsum(
            one * other * _LIKENESS ** abs(place - beside)
            for place, one in enumerate(margins)
            for beside, other in enumerate(margins)
        )
    )


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def _squared(value: float) -> float:
    return math.copysign(value * value, value)
