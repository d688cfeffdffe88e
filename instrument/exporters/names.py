"""The one table of the metrics that leave the store: names for Prometheus and OTLP, units, labels, buckets, help texts.

Names, units and buckets are those of OpenTelemetry's GenAI conventions (semantic-conventions-genai 0.1.0) where these
have a metric for it; the rest begins with `agent_instrument_`. A Prometheus name follows from the OTLP name, the unit
and the type by OpenTelemetry's own rules. Unless the help text says otherwise, a metric of queries leaves out queries
inside queries, as `metrics report` does; a metric of calls counts all calls.

A sampled record counts as often as its weight says, so that totals stay right.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PREFIX = "agent_instrument_"

OTHER = "other"
"""The label value for everything beyond the number of values that a label may have."""

UNKNOWN = "unknown"
"""The label value where the record says nothing: no agent, no model."""

SUCCESSFUL, FAILED, CANCELLED = "successful", "failed", "cancelled"
OUTCOMES = (SUCCESSFUL, FAILED, CANCELLED)
"""The values of `outcome`: the three ways in which a query or a call ends, as in the report's figures."""

INPUT, OUTPUT = "input", "output"

ATTRIBUTES = {
    "agent": "gen_ai.agent.name",
    "model": "gen_ai.request.model",
    "type": "gen_ai.token.type",
    "error_type": "error.type",
    "operation": "graphql.operation.name",
    "outcome": "agent_instrument.outcome",
    "kind": "agent_instrument.call.kind",
    "name": "agent_instrument.call.name",
    "entity": "agent_instrument.entity",
    "metric": "agent_instrument.metric",
    "reason": "agent_instrument.reason",
    "version": "agent_instrument.version",
    "gen_ai_agent_name": "gen_ai.agent.name",
    "gen_ai_tool_name": "gen_ai.tool.name",
    "gen_ai_tool_type": "gen_ai.tool.type",
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_token_type": "gen_ai.token.type",
}
"""The OTLP attribute that each Prometheus label stands for."""


def _doubling(first: float, number: int) -> tuple[float, ...]:
    return tuple(round(first * 2**place, 6) for place in range(number))


AGENT_SECONDS = _doubling(0.1, 13)
"""Bounds for whole queries: 0.1 s, doubling up to 409.6 s."""

CALL_SECONDS = _doubling(0.01, 14)
"""Bounds for tool, GraphQL and model calls: 0.01 s, doubling up to 81.92 s."""

TOKENS = tuple(float(4**power) for power in range(14))
"""Bounds for tokens of one model call: powers of 4 up to 67,108,864."""

SCORES = tuple(tenth / 10 for tenth in range(1, 11))
"""Bounds for complexity scores, of which those above 0.7 count as high."""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric. `prometheus` is the name of its samples, without `_bucket`, `_sum` and `_count` for a histogram.

    `unit` is UCUM, as OTLP has it; `labels` are Prometheus names, whose attributes `ATTRIBUTES` has. A label without a
    value is left out. `bounds` are a histogram's upper bounds, the infinite one not among them.
    """

    prometheus: str
    otlp: str
    type: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(
        prometheus=f"{PREFIX}{name}_total",
        otlp=f"agent_instrument.{name}",
        type="counter",
        unit=f"{{{unit}}}",
        help=help,
        labels=labels,
    )


def _seconds(otlp: str, bounds: tuple[float, ...], help: str, *labels: str) -> Metric:
    name = otlp.replace(".", "_") + "_seconds"
    return Metric(prometheus=name, otlp=otlp, type="histogram", unit="s", help=help, labels=labels, bounds=bounds)


_MODEL_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

QUERIES = _counter("queries", "query", "Queries that ended, by how they ended.", "agent", "outcome")
NESTED_QUERIES = _counter(
    "nested_queries", "query", "Queries that ran inside another query; no other metric counts them.", "agent", "outcome"
)
QUERY_ERRORS = _counter(
    "query_errors", "query", "Failed queries, by the error that failed them.", "agent", "error_type"
)
SLOW_QUERIES = _counter("slow_queries", "query", "Queries slower than slow_query_threshold_ms.", "agent")
VERY_SLOW_QUERIES = _counter("very_slow_queries", "query", "Queries slower than very_slow_query_threshold_ms.", "agent")
CALLS = _counter("calls", "call", "Tool, GraphQL and model calls, by how they ended.", "kind", "name", "outcome")
CALL_ERRORS = _counter(
    "call_errors", "call", "Errors that calls raised, each counted where it was raised.", "kind", "error_type"
)
TOKENS_USED = _counter("tokens", "token", "Tokens that queries used, into and out of models.", "agent", "model", "type")
CACHED_TOKENS = _counter(
    "cached_tokens", "token", "Input tokens of queries that a provider had cached.", "agent", "model"
)
REASONING_TOKENS = _counter(
    "reasoning_tokens", "token", "Output tokens of queries that went into reasoning.", "agent", "model"
)
COST = _counter("cost_usd", "USD", "Cost of queries in US dollars.", "agent", "model")
SELECTIONS = _counter("selections", "selection", "Choices of an agent, by the agent that was chosen.", "agent")
ENTITIES = _counter("entities", "entity", "Queries in which an entity was detected.", "entity")
METRIC_VALUES = _counter("metric_values", "value", "Values recorded of custom metrics.", "agent", "metric")
METRIC_SUM = _counter("metric_sum", "value", "Sum of the values above 0 of custom metrics.", "agent", "metric")
METRIC_NEGATIVE_SUM = _counter(
    "metric_negative_sum", "value", "Sum of the values below 0 of custom metrics, without its sign.", "agent", "metric"
)
RECORDS_DROPPED = _counter("records_dropped", "record", "Records that could not be kept, by reason.", "reason")
PROBLEMS = _counter("problems", "problem", "Faults while recording, by kind.", "kind")
LINES_SKIPPED = _counter("lines_skipped", "line", "Lines of the store that were no records.")

AGENT_DURATION = _seconds(
    "gen_ai.invoke_agent.duration", AGENT_SECONDS, "Duration of queries.", "gen_ai_agent_name", "error_type"
)
QUERY_FIRST_CHUNK = _seconds(
    "agent_instrument.query_first_chunk",
    CALL_SECONDS,
    "Time from the start of queries to the first chunk of their result.",
    "agent",
)
TOOL_DURATION = _seconds(
    "gen_ai.execute_tool.duration",
    CALL_SECONDS,
    "Duration of tool calls.",
    "gen_ai_tool_name",
    "gen_ai_tool_type",
    "gen_ai_agent_name",
    "error_type",
)
GRAPHQL_DURATION = _seconds(
    "agent_instrument.graphql_duration", CALL_SECONDS, "Duration of GraphQL calls.", "operation", "agent", "error_type"
)
MODEL_DURATION = _seconds(
    "gen_ai.client.operation.duration", CALL_SECONDS, "Duration of model calls.", *_MODEL_LABELS, "error_type"
)
MODEL_FIRST_CHUNK = _seconds(
    "gen_ai.client.operation.time_to_first_chunk",
    CALL_SECONDS,
    "Time from the start of model calls to the first chunk of the answer.",
    *_MODEL_LABELS,
)
TOKEN_USAGE = Metric(
    prometheus="gen_ai_client_token_usage",
    otlp="gen_ai.client.token.usage",
    type="histogram",
    unit="{token}",
    help="Tokens of model calls, into and out of the model.",
    labels=(*_MODEL_LABELS, "gen_ai_token_type"),
    bounds=TOKENS,
)
COMPLEXITY = Metric(
    prometheus="agent_instrument_complexity_score",
    otlp="agent_instrument.complexity_score",
    type="histogram",
    unit="1",
    help="Complexity scores of the choices of an agent.",
    labels=("agent",),
    bounds=SCORES,
)

LAST_QUERY = Metric(
    prometheus="agent_instrument_last_query_timestamp_seconds",
    otlp="agent_instrument.last_query_timestamp",
    type="gauge",
    unit="s",
    help="When the newest query of an agent ended, in seconds since 1970.",
    labels=("agent",),
)
BUILD = Metric(
    prometheus="agent_instrument_build_info",
    otlp="agent_instrument.build_info",
    type="gauge",
    unit="{version}",
    help="The version of agent-instrument that serves these metrics.",
    labels=("version",),
)

METRICS: tuple[Metric, ...] = (
    QUERIES,
    NESTED_QUERIES,
    QUERY_ERRORS,
    SLOW_QUERIES,
    VERY_SLOW_QUERIES,
    AGENT_DURATION,
    QUERY_FIRST_CHUNK,
    CALLS,
    CALL_ERRORS,
    TOOL_DURATION,
    GRAPHQL_DURATION,
    MODEL_DURATION,
    MODEL_FIRST_CHUNK,
    TOKEN_USAGE,
    TOKENS_USED,
    CACHED_TOKENS,
    REASONING_TOKENS,
    COST,
    SELECTIONS,
    COMPLEXITY,
    ENTITIES,
    METRIC_VALUES,
    METRIC_SUM,
    METRIC_NEGATIVE_SUM,
    RECORDS_DROPPED,
    PROBLEMS,
    LINES_SKIPPED,
    LAST_QUERY,
    BUILD,
)
"""Every metric, in the order in which /metrics shows them."""
