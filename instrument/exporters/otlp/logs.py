"""Rows of the store as log records: what somebody may want to be told of by itself.

These are failed queries, choices of an agent, and records that a process could not keep. Each has an id
(`log.record.uid`) by which a receiver knows what is sent again.
"""

from __future__ import annotations

from typing import Any

from instrument.exporters.otlp import wire
from instrument.exporters.otlp.ids import query_span, standalone, trace_of
from instrument.interchange import span_names as names
from instrument.rows.live import ChoiceRow
from instrument.rows.stored import HealthRow, QueryRow, SelectionRow, id_of
from instrument.store.stored_records import AnyRow

QUERY_FAILED = "agent_instrument.query_failed"
AGENT_SELECTED = "agent_instrument.agent_selected"
RECORDS_DROPPED = "agent_instrument.records_dropped"

_INFO, _WARN, _ERROR = 9, 13, 17
_LEVELS = {_INFO: "INFO", _WARN: "WARN", _ERROR: "ERROR"}


def events(row: AnyRow) -> list[bytes]:
    """The messages LogRecord that a row is worth; mostly none."""
    if isinstance(row, QueryRow):
        if row.selection is None and row.status not in ("error", "abandoned"):
            return []
        return _of_query(row)
    if isinstance(row, SelectionRow):
        uid = standalone("selection", row.time, row.agent, row.parent)
        trace = trace_of(row.parent) if row.parent else None
        return [_selected(row.time, row.agent, row.score, row.why, uid, trace)]
    return [_dropped(row)] if isinstance(row, HealthRow) else []


def _of_query(row: QueryRow) -> list[bytes]:
    query_id = id_of(row)
    own, found = trace_of(query_id), []
    trace = trace_of(row.parent) if row.parent else own
    choice: ChoiceRow | None = row.selection
    if choice is not None:
        uid = standalone("selection", query_id)
        found.append(_selected(choice.time, choice.agent, choice.score, choice.why, uid, trace, query_span(own)))
    if row.status in ("error", "abandoned"):
        kind, agent = row.error or row.status, row.agent or "a query"
        body = f"{agent} failed: {kind}" + (f": {row.message}" if row.message else "")
        about = {
            names.AGENT_NAME: row.agent or None,
            names.ERROR_TYPE: kind,
            names.EXCEPTION_TYPE: kind,
            names.EXCEPTION_MESSAGE: row.message or None,
        }
        when, uid = row.started * 1000 + row.duration, standalone("failed", query_id)
        found.append(_record(when, _ERROR, QUERY_FAILED, body, about, uid, trace, query_span(own)))
    return found


def _selected(
    when: int, agent: str, score: float | None, why: str | None, uid: bytes, trace: bytes | None, span: bytes = b""
) -> bytes:
    about = {names.SELECTED_AGENT: agent, names.COMPLEXITY: score, names.SELECTION_REASON: why}
    span = span or (query_span(trace) if trace else b"")
    return _record(when * 1000, _INFO, AGENT_SELECTED, f"{agent} was selected", about, uid, trace, span)


def _dropped(row: HealthRow) -> bytes:
    counts = {f"{names.OURS}.dropped.{reason}": count for reason, count in row.dropped.items()}
    counts |= {f"{names.OURS}.problems.{kind}": count for kind, count in row.problems.items()}
    body = f"{sum(row.dropped.values())} records dropped, {sum(row.problems.values())} problems"
    origin = row.origin
    uid = standalone("health", row.time, origin and origin.host, origin and origin.process)
    return _record(row.time * 1000, _WARN, RECORDS_DROPPED, body, counts, uid, None, b"")


def _record(
    when: int, level: int, event: str, body: str, about: dict[str, Any], uid: bytes, trace: bytes | None, span: bytes
) -> bytes:
    parts = [
        wire.fixed64(1, when),
        wire.whole(2, level),
        wire.text(3, _LEVELS[level]),
        wire.message(5, wire.any_value(body)),
        wire.attributes(6, [*about.items(), ("log.record.uid", uid.hex())]),
        wire.message(9, trace) if trace else b"",
        wire.message(10, span) if span else b"",
        wire.fixed64(11, when),
        wire.text(12, event),
    ]
    return b"".join(parts)
