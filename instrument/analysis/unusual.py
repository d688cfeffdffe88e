"""What was unusual in a period: stretches with too many, too few, failing or slow queries, and single queries.

The user gives a budget: how many of each a week chance alone may raise. With groups, the groups share it.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from instrument.analysis import outliers as of_queries
from instrument.analysis import stretches
from instrument.analysis.alarm_limits import LARGEST_BUDGET, SMALLEST_BUDGET
from instrument.analysis.filters import Filter, picked
from instrument.analysis.outliers import Outlier
from instrument.analysis.results import Period as Covered
from instrument.analysis.series import REST, series
from instrument.analysis.trend_words import covered
from instrument.analysis.trends import MOST_GROUPS, Asked, Finding, Known, stretch_findings
from instrument.analysis.wording import count, several
from instrument.errors import UsageError

BUDGET = 1.0
"""Stretches, and single queries, that chance may raise a week."""

_FIELDS = ("agent", "model", "host", "status", "entity")


class Anomalies(Struct, frozen=True):
    """The unusual stretches of a period, the latest first, and its unusual queries, the least likely first.

    `note` says on how much this rests, and what the history is too short for.
    """

    period: Covered
    budget: float
    stretches: list[Finding]
    queries: list[Outlier]
    note: str


def anomalies(asked: Asked, period: Covered, budget: float = BUDGET, limit: int | None = 20) -> Anomalies:
    """Find the unusual stretches and the `limit` most unusual queries of a period.

    Raises UsageError for a budget below 0.001 or above 20, and for an unknown group.
    """
    if not (math.isfinite(budget) and SMALLEST_BUDGET <= budget <= LARGEST_BUDGET):
        most = f"give {SMALLEST_BUDGET:g} to {LARGEST_BUDGET:g} a week"
        raise UsageError(f"a budget of {budget:g} false alarms cannot be kept; {most}")
    found = _stretches(asked, budget)
    rare = of_queries.outliers(asked.tables, budget=budget, limit=limit)
    ordered = sorted(found, key=lambda one: one.start, reverse=True)
    return Anomalies(period, budget, ordered, rare, _note(asked, bool(found), bool(rare)))


def _stretches(asked: Asked, budget: float) -> list[Finding]:
    if asked.by is None:
        return stretch_findings(asked, budget)
    groups = series(asked.tables, "queries", asked.period, 86400.0, by=asked.by)
    largest = sorted(groups, key=lambda one: -sum(one.counts))
    names = [one.group for one in largest if one.group is not None and one.group != REST][:MOST_GROUPS]
    found = []
    for name in names:
        field = asked.by if asked.by in _FIELDS else f"attribute:{asked.by}"
        own = Filter(field, "=", "" if name == "(none)" else name)
        longer = None if asked.longer is None else Known(picked(asked.longer.tables, [own]), asked.longer.period)
        alone = Asked(picked(asked.tables, [own]), asked.period, [*asked.filters, own], None, longer)
        found += [_named(one, name) for one in stretch_findings(alone, budget / len(names))]
    return found


def _named(one: Finding, group: str) -> Finding:
    texts = {name: f"{group}: {getattr(one, name)}" for name in ("headline", "sentence")}
    return msgspec.structs.replace(one, group=group, **texts)


def _note(asked: Asked, any_stretch: bool, any_query: bool) -> str:
    """What can be said of few data, or where nothing was found."""
    extent = "SELECT count(*), min(started_us), max(started_us) FROM queries WHERE parent_id IS NULL"
    queries, first, last = asked.tables.rows(extent)[0]
    known = asked.known.tables.rows(extent)[0][1]
    if not queries:
        return "No queries in this period: nothing can be said."
    basis = f"from {several(queries, 'query', 'queries')} over {covered((last - first) / 86_400_000_000)}"
    parts = [] if any_stretch or any_query else [f"Nothing was unusual, {basis}."]
    least = min(stretches.LEAST_DAYS.values())
    if last - known < least * 86_400_000_000 or asked.known.period.hours < least * 24:
        parts.append(f"Unusual stretches need {least} days of history to compare with.")
    elif last - first > stretches.MOST_DAYS * 86_400_000_000:
        parts.append(f"Unusual stretches are looked for in the last {stretches.MOST_DAYS} days.")
    if queries < of_queries.LEAST_SIMILAR:
        parts.append(f"A single query needs {of_queries.LEAST_SIMILAR} others of its agent to be compared with.")
    if queries > of_queries.MOST_QUERIES:
        parts.append(f"Single queries were looked for among the latest {count(of_queries.MOST_QUERIES)}.")
    return " ".join(parts)
