"""Queries over time by how they ended: the picture above a list of them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from instrument.analysis.charts import bucket_length
from instrument.analysis.measures import FAILED, counting
from instrument.store.tables import Tables, instant, microseconds

ROOTS = "queries WHERE parent_id IS NULL"
"""The queries that count: those inside queries stand in no figure of their own."""

CALLS = "calls WHERE true"
"""Every call, in queries and outside any."""

MOST_BUCKETS = 84


class Ended(Struct, frozen=True):
    """Queries over time by how they ended, for a picture of what a filter picks."""

    start: datetime
    every_seconds: float
    queries: list[float]
    failed: list[float]


def ended(tables: Tables, start: datetime, end: datetime, most: int = MOST_BUCKETS) -> Ended:
    """Count the queries of the tables, and those that failed, over a period."""
    first, last = microseconds(start), microseconds(end)
    step = bucket_length(first, last, most)
    first -= first % step
    number = (last - first) // step + 1
    queries, failed = [0.0] * number, [0.0] * number
    for at, every, bad in tables.rows(
        f"""SELECT ((started_us - {first}) // {step})::INTEGER, {counting(tables)}, {counting(tables, FAILED)}
        FROM {ROOTS} GROUP BY 1"""
    ):
        if 0 <= at < number:
            queries[at], failed[at] = every, bad
    return Ended(instant(first), step / 1e6, queries, failed)
