"""Records as rows of the tables in ClickHouse."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from instrument.records import CallRecord, HealthRecord, QueryRecord, Record, SelectionRecord
from instrument.store.clickhouse.schema import CALL

_encode = msgspec.json.Encoder().encode
_PLAIN = (
    "query_id",
    "start_time",
    "agent_type",
    "name",
    "user_input",
    "status",
    "error_type",
    "error_message",
    "passed_on",
    "parent_id",
    "entities_detected",
    "result_size_bytes",
    "first_chunk_ms",
    "tool_calls",
    "graphql_queries",
    "model_calls",
    "model",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "metrics",
    "weight",
    "process",
)
_CALL_PLAIN = tuple(name for name in CALL if name not in ("start_ns", "duration_ns"))


def rows(records: Iterable[Record], batch: str) -> dict[str, list[bytes]]:
    """The lines of JSON for each table; `batch` tells apart what has no id of its own."""
    lines: dict[str, list[bytes]] = {}
    for number, record in enumerate(records):
        if isinstance(record, QueryRecord):
            lines.setdefault("queries", []).append(_encode(_query(record)))
        elif isinstance(record, CallRecord):
            lines.setdefault("late_calls", []).append(_encode(_call(record, f"{batch}-{number}")))
        elif isinstance(record, SelectionRecord):
            lines.setdefault("selections", []).append(_encode(_selection(record, f"{batch}-{number}")))
        else:
            lines.setdefault("health", []).append(_encode(_health(record, f"{batch}-{number}")))
    return lines


def digest(text: str) -> str:
    """A short text that is the same for the same text."""
    return hashlib.blake2s(text.encode(), digest_size=12).hexdigest()


def _query(record: QueryRecord) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(record, name) for name in _PLAIN}
    row["duration_ns"] = round(record.duration_ms * 1e6)
    row["host"] = record.host or ""
    row["attributes"] = _encode(record.attributes).decode() if record.attributes else "{}"
    if (selection := record.selection) is not None:
        row["selected_agent"] = selection.selected_agent
        row["complexity_score"] = selection.complexity_score
        row["selection_reason"] = selection.selection_reason
        row["selection_time"] = selection.timestamp
    if calls := record.calls:
        row["calls.start_ns"] = [round(call.start_ms * 1e6) for call in calls]
        row["calls.duration_ns"] = [None if (ms := call.duration_ms) is None else round(ms * 1e6) for call in calls]
        for name in _CALL_PLAIN:
            row[f"calls.{name}"] = [getattr(call, name) for call in calls]
    return row


def _call(record: CallRecord, record_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(record, name) for name in _CALL_PLAIN}
    return row | {
        "record_id": record_id,
        "query_id": record.query_id,
        "start_time": record.start_time,
        "start_ns": round(record.start_ms * 1e6),
        "duration_ns": None if record.duration_ms is None else round(record.duration_ms * 1e6),
        "weight": record.weight,
    }


def _selection(record: SelectionRecord, record_id: str) -> dict[str, Any]:
    return msgspec.structs.asdict(record) | {"record_id": record_id, "query_id": record.query_id or None}


def _health(record: HealthRecord, record_id: str) -> dict[str, Any]:
    return msgspec.structs.asdict(record) | {"record_id": record_id, "host": record.host or ""}
