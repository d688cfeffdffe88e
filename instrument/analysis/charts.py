"""Queries over time and by duration, as the pictures of a report need them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from instrument._rows import utc_text
from instrument.analysis.measures import counting
from instrument.analysis.results import Activity, Histogram
from instrument.store.reading import Tables, microseconds

MOST_BUCKETS = 48

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_STEPS = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_FINEST = 4
_MOST_COLUMNS = 24


def activity(tables: Tables, source: str, start: datetime, end: datetime, parameters: dict[str, Any]) -> Activity:
    """Count queries over the period in at most 48 equal buckets of a round length, aligned to it."""
    first, last = microseconds(start), microseconds(end)
    step = bucket_length(first, last)
    first -= first % step
    buckets = (last - first) // step + 1
    queries, failed = [0.0] * buckets, [0.0] * buckets
    statement = f"""
        SELECT (started_us - {first}) // {step} AS bucket, {counting(tables)}, {counting(tables, "NOT success")}
        FROM {source} GROUP BY bucket"""
    for bucket, counted, counted_failed in tables.rows(statement, parameters):
        if 0 <= bucket < buckets:
            queries[bucket], failed[bucket] = counted, counted_failed
    return Activity(utc_text(first), step / _MINUTE, queries, failed)


def bucket_length(first_us: int, last_us: int) -> int:
    """The shortest round length, in µs, of which at most 48 buckets cover a period."""
    for step in _STEPS:
        if last_us // step - first_us // step < MOST_BUCKETS:
            return step
    years = _STEPS[-1]
    while last_us // years - first_us // years >= MOST_BUCKETS:
        years *= 2
    return years


def histogram(
    tables: Tables, source: str, shortest_ms: float, longest_ms: float, parameters: dict[str, Any]
) -> Histogram:
    """Count queries by duration in buckets a quarter of a decade wide, wider when the durations span many decades."""
    parts = _FINEST
    while parts > 1 and _column(longest_ms, parts) - _column(shortest_ms, parts) >= _MOST_COLUMNS:
        parts //= 2
    first, last = _column(shortest_ms, parts), _column(longest_ms, parts)
    queries = [0.0] * (last - first + 1)
    statement = f"""
        SELECT floor(log10(greatest(duration_ns, 1)) * {parts})::INTEGER AS place, {counting(tables)}
        FROM {source} GROUP BY place"""
    for place, counted in tables.rows(statement, parameters):
        queries[min(max(place - first, 0), last - first)] += counted
    return Histogram([10.0 ** (place / parts - 6) for place in range(first, last + 2)], queries)


def _column(duration_ms: float, parts: int) -> int:
    return math.floor(math.log10(max(duration_ms * 1e6, 1)) * parts)


def hour_of(started_us: int) -> datetime:
    """The full hour, in UTC, that a moment lies in."""
    moment = datetime.fromisoformat(utc_text(started_us))
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(0)
