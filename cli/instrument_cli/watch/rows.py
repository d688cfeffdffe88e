"""One query in the list of the newest, and the order of that list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from instrument.analysis.results import QueryLine
from instrument.analysis.wording import moment
from instrument.records import QueryRecord

MOST = 500
"""How many queries the list keeps."""


class Row(NamedTuple):
    """A query in the list; times are UTC, `error` its type and message."""

    query_id: str
    started: datetime
    ended: datetime
    agent: str
    duration_ms: float
    status: str
    failed: bool
    calls: int
    user_input: str
    error: str

    @classmethod
    def of(cls, query: QueryLine | QueryRecord) -> Row:
        """The row of a query, as it was listed or followed."""
        started = moment(query.start_time)
        return cls(
            query.query_id,
            started,
            started + timedelta(milliseconds=query.duration_ms),
            query.agent_type,
            query.duration_ms,
            query.status,
            not query.success and query.status != "cancelled",
            query.tool_calls + query.graphql_queries + query.model_calls,
            query.user_input,
            ": ".join(text for text in (query.error_type, query.error_message) if text),
        )


def newest(*groups: Iterable[Row]) -> list[Row]:
    """The rows of all groups, each query once, the one that ended last first."""
    found = {row.query_id: row for rows in groups for row in rows}
    return sorted(found.values(), key=lambda row: (row.ended, row.query_id), reverse=True)[:MOST]
