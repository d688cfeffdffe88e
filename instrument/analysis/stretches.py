"""Unusual stretches of a store's queries: where `incidents` finds too many, too few, failing or slow ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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

MOST_DURATIONS = 500_000
"""Durations that are looked at; of more queries, as many of them as this, chosen by chance."""

MOST_INTERVALS = 12_000

BUDGET = 0.5
"""False alarms a week, all kinds together, unless the user allows more or fewer."""


class Stretch(Struct, frozen=True):
    """An unusual stretch from `start` up to `end`; `finding` is its strongest window."""

    kind: Kind
    start: datetime
    end: datetime
    finding: Finding


def unusual(tables: Tables, period: Period, budget: float = BUDGET) -> list[Stretch]:
    """The unusual stretches of a period, by start; none where less than a week is known.

    `budget` is how many a week chance may raise, of all kinds together.
    """
    found = {name: series(tables, name, period, SECONDS)[0] for name in ("queries", "failed") if _fits(period)}
    if not found:
        return []
    counts = found["queries"]
    recorded = counts.recorded if counts.is_last_whole else counts.recorded[:-1]
    if not any(recorded):
        return []
    first, last = recorded.index(True) + 1, len(recorded)
    day = round(86400 / SECONDS)
    if last - first < min(LEAST_DAYS.values()) * day:
        return []
    numbers, failed = (_numbers(found[name], first, last) for name in ("queries", "failed"))
    looks: dict[Kind, Scores] = {
        "queries": incidents.count_scores(numbers, day=day),
        "failures": incidents.failure_scores(failed, numbers, day=day),
        "durations": incidents.duration_scores(_durations(tables, counts, first, last), day=day),
    }
    begin = counts.start + timedelta(seconds=first * SECONDS)
    stretches = [
        one
        for kind, look in looks.items()
        for one in _merged(look, begin, LEAST_DAYS[kind], budget / len(looks))
        if one.start >= begin + timedelta(days=LEAST_DAYS[kind])
    ]
    return sorted(stretches, key=lambda one: one.start)


def _fits(period: Period) -> bool:
    return period.hours * 3600 / SECONDS <= MOST_INTERVALS


def _numbers(one: Series, first: int, last: int) -> list[float]:
    return [value or 0.0 for value in one.values[first:last]]


def _durations(tables: Tables, counts: Series, first: int, last: int) -> Sequence[Sequence[float]]:
    begin = round(counts.start.timestamp() * 1e6) + round(first * SECONDS * 1e6)
    number = f"(started_us - {begin}) // {round(SECONDS * 1e6)}"
    thinned = max(1, -(-int(sum(counts.counts)) // MOST_DURATIONS))
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


def _merged(look: Scores, start: datetime, learned_days: int, budget: float) -> list[Stretch]:
    """Neighbouring alarms as one stretch each, with the strongest finding in it."""
    day = round(86400 / SECONDS)
    limits = alarm_limits.limits(look.values, week=7 * day, learned=learned_days * day, budget=budget)
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
    return [_stretch(own, start) for own in stretches]


def _stretch(findings: list[Finding], start: datetime) -> Stretch:
    """From the strongest window's first interval to the last of it or of a short window after it."""
    best = max(findings, key=lambda one: one.score)
    short = [one.last for one in findings if one.last - one.first < max(incidents.WINDOWS) - 1]
    begin, end = best.first, max([best.last, *short]) + 1
    return Stretch(
        best.kind, start + timedelta(seconds=SECONDS * begin), start + timedelta(seconds=SECONDS * end), best
    )
