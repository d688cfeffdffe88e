"""Queries over time and by duration, as the charts of a report need them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from instrument.analysis.measures import CANCELLED, FAILED, counting
from instrument.analysis.results import Activity, Histogram
from instrument.store.tables import Tables, instant, microseconds

MOST_BUCKETS = 48

ERROR = "coalesce(error_type, CASE status WHEN 'error' THEN 'unknown' ELSE status END)"
"""What a failed query is counted under; one that was cut short has no error's type, but a status."""

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_STEPS = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
DECADE = 4
"""Columns of the histogram to a power of ten."""

_MOST_COLUMNS = 24


class Shape(Struct, frozen=True):
    """Queries counted by when they started, how long they took and how they ended, in one reading of them."""

    activity: Activity
    histogram: Histogram
    errors: Counter[str]


def shape(tables: Tables, roots: str, start: datetime, end: datetime, parameters: dict[str, Any]) -> Shape:
    """Count the queries of `roots`, a FROM clause with its WHERE, over the period."""
    first, last = microseconds(start), microseconds(end)
    step = bucket_length(first, last)
    first -= first % step
    statement = f"""
        SELECT (started_us - {first}) // {step} AS bucket,
            floor(log10(greatest(duration_ns, 1)) * {DECADE})::INTEGER AS place,
            CASE WHEN {FAILED} THEN {ERROR} END AS error, {CANCELLED} AS cancelled, {counting(tables)}
        FROM {roots} GROUP BY ALL"""
    counted = tables.rows(statement, parameters)
    errors: Counter[str] = Counter()
    for _, _, error, _, count in counted:
        if error is not None:
            errors[error] += count
    buckets = (last - first) // step + 1
    failed = [(bucket, count) for bucket, _, error, _, count in counted if error is not None]
    return Shape(
        Activity(
            instant(first),
            step / _MINUTE,
            _filled(((bucket, count) for bucket, *_, count in counted), buckets),
            _filled(failed, buckets),
            _filled(((bucket, count) for bucket, _, _, cancelled, count in counted if cancelled), buckets),
        ),
        histogram([(place, count) for _, place, _, _, count in counted]),
        errors,
    )


def bucket_length(first_us: int, last_us: int, most: int = MOST_BUCKETS) -> int:
    """The shortest round length, in µs, of which at most `most` buckets cover a period."""
    step = next((step for step in _STEPS if _buckets(first_us, last_us, step) <= most), _STEPS[-1])
    while _buckets(first_us, last_us, step) > most:
        step *= 2
    return step


def _buckets(first_us: int, last_us: int, step: int) -> int:
    return last_us // step - first_us // step + 1


def _filled(counted: Iterable[tuple[int, float]], buckets: int) -> list[float]:
    totals: list[float] = [0] * buckets
    for bucket, count in counted:
        if 0 <= bucket < buckets:
            totals[bucket] += count
    return totals


def histogram(counted: list[tuple[int, float]]) -> Histogram:
    """A histogram of counts by place, `DECADE` places to a power of ten, place 0 being a nanosecond."""
    if not counted:
        return Histogram([], [])
    places = [place for place, _ in counted]
    joined = next(n for n in (1, 2, 4) if n == DECADE or max(places) // n - min(places) // n < _MOST_COLUMNS)
    first, last = min(places) // joined, max(places) // joined
    queries: list[float] = [0] * (last - first + 1)
    for place, count in counted:
        queries[place // joined - first] += count
    return Histogram([10.0 ** (place * joined / DECADE - 6) for place in range(first, last + 2)], queries)
