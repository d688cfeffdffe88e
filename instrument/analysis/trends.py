"""What changed, what grows and what was unusual: findings, the most important first, each with its basis.

A finding is a change of a figure's level, a slope, or an unusual stretch. It says when, how sure it is, how big (in
queries, seconds and money), where it comes from, and which command shows the queries behind it. Importance is the
logarithm of the effect, times the fourth root of the share of the period that it lasts, times how sure it
is; a change or stretch that reaches the end of the period counts double.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from instrument.analysis import contributions, failure_causes, seasonless, stretches, trend_words
from instrument.analysis.contributions import Source
from instrument.analysis.failure_causes import Cause
from instrument.analysis.filters import Filter
from instrument.analysis.periods import BEGINNING, Period
from instrument.analysis.results import Period as Covered
from instrument.analysis.series import REST, Series, Unit, series
from instrument.analysis.slower_calls import SlowerCall, slower_call
from instrument.analysis.stretches import Stretch
from instrument.store.tables import Tables

FIGURES = ("queries", "failure_rate", "p50", "p95", "first_chunk", "tool_failure_rate", "tokens", "cost")
"""The figures that are looked at unless others are named; those without a value are left out."""

MOST_GROUPS = 10
"""Groups whose trends are worked out, the largest."""

MOST_EXPLAINED = 12
"""Findings whose source is looked for, the most important."""

MARGIN = timedelta(days=7)
"""The stretch before an unusual one that it is compared with."""

_SLOPE_EFFECT = 1.15
"""How much a slope must change a figure over the period to be a finding."""

Kind = Literal["change", "slope", "unusual"]


class Size(Struct, frozen=True):
    """How big a finding is: `queries` in it, and how many more queries, failures, seconds and dollars than before.

    A figure that the finding says nothing about is None.
    """

    queries: float
    more_queries: float | None = None
    more_failures: float | None = None
    more_seconds: float | None = None
    more_usd: float | None = None


class Finding(Struct, frozen=True):
    """Something that changed (`change`), grows (`slope`) or was unusual (`unusual`) in one figure.

    `start` to `end` is when; `before` and `after` are the levels in the unit (a total a bucket), for a slope those of
    the first and the last week, for an unusual stretch how many queries were expected and how many there were.
    `probability` is None where `basis` alone says how sure it is. `headline` is the beginning of `sentence`: what, when
    and how much. `command` lists the queries behind it.
    """

    kind: Kind
    figure: str
    unit: Unit
    group: str | None
    start: datetime
    end: datetime
    before: float
    after: float
    ratio: float
    probability: float | None
    basis: str
    size: Size
    source: Source | None
    importance: float
    headline: str
    sentence: str
    command: str


class Trend(Struct, frozen=True):
    """One figure over the period: its picture, its level of late, and its slope a week with the interval (95 %).

    `slope` and its bounds are relative: 0.05 is 5 % a week. `slope_is_certain` is whether an interval of 99 % leaves
    out 0, too. `note` says what the history is too short for.
    """

    figure: str
    unit: Unit
    group: str | None
    start: datetime
    every_seconds: float
    values: list[float | None]
    level: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    slope_is_certain: bool
    note: str


class Trends(Struct, frozen=True):
    """The trends of a period and its findings, the most important first; `note` says what can be said of few data."""

    period: Covered
    figures: list[Trend]
    findings: list[Finding]
    note: str


class Known(NamedTuple):
    """What shows which stretches are usual: a longer period, with the weeks before the one that is asked of."""

    tables: Tables
    period: Period


class Asked(NamedTuple):
    """What trends are asked of: the tables, the period, the filters that picked the tables, and the group's name.

    `longer` is the same with the weeks before the period, None where there is nothing before it.
    """

    tables: Tables
    period: Period
    filters: Sequence[Filter]
    by: str | None
    longer: Known | None = None

    @property
    def known(self) -> Known:
        """What shows which stretches are usual."""
        return self.longer or Known(self.tables, self.period)


class _Draft(NamedTuple):
    """A finding before its size and source are known; `before` and `after` are the stretches that it compares."""

    kind: Kind
    figure: str
    unit: Unit
    group: str | None
    start: datetime
    end: datetime
    levels: tuple[float, float]
    ratio: float
    probability: float | None
    basis: str
    compared: tuple[contributions.Stretch, contributions.Stretch]
    stretch: Stretch | None = None
    every_seconds: float = 3600


def trends(asked: Asked, figures: Iterable[str] | None, every_seconds: float, covered: Covered) -> Trends:
    """Work out the trends of figures over a period, and what is to be found in them."""
    names = FIGURES if figures is None else tuple(figures)
    found, drafts = [], []
    for name in names:
        groups = series(asked.tables, name, asked.period, every_seconds, by=asked.by)
        largest = sorted(groups, key=lambda one: -sum(one.counts))[:MOST_GROUPS]
        for one in largest:
            if figures is not None or any(one.values):
                trend = _trend(one, asked.period.zone)
                found.append(trend)
                drafts += _found(one, trend, asked.period.zone)
    looked_at = {"queries", "failure_rate", "failed", "average", "p50", "p95", "p99"} & set(names)
    if asked.by is None and looked_at:
        drafts += _stretches(asked, stretches.BUDGET)
    counted = asked.tables.rows("SELECT coalesce(sum(weight), 0) FROM queries WHERE parent_id IS NULL")[0][0]
    ranked = sorted(drafts, key=lambda one: -_importance(one, asked))
    findings = [_finding(one, asked, place < MOST_EXPLAINED) for place, one in enumerate(ranked)]
    days = max(seasonless.days_of(one) for one in series(asked.tables, "queries", asked.period, every_seconds))
    any_level = any(trend.level is not None for trend in found)
    return Trends(covered, found, findings, trend_words.note(float(counted), days, bool(findings), any_level))


def stretch_findings(asked: Asked, budget: float) -> list[Finding]:
    """The unusual stretches alone, by start; `budget` is how many a week chance may raise."""
    return [_finding(one, asked, place < MOST_EXPLAINED) for place, one in enumerate(_stretches(asked, budget))]


def _stretches(asked: Asked, budget: float) -> list[_Draft]:
    """The unusual stretches of the period, compared with what was before it."""
    found = stretches.unusual(*asked.known, budget)
    begin = asked.period.since or BEGINNING
    return [_unusual(one, budget) for one in found if one.end > begin]


def _trend(one: Series, zone: tzinfo) -> Trend:
    days = seasonless.days_of(one)
    slope = seasonless.slope_a_week(one, zone)
    first, values = seasonless.trimmed(one)
    last = first + len(values)
    week = max(first, last - round(7 * 86400 / one.every_seconds))
    bounds = (None, None, None) if slope is None else (slope.slope, slope.low, slope.high)
    middle, low, high = (None if value is None else math.expm1(min(value, 50.0)) for value in bounds)
    return Trend(
        one.figure,
        one.unit,
        one.group,
        one.start,
        one.every_seconds,
        one.values if one.is_last_whole else one.values[:-1],
        seasonless.level(one, week, last) if last > week else None,
        middle,
        low,
        high,
        slope is not None and slope.is_certain,
        trend_words.shortness(one, days, slope is not None),
    )


def _found(one: Series, trend: Trend, zone: tzinfo) -> list[_Draft]:
    """A slope, or the changes between levels, whichever lies nearer to the days."""
    shifted, slopes = seasonless.shifts(one, zone), list(_slopes(one, trend))
    if slopes and shifted and trend.slope is not None:
        if seasonless.is_a_line(one, math.log1p(trend.slope), shifted, zone):
            return slopes
        slopes = []
    return [*slopes, *_changes(one, shifted)]


def _changes(one: Series, shifted: list[seasonless.Shift]) -> Iterable[_Draft]:
    for shift in shifted:
        after = seasonless.level(one, shift.index, shift.end)
        before = seasonless.level(one, shift.begin, shift.index)
        if after is None or before is None:
            continue
        if one.unit != "share":
            before = after / shift.ratio  # at the same hours and days as those after it
        times = [_time(one, place) for place in (shift.begin, shift.index, shift.end)]
        basis = f"P {shift.probability:.2f}, neighbouring buckets' likeness allowed for"
        compared = (_micros(times[0], times[1]), _micros(times[1], times[2]))
        yield _Draft(
            "change", one.figure, one.unit, one.group, times[1], times[2], (before, after), shift.ratio,
            shift.probability, basis, compared, None, one.every_seconds,
        )  # fmt: skip


def _slopes(one: Series, trend: Trend) -> Iterable[_Draft]:
    if trend.slope is None:
        return
    first, values = seasonless.trimmed(one)
    last, quarter = first + len(values), max(1, len(values) // 4)
    weeks = len(values) * one.every_seconds / (7 * 86400)
    ratio = (1 + trend.slope) ** weeks
    before, after = seasonless.level(one, first, first + quarter), seasonless.level(one, last - quarter, last)
    if not trend.slope_is_certain or max(ratio, 1 / ratio) < _SLOPE_EFFECT or not before or not after:
        return
    begin, end = _time(one, first), _time(one, last)
    step = timedelta(seconds=quarter * one.every_seconds)
    yield _Draft(
        "slope", one.figure, one.unit, one.group, begin, end, (before, after), ratio, 0.99,
        "the 99 % interval of the slope, neighbouring days' likeness allowed for, leaves out 0",
        (_micros(begin, begin + step), _micros(end - step, end)),
    )  # fmt: skip


_OF_KINDS: dict[str, tuple[str, Unit]] = {
    "queries": ("queries", "queries"),
    "failures": ("failure_rate", "share"),
    "durations": ("average", "ms"),
}


def _unusual(one: Stretch, budget: float) -> _Draft:
    name, unit = _OF_KINDS[one.kind]
    finding = one.finding
    ratio = max(finding.actual, 0.5) / max(finding.expected, 0.5)
    return _Draft(
        "unusual", name, unit, None, one.start, one.end, (finding.expected, finding.actual), ratio, None,
        stretches.basis(budget), (_micros(one.start - MARGIN, one.start), _micros(one.start, one.end)), one,
    )  # fmt: skip


def _importance(one: _Draft, asked: Asked) -> float:
    first, last = one.compared[1] if one.kind != "slope" else (one.compared[0][0], one.compared[1][1])
    concerned = (last - first) / max(1.0, asked.period.hours * 3.6e9)
    late = 2.0 if one.end >= asked.period.until - timedelta(days=1) else 1.0
    return abs(math.log(one.ratio)) * math.sqrt(math.sqrt(min(1.0, concerned))) * (one.probability or 0.75) * late


def _finding(one: _Draft, asked: Asked, explained: bool) -> Finding:
    tables = asked.known.tables if one.kind == "unusual" else asked.tables
    filters, own = list(asked.filters), list[Filter]()
    if one.group is not None and asked.by is not None and one.group != REST:
        name = asked.by if asked.by in ("agent", "model", "tool", "operation", "host", "status", "entity") else ""
        own.append(Filter(name or f"attribute:{asked.by}", "=", "" if one.group == "(none)" else one.group))
    source, cause = (None, None) if one.group is not None or not explained else _explained(tables, one)
    if source is not None:
        name, _, value = source.where.partition("=")
        own.append(Filter(name, "=", value))
    size = _size(tables, one)
    command = trend_words.command(one.figure, one.start, one.end, [*filters, *own])
    facts = trend_words.Facts(one.kind, one.figure, one.unit, one.group, one.levels, one.ratio, one.every_seconds)
    headline = trend_words.headline(facts, one.start, one.end, one.stretch, asked.period.zone)
    unsaid = msgspec.structs.replace(size, more_queries=None, more_failures=None) if one.kind == "unusual" else size
    sentence = trend_words.sentence(headline, unsaid, source, cause)
    unit: Unit = "queries" if one.kind == "unusual" else one.unit
    return Finding(
        one.kind, one.figure, unit, one.group, one.start, one.end, *one.levels, one.ratio, one.probability,
        one.basis, size, source, _importance(one, asked), headline, sentence, command,
    )  # fmt: skip


def _explained(tables: Tables, one: _Draft) -> tuple[Source | None, Cause | SlowerCall | None]:
    """Where a finding comes from, and the error behind more failures, or the call behind other durations."""
    source = contributions.largest(tables, one.figure, *one.compared, rises=one.ratio > 1)
    if one.figure in ("failure_rate", "failed"):
        return source, failure_causes.commonest(tables, one.compared[1]) if one.ratio > 1 else None
    if one.figure in ("average", "p50", "p95", "p99"):
        return source, slower_call(tables, *one.compared)
    return source, None


def _size(tables: Tables, one: _Draft) -> Size:
    """How many queries a finding concerns, and what there was more of than the time before it lets expect."""
    before, after = (_sums(tables, stretch) for stretch in one.compared)
    if one.group is not None or not after[0]:
        return Size(after[0] if one.group is None else 0.0)
    if one.figure in ("queries", "tokens", "cost"):
        place = 0 if one.figure == "queries" else 3
        more = after[place] * (1 - 1 / one.ratio)
        dollars = more if one.figure == "cost" else after[3] * (1 - 1 / one.ratio) if after[3] else None
        return Size(after[0], more_queries=more if one.figure == "queries" else None, more_usd=dollars)
    if not before[0]:
        return Size(after[0])
    if one.figure == "failure_rate":
        return Size(after[0], more_failures=after[1] - before[1] / before[0] * after[0])
    if one.unit == "ms" and not one.figure.startswith("first_chunk"):
        return Size(after[0], more_seconds=after[2] - before[2] / before[0] * after[0])
    return Size(after[0])


def _sums(tables: Tables, stretch: contributions.Stretch) -> tuple[float, float, float, float]:
    """Queries, failures, seconds and dollars."""
    failed = contributions.MEASURED["failed"].value
    sums = ", ".join(
        f"coalesce(sum(({value}) * weight), 0)::DOUBLE"
        for value in ("1", failed, "coalesce(duration_ms, 0) / 1000", "coalesce(cost_usd, 0)")
    )
    [row] = tables.rows(
        f"""SELECT {sums} FROM queries
        WHERE parent_id IS NULL AND started_us >= {stretch[0]} AND started_us < {stretch[1]}"""
    )
    return row[0], row[1], row[2], row[3]


def _time(one: Series, place: int) -> datetime:
    return (one.start + timedelta(seconds=place * one.every_seconds)).astimezone(UTC)


def _micros(start: datetime, end: datetime) -> contributions.Stretch:
    step = timedelta(microseconds=1)
    return (start - BEGINNING) // step, (end - BEGINNING) // step
