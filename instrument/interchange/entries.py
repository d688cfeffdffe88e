"""What a file has of a record, under the names that users see, as a line of a store.

The same for every file of ours: metrics.json, metrics.csv and Parquet exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from instrument.interchange.incoming import (
    CannotTakeError,
    Line,
    Reader,
    call_line,
    health_line,
    nanoseconds,
    query_line,
    selection_line,
)
from instrument.interchange.json_values import decode
from instrument.records import CallRecord
from instrument.rows import columns, stored
from instrument.rows.live import ModelFacts, Origin
from instrument.rows.stored import CallRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow

NAIVE_NOTE = "times without an offset were taken as UTC"

_STATUSES = frozenset(("ok", "error", "cancelled", "closed", "abandoned"))
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d(:?\d\d(\.\d+)?)?)$")


class CallEntry(CallRecord):
    """A call as a file may have it: a number that is none costs no more than itself."""

    start_ms: float | None = 0.0  # type: ignore[assignment]
    duration_ms: float | None = None
    success: bool | None = None  # type: ignore[assignment]


class Entry(Struct):
    """Whatever stands in one of metrics.json's lists, a query or a selection."""

    type: str | None = None
    query_id: str | None = None
    user_input: str | None = None
    agent_type: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    duration_ms: float | None = None
    success: bool | None = None
    error_type: str | None = None
    error_message: str | None = None
    passed_on: bool | None = None
    result_size_bytes: int | None = None
    tool_calls: int | None = None
    graphql_queries: int | None = None
    model_calls: int | None = None
    entities_detected: list[str | None] | None = None
    status: str | None = None
    name: str | None = None
    parent_id: str | None = None
    calls: list[CallEntry] | None = None
    attributes: dict[str, Any] | None = None
    metrics: dict[str, float | None] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    first_chunk_ms: float | None = None
    weight: float | None = None
    process: int | None = None
    host: str | None = None
    selected_agent: str | None = None
    complexity_score: float | None = None
    selection_reason: str | None = None
    timestamp: str | None = None


class HealthRecord(Struct, omit_defaults=True):
    """What a process lost since it last said so: counts of records by reason, and of problems of ours by kind."""

    timestamp: str
    dropped: dict[str, int] = {}
    problems: dict[str, int] = {}
    host: str | None = None
    process: int | None = None


class _Inner(Struct):
    attributes: dict[str, Any] | None = None
    metrics: dict[str, float | None] | None = None
    calls: list[CallEntry] | None = None


def inner_fields(texts: Mapping[str, str]) -> dict[str, Any]:
    """What an entry has inside, out of the JSON of each such field; raises one of `DAMAGED`."""
    whole = "{" + ", ".join(f'"{name}": {text}' for name, text in texts.items()) + "}"
    return msgspec.structs.asdict(decode(whole, _Inner))


def query(entry: Entry, reader: Reader) -> Line:
    """The line that a query becomes; raises CannotTakeError for one that has no id or no possible time."""
    if not entry.query_id:
        raise CannotTakeError("it has no query_id")
    started = _time(entry.start_time, "start_time", reader)
    duration = _duration(entry, started, reader)
    calls = entry.calls or []
    row = QueryRow(
        started,
        0,
        entry.agent_type,
        entry.user_input,
        entry.name or "",
        [_call(call) for call in calls],
        duration=duration or 0,
        result_size=entry.result_size_bytes,
        status=_status(entry, unfinished=duration is None),
        error=entry.error_type,
        message=entry.error_message,
        passed_on=bool(entry.passed_on),
        first_chunk=nanoseconds(entry.first_chunk_ms),
        parent=entry.parent_id,
        entities=[name for name in entry.entities_detected or () if name is not None] or None,
        attributes=entry.attributes,
        metrics=cast("dict[str, float] | None", entry.metrics),
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
        model=entry.model,
        cached_tokens=entry.cached_tokens,
        reasoning_tokens=entry.reasoning_tokens,
        cost_usd=entry.cost_usd,
        query_id=entry.query_id,
        weight=1 if entry.weight is None else entry.weight,
        origin=None if entry.host is None else Origin(entry.host, cast(int, entry.process)),
    )
    messages = {place: call.error_message for place, call in enumerate(calls) if call.error_message is not None}
    return query_line(
        row,
        messages=messages,
        tool_calls=entry.tool_calls,
        graphql_queries=entry.graphql_queries,
        model_calls=entry.model_calls,
    )


def _call(call: CallEntry) -> CallRow:
    return CallRow(
        call.name,
        nanoseconds(call.start_ms) or 0,
        call.parent,
        nanoseconds(call.duration_ms),
        call.kind,
        "ok" if call.status == "abandoned" else call.status,
        call.error_type,
        call.passed_on,
        call.late,
        call.result_size_bytes,
        _facts(call),
        call.variables_hash,
    )


def _facts(call: CallRecord) -> ModelFacts | None:
    """What a call says of its model; None for one that says nothing."""
    known = {name: getattr(call, name) for name in ModelFacts.__struct_fields__ if name != "first_chunk"}
    facts = ModelFacts(**known, first_chunk=nanoseconds(call.first_chunk_ms))
    return None if facts == ModelFacts() else facts


def _duration(entry: Entry, started: int, reader: Reader) -> int | None:
    if entry.duration_ms is not None:
        duration = nanoseconds(entry.duration_ms)
    elif entry.end_time is not None:
        duration = (_time(entry.end_time, "end_time", reader) - started) * 1000
    else:
        return None
    if duration is not None and not 0 <= duration <= columns.LONGEST_D:
        raise CannotTakeError(f"a duration of {entry.duration_ms} ms cannot be")
    return duration


def selection(entry: Entry, reader: Reader) -> Line:
    """The line of a selection."""
    return selection_line(
        SelectionRow(
            _time(entry.timestamp, "timestamp", reader),
            entry.selected_agent or "",
            entry.user_input or "",
            entry.complexity_score,
            entry.selection_reason,
            entry.query_id or None,
        )
    )


def _time(text: str | None, name: str, reader: Reader) -> int:
    if not text:
        raise CannotTakeError(f"it has no {name}")
    try:
        microseconds = stored.utc_microseconds(text)
    except ValueError:
        raise CannotTakeError(f"{name} {text!r} is not a time") from None
    if not 0 <= microseconds <= columns.LAST_T:
        raise CannotTakeError(f"{name} {text!r} is before 1970 or beyond all use")
    if not _OFFSET.search(text.strip()[10:]):
        reader.notes.add(NAIVE_NOTE)
    return microseconds


def _status(entry: Entry, *, unfinished: bool) -> str:
    if entry.status in _STATUSES:
        return entry.status or ""
    if entry.success:
        return "ok"
    return "abandoned" if unfinished or entry.status == "running" else "error"


def standalone_call(call: CallEntry, reader: Reader) -> Line:
    """The line of a call outside any query."""
    duration = nanoseconds(call.duration_ms) or 0
    if not 0 <= duration <= columns.LONGEST_D:
        raise CannotTakeError(f"a duration of {call.duration_ms} ms cannot be")
    facts = _facts(call)
    return call_line(
        StandaloneCallRow(
            _time(call.start_time, "start_time", reader),
            call.name,
            duration,
            call.kind,
            call.status,
            call.error_type,
            call.error_message,
            call.passed_on,
            call.query_id,
            None,
            call.late,
            call.result_size_bytes,
            facts,
            call.weight,
            version=1 if facts is None else stored.WITH_MODEL_CALLS,
            variables=call.variables_hash,
        )
    )


def health(said: HealthRecord, reader: Reader) -> Line:
    """The line of what a process lost."""
    origin = None if said.host is None else Origin(said.host, cast(int, said.process))
    return health_line(HealthRow(_time(said.timestamp, "timestamp", reader), said.dropped, said.problems, origin))


def own_selection(entry: Entry, user_input: str | None, reader: Reader) -> Iterator[Line]:
    """The line of the selection that stands in its query's own entry, if one does; `user_input` is what it was for."""
    if entry.selected_agent is not None and entry.timestamp:
        entry.user_input = entry.user_input if user_input is None else user_input
        yield selection(entry, reader)
