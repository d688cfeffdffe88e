"""What the analysis hands on: frozen data, before any drawing.

`msgspec.to_builtins(report)` gives the figures of `metrics report --format json`, key for key. Rates and shares are
0 to 1, times milliseconds, cost US dollars. Counts are whole numbers, unless a sampled query stands for `weight`
queries. A figure over nothing is None.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from instrument.config import Config


class Limits(NamedTuple):
    """Above how many ms a query counts as slow, and as very slow."""

    slow_ms: float
    very_slow_ms: float

    @classmethod
    def of(cls, config: Config) -> Limits:
        """The limits in the settings."""
        return cls(config.slow_query_threshold_ms, config.very_slow_query_threshold_ms)


class Period(Struct, frozen=True):
    """What the figures cover: from `start` up to `end`, both UTC."""

    hours: float
    start: datetime
    end: datetime
    generated_at: datetime


class QueryFigures(Struct, frozen=True):
    """How many queries, and how they ended. Queries inside queries are not counted.

    `success_rate` is the share of the successful among the successful and the failed.
    """

    total: float
    successful: float
    failed: float
    cancelled: float
    success_rate: float | None


class AgentFigures(Struct, frozen=True, kw_only=True):
    """The queries of one agent, or of another group; `share` is of all queries.

    `tokens` are input and output tokens together. `busy_ms` is the sum of the durations.
    """

    queries: float
    share: float
    failed: float
    cancelled: float
    success_rate: float | None
    average_ms: float
    p95_ms: float
    busy_ms: float
    input_tokens: float
    output_tokens: float
    tokens: float
    cost_usd: float | None


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


class FirstChunk(Struct, frozen=True):
    """The time to the first chunk of the queries whose result was a stream."""

    streams: float
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None


class Complexity(Struct, frozen=True):
    """Complexity scores of selections; `high` counts those above `records.HIGH_COMPLEXITY`, `scored` all with one."""

    average: float | None
    high: float
    scored: float


class CallFigures(Struct, frozen=True, kw_only=True):
    """Calls of one tool or GraphQL operation; `busy_ms` is the time spent in them altogether."""

    calls: float
    failed: float
    cancelled: float
    average_ms: float | None
    p95_ms: float | None
    busy_ms: float


class ModelFigures(Struct, frozen=True, kw_only=True):
    """Calls of one model, or the queries that name it where no model calls are recorded.

    `tokens_per_second` is output tokens over the time spent.
    """

    calls: float
    failed: float
    cancelled: float
    average_ms: float | None
    p95_ms: float | None
    busy_ms: float
    first_chunk_p95_ms: float | None
    input_tokens: float
    output_tokens: float
    tokens_per_second: float | None
    cost_usd: float | None


class MetricFigures(Struct, frozen=True):
    """The values of one recorded metric; `count` is how many queries have it."""

    count: float
    mean: float
    p50: float
    p95: float
    sum: float


class DataFigures(Struct, frozen=True):
    """What the figures do not cover: records dropped while recording, lines skipped while reading.

    `percentiles` says how exact percentiles of durations are: `exact`, or `from roll-ups, within 1 %`.
    """

    dropped: int
    skipped: int
    reasons: dict[str, int] = {}
    """Dropped records by reason."""
    percentiles: str = "exact"


class Activity(Struct, frozen=True):
    """Queries over the period in equal buckets of `bucket_minutes`, the first beginning at `start`.

    The first and the last bucket may reach beyond the period: they hold a part of their queries.
    """

    start: datetime
    bucket_minutes: float
    queries: list[float]
    failed: list[float]
    cancelled: list[float]


class Histogram(Struct, frozen=True):
    """Durations in logarithmic buckets: `queries[i]` lie in [bounds_ms[i], bounds_ms[i + 1])."""

    bounds_ms: list[float]
    queries: list[float]


class Breakdown(Struct, frozen=True):
    """The queries by the values of what `by` names; a query with several entities is in several groups."""

    by: str
    groups: dict[str, AgentFigures]


class Report(Struct, frozen=True):
    """The figures of one period.

    `errors` are of failed queries and sum to `queries.failed`; `call_errors` are the exceptions that calls raised, each
    counted once, where it was raised. `notices` are sentences about what is unusual.
    """

    period: Period
    queries: QueryFigures
    agents: dict[str, AgentFigures]
    response_times: ResponseTimes
    first_chunk: FirstChunk
    entities: dict[str, float]
    complexity: Complexity
    tools: dict[str, CallFigures]
    graphql: dict[str, CallFigures]
    models: dict[str, ModelFigures]
    errors: dict[str, float]
    call_errors: dict[str, float]
    metrics: dict[str, MetricFigures]
    data: DataFigures
    activity: Activity
    histogram: Histogram
    breakdown: Breakdown | None = None
    notices: list[str] = []


class AgentDetail(Struct, frozen=True, kw_only=True):
    """One agent in detail; `nested` of its queries ran inside another query and stand in no other figure."""

    queries: float
    nested: float
    share: float
    successful: float
    failed: float
    cancelled: float
    success_rate: float | None
    busy_ms: float
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
    first_chunk_p95_ms: float | None
    input_tokens: float
    output_tokens: float
    tokens: float
    cost_usd: float | None
    errors: dict[str, float]


class CallDetail(Struct, frozen=True, kw_only=True):
    """One tool or operation in detail; `busy_ms` is the time spent in it altogether.

    `failure_rate` is the share of the failed among the successful and the failed.
    """

    calls: float
    failed: float
    cancelled: float
    failure_rate: float | None
    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    busy_ms: float
    errors: dict[str, float]


class HourFigures(Struct, frozen=True):
    """One hour's queries, or one day's; `start` in UTC."""

    start: datetime
    queries: float
    failed: float
    cancelled: float
    average_ms: float
    p95_ms: float


class SelectionFigures(Struct, frozen=True):
    """How often the selector chose an agent, and why (the commonest reasons first)."""

    selections: float
    average_score: float | None
    reasons: dict[str, float]


class Stats(Struct, frozen=True):
    """Everything in detail; `days` is empty for a period of less than three days."""

    period: Period
    queries: QueryFigures
    agents: dict[str, AgentDetail]
    tools: dict[str, CallDetail]
    graphql: dict[str, CallDetail]
    selections: dict[str, SelectionFigures]
    models: dict[str, ModelFigures]
    metrics: dict[str, MetricFigures]
    hours: list[HourFigures]
    days: list[HourFigures]
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
    model_calls: int = 0
    entities_detected: list[str] = []
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    result_size_bytes: int | None = None
    first_chunk_ms: float | None = None
    attributes: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
