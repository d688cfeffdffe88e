"""Incidents in agents' traffic, found online: too many or too few queries, more failures, longer durations.

Each interval is compared with what the same hour of the same kind of day had over the last four weeks, over windows of
1, 4 and 16 intervals. Counts follow a negative binomial distribution, failures and slow queries a binomial one, each
as wide as the series' own past (McCullagh and Nelder, Generalized Linear Models, 1989, 4.5: overdispersion). A second
look, at seasonal residuals with a heavy tail, finds what moves little but for long. A finding explains itself: how many
there were, how many were expected.

A score depends on nothing after its interval. numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from instrument.analysis.seasonal_surprise import HISTORY_DAYS, seasonal_surprise
from instrument.analysis.tails import two_sided, upper_tail

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Kind = Literal["queries", "failures", "durations"]

WINDOWS = (1, 4, 16)
"""Intervals that are looked at together."""

ALARM = 1.25
"""A score of this and more is an alarm, unless the series' own history asks for more."""

LEAST_EFFECT = 1.2
"""How many times more (or fewer) there must be than expected."""

LEAST_QUERIES = 10
"""Queries that a window needs before failures or durations in it mean anything."""

_SCALES: dict[Kind, float] = {"queries": 5.0, "failures": 4.3, "durations": 3.6}
_SEASONAL = 2.7
"""What the looks' scores are divided by, so that alarms of each are about as rare in simulated traffic."""

SATURDAY_AND_SUNDAY = (5, 6)

_CLIP = 1.5
"""How far from the median hour's level an hour of the last day counts."""

_CLEARLY_FEWER = 0.8
"""The share of Saturday's and Sunday's queries below which two other weekdays are the weekend."""

SLOW_SHARE = 0.25
"""A slow query is one of the slowest quarter of its part of the day, in the past."""


class Finding(Struct, frozen=True):
    """An unusual window: the intervals `first` to `last` (inclusive), and what was found in them.

    `kind` says what is unusual, `score` how much (`ALARM` and more is an alarm), `actual` and `expected` how many
    queries, failed queries or slow queries there were and should have been, `of` the queries in the window.
    """

    first: int
    last: int
    kind: Kind
    score: float
    actual: float
    expected: float
    of: float


class Scores(Struct, frozen=True):
    """A score for each interval, and the finding behind the highest look at it (None where nothing stands out).

    `actual`, `expected` and `of` are the intervals' own, as a finding has them of its window.
    """

    values: list[float]
    findings: list[Finding | None]
    actual: list[float]
    expected: list[float]
    of: list[float]


def count_scores(counts: Sequence[float], *, day: int = 96, begun: int = 0) -> Scores:
    """Score how unusual the number of queries is in each interval; `day` is how many intervals a day has.

    `begun` is how many intervals of its week had passed when the first one began; a week begins with Monday's midnight.
    """
    import numpy as np

    x = np.asarray(counts, dtype=float)
    expected = _expected_counts(x, day, begun)
    spread = _overdispersion(x, expected, day)
    best, findings = _empty(len(x))
    for width in WINDOWS:
        actual, mean = _summed(x, width), _summed(expected, width)
        shape = width / np.maximum(spread, 1e-6)  # windows of one process: their overdispersion falls with the width
        shape = shape / (1 + 0.6 * (width - 1))  # but neighbours repeat each other
        surprise = two_sided(actual, mean, shape)
        ratio = np.maximum(actual, 1) / np.maximum(mean, 1e-9)
        known = _summed((expected > 0).astype(float), width) >= width
        enough = (
            known
            & (np.maximum(actual, mean) >= LEAST_QUERIES)
            & ((ratio >= LEAST_EFFECT) | (ratio <= 1 / LEAST_EFFECT))
        )
        _keep(best, findings, "queries", width, np.where(enough, surprise, 0), actual, mean, actual)
    _quiet(best, findings, expected)
    values = np.maximum(best, _seasonal(x, day))
    return Scores(values.tolist(), findings, x.tolist(), expected.tolist(), x.tolist())


def failure_scores(failed: Sequence[float], counts: Sequence[float], *, day: int = 96) -> Scores:
    """Score how unusual the share of failures is in each interval."""
    import numpy as np

    bad, all_ = np.asarray(failed, dtype=float), np.asarray(counts, dtype=float)
    return _share_scores("failures", bad, all_, day)


def duration_scores(durations: Sequence[Sequence[float]], *, day: int = 96) -> Scores:
    """Score how unusual durations (or any other values above 0) are in each interval, given all of each interval's."""
    import numpy as np

    counts = np.array([len(one) for one in durations], dtype=float)
    slow = _slow_counts(durations, day)
    return _share_scores("durations", slow, counts, day)


# -- what is expected --------------------------------------------------------------------------------------------------


def _expected_counts(x: Array, day: int, begun: int) -> Array:
    """The mean of the same time of day and kind of day over four weeks, at the level of the last 24 hours.

    The intervals beside it (an hour to either side) count half. 0 while less than two days are known.
    """
    import numpy as np

    n, hour = len(x), max(1, day // 24)
    weekends = _weekends(x, day, begun)
    profile = np.zeros(n)
    sums = np.append(0.0, np.cumsum(x))

    def mean(first: int, last: int) -> float:
        return float(sums[last] - sums[first]) / (last - first)

    for place in range(day, n):
        total, weight, weekend = 0.0, 0.0, weekends[(place + begun) // day - begun // day]
        for back in range(1, HISTORY_DAYS + 1):
            middle = place - back * day
            if middle < 0:
                break
            weekday, other = ((each + begun) // day % 7 for each in (place, middle))
            alike = (weekday in weekend) == (other in weekend)
            own = 1.0 if alike else (0.02 if place >= 7 * day else 0.25)
            near = mean(max(0, middle - hour // 2), middle + hour // 2 + 1)
            wide = mean(max(0, middle - hour - hour // 2), middle + hour + hour // 2 + 1)
            total += own * (0.5 * near + 0.5 * wide)
            weight += own
        profile[place] = total / weight if weight else 0.0
    expected = profile * _levels(x, profile, day)
    expected[: 2 * day] = 0.0
    return expected


def _levels(x: Array, profile: Array, day: int) -> Array:
    """How many times the profile the last 24 hours had, from half to twice.

    An hour counts up to `_CLIP` times the median hour, and down to as little: else a surge makes the next day's usual
    traffic look too quiet.
    """
    import numpy as np

    levels = np.ones(len(x))
    sums, should = np.append(0.0, np.cumsum(x)), np.append(0.0, np.cumsum(profile))
    edges = np.arange(0, day + 1, max(1, day // 24))
    for place in range(2 * day, len(x)):
        actual, usual = (np.diff(each[place - day + edges]) for each in (sums, should))
        known = usual > 0
        if not known.any():
            continue
        actual, usual = actual[known], usual[known]
        order = np.argsort(actual / usual)
        weight = np.cumsum(usual[order])
        middle = order[np.searchsorted(weight, weight[-1] / 2)]
        typical = max(0.25, float(actual[middle] / usual[middle])) * usual
        level = float(np.clip(actual, typical / _CLIP, typical * _CLIP).sum() / usual.sum())
        levels[place] = min(2.0, max(0.5, level))
    return levels


def _weekends(x: Array, day: int, begun: int) -> list[tuple[int, int]]:
    """The weekend (two weekdays, Monday is 0) that each day goes by: the other five are alike, and so are these two.

    It is Saturday and Sunday, unless two other neighbouring weekdays had clearly fewer queries in the last four weeks.
    """
    import numpy as np

    first = -(-begun // day)  # the first whole day; days are counted from the Monday before the series
    count = max(0, (len(x) + begun) // day - first)
    totals = x[first * day - begun :][: count * day].reshape(count, day).sum(axis=1)
    found = []
    for number in range(begun // day, (begun + len(x)) // day + 1):
        last = max(0, number - first)
        past = [(first + place, totals[place]) for place in range(max(0, last - HISTORY_DAYS), min(last, count))]
        own = [[total for one, total in past if one % 7 == weekday] for weekday in range(7)]
        found.append(_quietest([float(np.median(each)) for each in own]) if all(own) else SATURDAY_AND_SUNDAY)
    return found


def _quietest(weekdays: Sequence[float]) -> tuple[int, int]:
    """The two neighbouring weekdays with the fewest queries; Saturday and Sunday where those have hardly more."""
    pairs = [(weekday, (weekday + 1) % 7) for weekday in range(7)]
    best = min(pairs, key=lambda pair: weekdays[pair[0]] + weekdays[pair[1]])
    least, usual = (weekdays[pair[0]] + weekdays[pair[1]] for pair in (best, SATURDAY_AND_SUNDAY))
    return best if least < _CLEARLY_FEWER * usual else SATURDAY_AND_SUNDAY


def _overdispersion(x: Array, expected: Array, day: int) -> Array:
    """How much wider than Poisson the counts are: the trimmed mean of ((x - m)^2 - m) / m^2 over the last two weeks."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        wider = ((x - expected) ** 2 - expected) / expected**2
    found = np.full(len(x), 0.1)
    span = 14 * day
    for place in range(3 * day, len(x), max(1, day // 24)):
        past = wider[max(2 * day, place - span) : place]
        past = np.sort(past[np.isfinite(past) & (expected[max(2 * day, place - span) : place] >= 1)])
        if len(past) >= day:
            found[place : place + max(1, day // 24)] = max(0.005, float(past[: int(0.95 * len(past))].mean()))
    return found


def _slow_counts(durations: Sequence[Sequence[float]], day: int) -> Array:
    """How many of each interval lie above what three quarters of that part of the day stayed below in the past."""
    import numpy as np

    part = max(1, day // 6)
    slow = np.zeros(len(durations))
    recent: list[list[Array]] = [[] for _ in range(6)]
    limits = [math.inf] * 6
    for place, given in enumerate(durations):
        own = place % day // part if place % day // part < 6 else 5
        values = np.asarray(given, dtype=float)
        values = values[np.isfinite(values)]
        if place % max(1, part // 4) == 0 and recent[own]:
            known = np.concatenate(recent[own])
            if len(known) >= 40:
                limits[own] = float(np.quantile(known, 1 - SLOW_SHARE))
        slow[place] = float((values > limits[own]).sum())
        recent[own].append(values)
        del recent[own][: -part * 14]
    return slow


def _share_scores(kind: Kind, bad: Array, counts: Array, day: int) -> Scores:
    import numpy as np

    best, findings = _empty(len(bad))
    expected = _expected_share(bad, counts, day)
    for width in WINDOWS:
        actual, of = _summed(bad, width), _summed(counts, width)
        share = _summed(expected * counts, width) / np.maximum(of, 1e-9)
        wider = _dispersion(actual, of, share, day, width)
        surprise = upper_tail(actual / wider, of / wider, share)
        ratio = actual / np.maximum(of * share, 1e-9)
        known = _summed((expected > 0).astype(float), width) >= width
        enough = known & (of >= LEAST_QUERIES) & (ratio >= LEAST_EFFECT) & (actual >= 3)
        _keep(best, findings, kind, width, np.where(enough, surprise, 0), actual, of * share, of)
    shares = np.where(counts > 0, bad / np.maximum(counts, 1), np.nan)
    seasonal = _seasonal(shares, day, upper_only=True)
    values = np.maximum(best, np.where(_summed(counts, 6) >= 2 * LEAST_QUERIES, seasonal, 0.0))
    return Scores(values.tolist(), findings, bad.tolist(), (expected * counts).tolist(), counts.tolist())


def _expected_share(bad: Array, counts: Array, day: int) -> Array:
    """The share of the last two weeks, drawn towards the share of all the past by twenty queries."""
    import numpy as np

    n = len(bad)
    a, b = np.append(0.0, np.cumsum(bad)), np.append(0.0, np.cumsum(counts))
    places = np.arange(n)
    first = np.maximum(0, places - 14 * day)
    whole = (a[places] + 0.5) / (b[places] + 10)
    share = (a[places] - a[first] + 20 * whole) / (b[places] - b[first] + 20)
    share[(b[places] < 2 * LEAST_QUERIES) | (places < day)] = 0.0
    clipped: Array = np.clip(share, 0, 0.999)
    return clipped


def _dispersion(actual: Array, of: Array, share: Array, day: int, width: int) -> Array:
    """How much wider than binomial the shares are: the trimmed mean of Pearson's squares over the last two weeks."""
    import numpy as np

    variance = of * share * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(variance > 0.2, (actual - of * share) ** 2 / variance, np.nan)
    found = np.ones(len(actual))
    hour = max(1, day // 24)
    for place in range(2 * day, len(actual), hour):
        past = squares[max(0, place - 14 * day) : max(0, place - width + 1)]
        past = np.sort(past[np.isfinite(past)])
        if len(past) >= day // 2:
            found[place : place + hour] = max(1.0, float(past[: int(0.97 * len(past))].mean()) * 1.1)
    return found


def _summed(x: Array, width: int) -> Array:
    """The sum of the last `width` intervals at each; fewer at the beginning."""
    import numpy as np

    sums = np.append(0.0, np.cumsum(x))
    places = np.arange(1, len(x) + 1)
    found: Array = sums[places] - sums[np.maximum(0, places - width)]
    return found


def _seasonal(x: Array, day: int, *, upper_only: bool = False) -> Array:
    """The second look's scores."""
    surprise: Array = seasonal_surprise(x, day=day, upper_only=upper_only) / _SEASONAL
    return surprise


# -- alarms ------------------------------------------------------------------------------------------------------------


def alarms(values: Sequence[float], limit: float | Sequence[float] = ALARM, *, apart: int = 16) -> list[int]:
    """The intervals at which an alarm is raised: one for scores over the limit that follow within `apart` intervals.

    `limit` is one for all, or one for each interval, as `alarm_limits.limits` gives them.
    """
    found: list[int] = []
    last = -math.inf
    each = [float(limit)] * len(values) if isinstance(limit, (int, float)) else limit
    for place, (score, own) in enumerate(zip(values, each, strict=True)):
        if score >= own:
            if place - last > apart:
                found.append(place)
            last = place
    return found


def _empty(n: int) -> tuple[Array, list[Finding | None]]:
    import numpy as np

    return np.zeros(n), [None] * n


def _keep(
    best: Array,
    findings: list[Finding | None],
    kind: Kind,
    width: int,
    surprise: Array,
    actual: Array,
    expected: Array,
    of: Array,
) -> None:
    """Put a window's surprise in the place of a smaller one."""
    import numpy as np

    score = surprise / _SCALES[kind]
    for place in np.flatnonzero(score > np.maximum(best, 0.3)).tolist():
        best[place] = score[place]
        findings[place] = Finding(
            max(0, place - width + 1),
            place,
            kind,
            float(score[place]),
            float(actual[place]),
            float(expected[place]),
            float(of[place]),
        )


def _quiet(best: Array, findings: list[Finding | None], expected: Array) -> None:
    """Nothing is found where nothing was expected yet."""
    import numpy as np

    for place in np.flatnonzero(expected <= 0).tolist():
        best[place] = 0.0
        findings[place] = None
