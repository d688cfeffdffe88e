"""The nouns: what a finished query, call and selection are, as users and files see them.

Names follow the product's first document, so `metrics.json` written by it and by this package read alike. Times
are UTC text (RFC 3339, microseconds, `Z`), durations milliseconds, sizes bytes. How the same facts lie on disk is
`stored.py`'s business.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Kind = Literal["tool", "graphql"]
Status = Literal["ok", "error", "cancelled", "closed", "abandoned"]

HIGH_COMPLEXITY = 0.7
"""A selection whose complexity score is above this counts as highly complex in reports."""


class CallRecord(Struct, kw_only=True, omit_defaults=True):
    """One tool or GraphQL call.

    `start_ms` counts from the query's start; for a call outside any query it is 0 and `start_time` says when. `parent`
    is the place of the enclosing call in the query's `calls`, None directly under the query. `late` marks a call that
    ended after its query had. `duration_ms` is None for a call that was still open when its query was written and
    never reported back. `passed_on` says that a record inside failed by the same exception, which reports count once.
    `result_size_bytes` is there where an integration knows the size of the answer.
    """

    kind: Kind
    name: str
    start_ms: float
    duration_ms: float | None
    success: bool
    status: Status = "ok"
    error_type: str | None = None
    error_message: str | None = None
    passed_on: bool = False
    result_size_bytes: int | None = None
    parent: int | None = None
    late: bool = False
    query_id: str | None = None
    start_time: str | None = None
    weight: float = 1.0


class SelectionRecord(Struct, kw_only=True, omit_defaults=True):
    """The choice of an agent; `query_id` is empty when no query followed."""

    query_id: str
    user_input: str = ""
    selected_agent: str
    complexity_score: float | None
    selection_reason: str | None
    timestamp: str


class QueryRecord(Struct, kw_only=True, omit_defaults=True):
    """One request handled by one agent, with everything that happened inside it.

    `passed_on` says that a record inside failed by the same exception, which reports count once.
    """

    query_id: str
    user_input: str
    agent_type: str
    start_time: str
    end_time: str
    duration_ms: float
    success: bool
    error_type: str | None = None
    error_message: str | None = None
    result_size_bytes: int | None
    tool_calls: int
    graphql_queries: int
    entities_detected: list[str]
    status: Status = "ok"
    passed_on: bool = False
    name: str = ""
    parent_id: str | None = None
    selection: SelectionRecord | None = None
    calls: list[CallRecord] = []
    attributes: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    first_chunk_ms: float | None = None
    weight: float = 1.0
    process: int | None = None
    host: str | None = None
