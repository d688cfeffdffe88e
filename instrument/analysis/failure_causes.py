"""What most of the failed queries of a stretch of time failed with, and the call that raised it."""

from __future__ import annotations

from msgspec import Struct

from instrument.analysis.contributions import Stretch
from instrument.analysis.measures import FAILED
from instrument.rows.columns import literal
from instrument.store.tables import Tables

LEAST_SHARE = 0.5
"""An error, or a call, behind a smaller share of the failures is not named."""


class Cause(Struct, frozen=True):
    """The error that `with_error` of the `failures` ended with, and the call that raised it in most of those.

    `error` is the error's type, or the status of queries without one. `call` is None where no call raised it.
    """

    error: str
    failures: float
    with_error: float
    call: str | None


def commonest(tables: Tables, stretch: Stretch) -> Cause | None:
    """The error of at least half of the failed queries of a stretch; None where there is no such error."""
    failed = f"parent_id IS NULL AND {FAILED} AND started_us >= {stretch[0]} AND started_us < {stretch[1]}"
    rows = tables.rows(
        f"""SELECT coalesce(error_type, status) AS error, sum(weight)::DOUBLE AS number FROM queries
        WHERE {failed} GROUP BY ALL ORDER BY number DESC, error"""
    )
    failures = sum(number for _, number in rows)
    if not rows or rows[0][1] < LEAST_SHARE * failures:
        return None
    error, number = rows[0]
    of_calls = tables.rows(
        f"""SELECT name, sum(failing.weight)::DOUBLE AS number
        FROM (SELECT DISTINCT query_id, name, error_type FROM calls WHERE {FAILED} AND NOT passed_on) AS raising
        JOIN (SELECT query_id, error_type, weight FROM queries WHERE {failed}) AS failing
            USING (query_id, error_type)
        WHERE error_type = {literal(error)} GROUP BY ALL ORDER BY number DESC, name LIMIT 1"""
    )
    call = of_calls[0][0] if of_calls and of_calls[0][1] >= LEAST_SHARE * number else None
    return Cause(error, failures, number, call)
