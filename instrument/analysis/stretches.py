"""Unusual stretches of a store's queries: where `incidents` finds too many, too few, failing or slow ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

import msgspec
from msgspec import Struct

from instrument.analysis import alarm_limits, incidents
from instrument.analysis.incidents import Finding, Kind, Scores
from instrument.analysis.periods import Period
from instrument.analysis.series import Series, series
from instrument.store.tables import Tables

SECONDS = 900.0
"""Length of an interval, as in the simulations that the limits come from."""

LEAST_DAYS: dict[Kind, int] = {"queries": 14, "failures": 7, "durations": 7}
"""Days of history that are only learned from: a weekend must have been seen before another is called quiet."""

BEFORE_DAYS = 28
"""Days before a period that are learned from, too, where they were recorded."""

MOST_DURATIONS = 500_000
"""Durations that are looked at; of more queries, as many of them as this, chosen by chance."""

MOST_DAYS = 125
"""Days that are looked at, the last of a longer period."""

_ROUNDS = 5
"""How often the intervals of a stretch are looked for anew with the level found in them, at most."""

BUDGET = 0.5
"""False alarms a week, all kinds together, unless the user allows more or fewer."""


class Stretch(Struct, frozen=True):
    """An unusual stretch from `start` up to `end`; `finding` is its strongest window."""

    kind: Kind
    start: datetime
    end: datetime
    finding: Finding


def unusual(tables: Tables, period: Period, budget: float = BUDGET) -> list[Stretch]:
    """The unusual stretches of a period's last `MOST_DAYS`, by start; none where less than a week is known.

    `budget` is how many a week chance may raise, of all kinds together.
    """
    looks = looks_at(tables, period)
    if looks is None:
        return []
    stretches = [
        one
        for kind, look in looks.scores.items()
        for one in _merged(look, looks.start, limits_of(kind, look, budget / len(looks.scores)))
        if one.start >= looks.start + timedelta(days=LEAST_DAYS[kind])
    ]
    return sorted(stretches, key=lambda one: one.start)


class Looks(Struct, frozen=True):
    """The scores of each whole interval from `start` on, by what was looked at; `start` is where recording began."""

    start: datetime
    scores: dict[Kind, Scores]


def looks_at(
    tables: Tables, period: Period, kinds: Sequence[Kind] = ("queries", "failures", "durations")
) -> Looks | None:
    """Look for what is unusual in the last `MOST_DAYS` of a period; None where less than a week is known."""
    if period.hours > MOST_DAYS * 24:
        period = period.beginning(period.until - timedelta(days=MOST_DAYS))
    found = {name: series(tables, name, period, SECONDS)[0] for name in ("queries", "failed")}
    counts = found["queries"]
    recorded = counts.recorded if counts.is_last_whole else counts.recorded[:-1]
    if not any(recorded):
        return None
    first, last = recorded.index(True) + 1, len(recorded)
    day = round(86400 / SECONDS)
    if last - first < min(LEAST_DAYS.values()) * day:
        return None
    numbers, failed = (_numbers(found[name], first, last) for name in ("queries", "failed"))
    start = counts.start + timedelta(seconds=first * SECONDS)
    scores: dict[Kind, Scores] = {}
    for kind in kinds:
        if kind == "queries":
            scores[kind] = incidents.count_scores(numbers, day=day, begun=_of_week(start, period.zone))
        elif kind == "failures":
            scores[kind] = incidents.failure_scores(failed, numbers, day=day)
        else:
            thinned = max(1, -(-int(sum(counts.counts)) // MOST_DURATIONS))
            durations = _durations(tables, counts, first, last, thinned)
            scores[kind] = _multiplied(incidents.duration_scores(durations, day=day), thinned)
    return Looks(start, scores)


def _of_week(moment: datetime, zone: tzinfo) -> int:
    """How many intervals of a moment's week have passed, from Monday's midnight in the zone on."""
    local = moment.astimezone(zone)
    return round((local.weekday() * 86400 + local.hour * 3600 + local.minute * 60 + local.second) // SECONDS)


def _numbers(one: Series, first: int, last: int) -> list[float]:
    return [value or 0.0 for value in one.values[first:last]]


def _multiplied(scores: Scores, times: int) -> Scores:
    """Scores whose numbers of queries are those of all, where only one in so many was looked at."""
    counts = {name: [times * each for each in getattr(scores, name)] for name in ("actual", "expected", "of")}
    return msgspec.structs.replace(scores, **counts) if times > 1 else scores


def _durations(tables: Tables, counts: Series, first: int, last: int, thinned: int) -> Sequence[Sequence[float]]:
    begin = round(counts.start.timestamp() * 1e6) + round(first * SECONDS * 1e6)
    number = f"(started_us - {begin}) // {round(SECONDS * 1e6)}"
    rows = tables.rows(
        f"""SELECT {number} AS place, list(duration_ms) FROM queries
        WHERE parent_id IS NULL AND duration_ms IS NOT NULL AND {number} BETWEEN 0 AND {last - first - 1}
            AND started_us % {thinned} = 0
        GROUP BY ALL"""
    )
    durations: list[Sequence[float]] = [()] * (last - first)
    for place, own in rows:
        durations[int(place)] = own
    return durations


def basis(budget: float = BUDGET) -> str:
    """What an alarm is worth."""
    rare = f"{budget:.2g} a week" if budget >= 1 else f"one in {1 / budget:.2g} weeks"
    return f"the limits, which follow from your own past, let chance raise about {rare}"


def limits_of(kind: Kind, look: Scores, budget: float) -> list[float]:
    """The score that an alarm needs at each interval, by the past alone, so that chance raises `budget` a week."""
    day = round(86400 / SECONDS)
    return alarm_limits.limits(look.values, week=7 * day, learned=LEAST_DAYS[kind] * day, budget=budget)


def _merged(look: Scores, start: datetime, limits: list[float]) -> list[Stretch]:
    """Neighbouring alarms as one stretch each, with the strongest finding in it."""
    stretches: list[list[Finding]] = []
    for begin in incidents.alarms(look.values, limits):
        findings, quiet = [], 0
        for place in range(begin, len(look.values)):
            quiet = 0 if look.values[place] >= limits[place] else quiet + 1
            if quiet > max(incidents.WINDOWS):
                break
            finding = look.findings[place]
            if finding is not None and look.values[place] >= limits[place]:
                findings.append(finding)
        if findings:
            stretches.append(findings)
    return [_stretch(own, look, start) for own in stretches]


def _stretch(findings: list[Finding], look: Scores, start: datetime) -> Stretch:
    """The part that stands out most of all windows with an alarm, as long as that is."""
    best = max(findings, key=lambda one: one.score)
    first, last = _narrowed(look, min(one.first for one in findings), max(one.last for one in findings))
    sums = {name: math.fsum(getattr(look, name)[first : last + 1]) for name in ("actual", "expected", "of")}
    found = msgspec.structs.replace(best, first=first, last=last, **sums)
    begin, end = (start + timedelta(seconds=SECONDS * place) for place in (first, last + 1))
    return Stretch(best.kind, begin, end, found)


def _narrowed(look: Scores, first: int, last: int) -> tuple[int, int]:
    """The intervals of a window that hold what is unusual in it: it began and ended within windows of set lengths.

    The likeliest part of all: the one with the greatest sum of log likelihood ratios (Poisson) of the level in it
    against what was expected. The level is that of the part found before, first of the whole window.
    """
    whole = first, last
    for _ in range(_ROUNDS):
        actual, expected = (math.fsum(each[first : last + 1]) for each in (look.actual, look.expected))
        level = max(actual, 0.5) / max(expected, 0.5)
        if abs(level - 1) < 1e-3:
            return whole
        gains = [
            look.actual[place] * math.log(level) - look.expected[place] * (level - 1)
            for place in range(whole[0], whole[1] + 1)
        ]
        begin, end = _greatest(gains)
        if (first, last) == (found := (whole[0] + begin, whole[0] + end)):
            break
        first, last = found
    return first, last


def _greatest(gains: Sequence[float]) -> tuple[int, int]:
    """The first and last place of the run with the greatest sum."""
    best, found, total, begin = -math.inf, (0, len(gains) - 1), 0.0, 0
    for place, gain in enumerate(gains):
        if total <= 0:
            total, begin = 0.0, place
        total += gain
        if total > best:
            best, found = total, (begin, place)
    return found
