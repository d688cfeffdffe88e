"""What the analysis hands on: frozen data, before any drawing.

`msgspec.to_builtins(report)` gives the figures of `metrics report --format json`, key for key. Rates and shares are
0 to 1, times milliseconds, counts weighted (a sampled query stands for `weight` queries). Over nothing, it is None.
"""

from __future__ import annotations

from msgspec import Struct


class Period(Struct, frozen=True):
    """What the figures cover; times are RFC 3339 text in UTC."""

    hours: float
    start: str
    end: str
    generated_at: str


class QueryFigures(Struct, frozen=True):
    """How many queries, and how they ended. Queries inside queries are not counted."""

    total: float
    successful: float
    failed: float
    success_rate: float | None


class AgentFigures(Struct, frozen=True):
    """One agent's queries; `share` is of all queries."""

    queries: float
    share: float
    success_rate: float
    average_ms: float
    p95_ms: float


class ResponseTimes(Struct, frozen=True):
    """Durations; percentiles by linear interpolation; `slow` and `very_slow` count queries above the thresholds."""

    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    slow: float
    very_slow: float


class Complexity(Struct, frozen=True):
    """Complexity scores of selections; `high` counts those above 0.7, `scored` all that have one."""

    average: float | None
    high: float
    scored: float


class CallFigures(Struct, frozen=True):
    """Calls of one tool or GraphQL operation; `failed` is a count."""

    calls: float
    failed: float
    average_ms: float | None
    p95_ms: float | None


class DataFigures(Struct, frozen=True):
    """What the figures do not cover: records dropped while recording, lines skipped while reading."""

    dropped: int
    skipped: int


class Activity(Struct, frozen=True):
    """Queries over the period in equal buckets of `bucket_minutes`, the first beginning at `start`."""

    start: str
    bucket_minutes: float
    queries: list[float]
    failed: list[float]


class Histogram(Struct, frozen=True):
    """Durations in logarithmic buckets: `queries[i]` lie in [bounds_ms[i], bounds_ms[i + 1])."""

    bounds_ms: list[float]
    queries: list[float]


class Report(Struct, frozen=True):
    """The figures of one period."""

    period: Period
    queries: QueryFigures
    agents: dict[str, AgentFigures]
    response_times: ResponseTimes
    entities: dict[str, float]
    complexity: Complexity
    tools: dict[str, CallFigures]
    graphql: dict[str, CallFigures]
    errors: dict[str, float]
    data: DataFigures
    activity: Activity
    histogram: Histogram


class AgentDetail(Struct, frozen=True):
    """One agent in detail; `nested` of its queries ran inside another query and stand in no other figure."""

    queries: float
    nested: float
    share: float
    successful: float
    failed: float
    cancelled: float
    success_rate: float
    average_ms: float
    min_ms: float
    max_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slow: float
    very_slow: float
    tool_calls: float
    graphql_queries: float
    average_result_bytes: float | None
    average_first_chunk_ms: float | None
    input_tokens: float
    output_tokens: float
    errors: dict[str, float]


class CallDetail(Struct, frozen=True):
    """One tool or operation in detail; `busy_ms` is the time spent in it altogether."""

    calls: float
    failed: float
    failure_rate: float
    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    busy_ms: float
    errors: dict[str, float]


class HourFigures(Struct, frozen=True):
    """One hour's queries; `start` is RFC 3339 text in UTC."""

    start: str
    queries: float
    failed: float
    average_ms: float
    p95_ms: float


class SelectionFigures(Struct, frozen=True):
    """How often the selector chose an agent, and why (the commonest reasons first)."""

    selections: float
    average_score: float | None
    reasons: dict[str, float]


class Stats(Struct, frozen=True):
    """Everything in detail."""

    period: Period
    queries: QueryFigures
    agents: dict[str, AgentDetail]
    tools: dict[str, CallDetail]
    graphql: dict[str, CallDetail]
    selections: dict[str, SelectionFigures]
    models: dict[str, float]
    hours: list[HourFigures]
    data: DataFigures


class QueryLine(Struct, frozen=True):
    """One query in a list of queries."""

    query_id: str
    start_time: str
    agent_type: str
    duration_ms: float
    success: bool
    status: str
    error_type: str | None
    error_message: str | None
    user_input: str
    tool_calls: int
    graphql_queries: int
