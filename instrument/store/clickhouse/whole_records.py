"""Records, whole, out of the rows that ClickHouse gives."""

from __future__ import annotations

from typing import Any

import msgspec

from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows.stored import utc_text
from instrument.store.clickhouse.schema import CALL

_REALS = ("duration_ms", "first_chunk_ms", "cost_usd", "weight", "complexity_score")
_PLAIN = set(QueryRecord.__struct_fields__) - {"selection", "calls", "attributes", "metrics"}


def query_record(row: dict[str, Any], late: list[dict[str, Any]], linked: SelectionRecord | None = None) -> QueryRecord:
    """A query out of its row, with the calls that ended after it: in the place of one that was open, or behind all.

    `linked` is its selection where that was written apart from it.
    """
    fields = _with_reals({name: row[name] for name in _PLAIN & row.keys()})
    fields["agent_type"] = row["agent"]
    fields["start_time"] = utc_text(row["started_us"])
    fields["end_time"] = utc_text(row["started_us"] + row["duration_ns"] // 1000)
    fields["success"], fields["passed_on"] = bool(row["success"]), bool(row["passed_on"])
    fields["attributes"] = msgspec.json.decode(row["attributes"]) if row["attributes"] else {}
    fields["metrics"] = msgspec.json.decode(row["metrics"], type=dict[str, float]) if row["metrics"] else {}
    calls = [
        call_record({name: row[f"calls.{name}"][place] for name in CALL}) for place in range(len(row["calls.name"]))
    ]
    for other in late:
        _put(calls, other, row["started_us"])
    return QueryRecord(**fields, calls=calls, selection=_selection(row) or linked)


def _with_reals(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields; a real number that is whole comes as an integer in JSON."""
    return fields | {name: float(fields[name]) for name in _REALS if fields.get(name) is not None}


def _put(calls: list[CallRecord], row: dict[str, Any], started_us: int) -> None:
    """Put a call that ended late in the place of the one that was open, or behind all."""
    row["start_ns"] = (row["us"] - started_us) * 1000
    call = msgspec.structs.replace(call_record(row), late=True)
    for place, known in enumerate(calls):
        if known.duration_ms is None and known.name == call.name:
            calls[place] = msgspec.structs.replace(call, start_ms=known.start_ms, parent=known.parent)
            return
    calls.append(call)


def call_record(row: dict[str, Any], **more: Any) -> CallRecord:
    """A call out of a row of its own, or of what is nested in a query's."""
    fields = _with_reals({name: row[name] for name in CALL if name not in ("start_ns", "duration_ns")})
    fields["start_ms"] = row["start_ns"] / 1e6
    fields["duration_ms"] = None if row["duration_ns"] is None else row["duration_ns"] / 1e6
    fields["success"] = row["duration_ns"] is not None and row["status"] in ("ok", "closed")
    fields["passed_on"], fields["late"] = bool(row["passed_on"]), bool(row["late"])
    return CallRecord(**fields, **_with_reals(more))


def selection_record(row: dict[str, Any]) -> SelectionRecord:
    """A selection out of a row of its own."""
    stamp = utc_text(row.pop("us"))
    return SelectionRecord(**_with_reals(row) | {"query_id": row["query_id"] or "", "timestamp": stamp})


def _selection(row: dict[str, Any]) -> SelectionRecord | None:
    if row["selected_agent"] is None:
        return None
    return SelectionRecord(
        query_id=row["query_id"],
        user_input=row["user_input"],
        selected_agent=row["selected_agent"],
        complexity_score=_with_reals(row)["complexity_score"],
        selection_reason=row["selection_reason"],
        timestamp=str(row["selection_time"]).replace(" ", "T") + "Z",
    )
