"""The tables in ClickHouse, and how an older set of them is brought up to date.

`queries` has a row a query with its calls nested; `late_calls` has the calls that ended after their query was written,
or belong to none; `selections` those that stand apart from a query; `health` what processes dropped. The roll-ups
beside them are in `rollups`. A table's comment says which version made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from instrument.store.clickhouse import rollups

VERSION = 1

TOKENS = 50_000
"""Inserts whose tokens a table remembers, so that the same insert again changes nothing; replicated tables 10,000."""

_NAME = "LowCardinality(String)"
_MAYBE_NAME = "LowCardinality(Nullable(String))"
_COUNT, _MAYBE_COUNT, _MAYBE_REAL = "Int64 CODEC(T64, ZSTD(1))", "Nullable(Int64) CODEC(ZSTD(1))", "Nullable(Float64)"
_TIME = "DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))"
_TEXT = "String CODEC(ZSTD(3))"

CALL: dict[str, str] = {
    "kind": _NAME,
    "name": _NAME,
    "start_ns": "Int64",
    "duration_ns": "Nullable(Int64)",
    "status": _NAME,
    "error_type": _MAYBE_NAME,
    "error_message": "Nullable(String)",
    "passed_on": "Bool",
    "parent": "Nullable(Int32)",
    "late": "Bool",
    "result_size_bytes": "Nullable(Int64)",
    "model": _MAYBE_NAME,
    "provider": _MAYBE_NAME,
    "input_tokens": "Nullable(Int64)",
    "output_tokens": "Nullable(Int64)",
    "cached_tokens": "Nullable(Int64)",
    "reasoning_tokens": "Nullable(Int64)",
    "first_chunk_ms": _MAYBE_REAL,
    "cost_usd": _MAYBE_REAL,
    "input": "Nullable(String)",
    "output": "Nullable(String)",
    "variables_hash": "Nullable(String)",
}
"""The fields of a call with their types, the same nested in a query and in a row of its own."""


class Table(NamedTuple):
    """One table: its columns and types, how it is sorted, the column that its days are by."""

    columns: dict[str, str]
    order: str
    day: str


TABLES: dict[str, Table] = {
    "queries": Table(
        {
            "query_id": _TEXT,
            "start_time": _TIME,
            "duration_ns": _COUNT,
            "agent_type": _NAME,
            "name": _NAME,
            "user_input": _TEXT,
            "status": _NAME,
            "error_type": _MAYBE_NAME,
            "error_message": "Nullable(String) CODEC(ZSTD(3))",
            "passed_on": "Bool",
            "parent_id": "Nullable(String)",
            "entities_detected": f"Array({_NAME})",
            "result_size_bytes": _MAYBE_COUNT,
            "first_chunk_ms": _MAYBE_REAL,
            "tool_calls": _COUNT,
            "graphql_queries": _COUNT,
            "model_calls": _COUNT,
            "model": _MAYBE_NAME,
            "input_tokens": _MAYBE_COUNT,
            "output_tokens": _MAYBE_COUNT,
            "cached_tokens": _MAYBE_COUNT,
            "reasoning_tokens": _MAYBE_COUNT,
            "cost_usd": _MAYBE_REAL,
            "selected_agent": _MAYBE_NAME,
            "complexity_score": _MAYBE_REAL,
            "selection_reason": _MAYBE_NAME,
            "selection_time": "Nullable(DateTime64(6, 'UTC'))",
            "attributes": _TEXT,
            "metrics": "Map(LowCardinality(String), Float64)",
            "weight": "Float64",
            "host": _NAME,
            "process": "Nullable(Int64)",
            **{f"calls.{name}": f"Array({kind})" for name, kind in CALL.items()},
        },
        "(agent_type, toStartOfHour(start_time), start_time, query_id)",
        "start_time",
    ),
    "late_calls": Table(
        {"record_id": "String", "query_id": "Nullable(String)", "start_time": _TIME, **CALL, "weight": "Float64"},
        "(toStartOfHour(start_time), start_time, record_id)",
        "start_time",
    ),
    "selections": Table(
        {
            "record_id": "String",
            "query_id": "Nullable(String)",
            "user_input": _TEXT,
            "selected_agent": _NAME,
            "complexity_score": _MAYBE_REAL,
            "selection_reason": _MAYBE_NAME,
            "timestamp": _TIME,
        },
        "(toStartOfHour(timestamp), timestamp, record_id)",
        "timestamp",
    ),
    "health": Table(
        {
            "record_id": "String",
            "timestamp": _TIME,
            "dropped": "Map(LowCardinality(String), Int64)",
            "problems": "Map(LowCardinality(String), Int64)",
            "host": _NAME,
            "process": "Nullable(Int64)",
        },
        "(timestamp, record_id)",
        "timestamp",
    ),
}


def statements(engine: str = "ReplacingMergeTree", on: str = "") -> Iterator[str]:
    """The statements that make every table and view that is missing; `on` is `ON CLUSTER name` or nothing.

    `engine` is the engine of the tables; the roll-ups' is made of it.
    """
    replicated = engine.startswith("Replicated")
    window = f", {'' if replicated else 'non_'}replicated_deduplication_window = {10_000 if replicated else TOKENS}"
    for name, table in TABLES.items():
        columns = ", ".join(f"`{column}` {kind}" for column, kind in table.columns.items())
        yield (
            f"CREATE TABLE IF NOT EXISTS {name}{on} ({columns}) ENGINE = {engine}"
            f" PARTITION BY toDate({table.day}) ORDER BY {table.order}"
            f" SETTINGS index_granularity = 8192{window} COMMENT 'agent-instrument {VERSION}'"
        )
    yield from rollups.statements(engine.replace("Replacing", "Aggregating"), on, window)
