"""The nouns: what a finished query, call and selection are, as users and files see them.

Names follow the product's first document, so `metrics.json` written by it and by this package read alike. Times
are UTC text (RFC 3339, microseconds, `Z`), durations milliseconds, sizes bytes. How the same facts lie on disk is
`stored.py`'s business.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Kind = Literal["tool", "graphql", "model"]
Status = Literal["ok", "error", "cancelled", "closed", "abandoned"]

HIGH_COMPLEXITY = 0.7
"""A selection whose complexity score is above this counts as highly complex in reports."""


class CallRecord(Struct, kw_only=True, omit_defaults=True):
    """One tool, GraphQL or model call.

    `start_ms` counts from the query's start; for a call outside any query it is 0 and `start_time` says when. `parent`
    is the place of the enclosing call in the query's `calls`, None directly under the query. `late` marks a call that
    ended after its query had. `duration_ms` is None for a call that was still open when its query was written and
    never reported back. `passed_on` says that a record inside failed by the same exception, which reports count once.
    `result_size_bytes` is there where an integration knows the size of the answer. `variables_hash` is a keyed hash of
    a GraphQL call's variables: two calls of one operation in one store have the same where their variables were equal.

    The rest is of model calls: `cached_tokens` are among `input_tokens`, `reasoning_tokens` among `output_tokens`,
    `first_chunk_ms` counts from the call's start, `cost_usd` is in US dollars. `input` and `output` are the texts of
    prompt and answer, kept only with `capture_model_content`.
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
    variables_hash: str | None = None
    parent: int | None = None
    late: bool = False
    query_id: str | None = None
    start_time: str | None = None
    weight: float = 1.0
    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    first_chunk_ms: float | None = None
    cost_usd: float | None = None
    input: str | None = None
    output: str | None = None


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

    `passed_on` says that a record inside failed by the same exception, which reports count once. Tokens and cost (in US
    dollars) are the sum of its model calls' unless the application recorded figures of the query's own.
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
    model_calls: int = 0
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
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    first_chunk_ms: float | None = None
    weight: float = 1.0
    process: int | None = None
    host: str | None = None


class HealthRecord(Struct, kw_only=True, omit_defaults=True):
    """What a process could not keep since it last said so: records dropped and faults of ours, counted by reason."""

    timestamp: str
    dropped: dict[str, int]
    problems: dict[str, int]
    process: int | None = None
    host: str | None = None


Record = QueryRecord | CallRecord | SelectionRecord | HealthRecord
"""Whatever a store holds. A call of its own stands outside any query, or ended after the query of its `query_id`."""
