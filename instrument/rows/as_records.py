"""Rows as the records that users see: the names of `records`, times as text, durations in ms, counts of calls."""

from __future__ import annotations

from typing import Any

from instrument.records import CallRecord, HealthRecord, QueryRecord, Record, SelectionRecord
from instrument.rows.live import ChoiceRow, ModelFacts
from instrument.rows.stored import (
    AnyCall,
    AnyQuery,
    HealthRow,
    SelectionRow,
    StandaloneCallRow,
    id_of,
    succeeded,
    utc_text,
)
from instrument.rows.totals import cost_of

_NO_FACTS = ModelFacts()


def _described_facts(facts: ModelFacts | None) -> dict[str, Any]:
    """What is known of a model call, under the names of `CallRecord`."""
    facts = facts or _NO_FACTS
    known = {name: getattr(facts, name) for name in ModelFacts.__struct_fields__}
    first_chunk = known.pop("first_chunk")
    return known | {"first_chunk_ms": None if first_chunk is None else first_chunk / 1e6}


_NO_DESCRIPTION: dict[str, Any] = {}


def hash_of(variables: bytes | str | None) -> str | None:
    """The hash that stands for variables; None while the writer has not made it."""
    return variables if isinstance(variables, str) else None


def call_record(row: AnyCall) -> CallRecord:
    """A call inside a query as users see it."""
    facts = _NO_DESCRIPTION if row.facts is None else _described_facts(row.facts)
    return CallRecord(
        **facts,
        kind=row.kind,  # type: ignore[arg-type]  # whatever stands on disk; a cast costs a twentieth
        name=row.name,
        start_ms=row.begin / 1e6,
        duration_ms=None if row.duration is None else row.duration / 1e6,
        success=row.duration is not None and succeeded(row.status),
        status="abandoned" if row.duration is None else row.status,  # type: ignore[arg-type]
        error_type=row.error,
        passed_on=row.passed_on,
        result_size_bytes=row.result_size,
        variables_hash=hash_of(row.variables),
        parent=row.parent,
        late=row.late,
    )


def loose_call_record(row: StandaloneCallRow) -> CallRecord:
    """A call on its own as users see it."""
    return CallRecord(
        **_described_facts(row.facts),
        kind=row.kind,  # type: ignore[arg-type]
        name=row.name,
        start_ms=0.0,
        duration_ms=row.duration / 1e6,
        success=succeeded(row.status),
        status=row.status,  # type: ignore[arg-type]
        error_type=row.error,
        error_message=row.message,
        passed_on=row.passed_on,
        result_size_bytes=row.result_size,
        variables_hash=row.variables,
        late=row.late,
        query_id=row.parent,
        start_time=utc_text(row.started),
        weight=float(row.weight),
    )


def selection_record(row: SelectionRow) -> SelectionRecord:
    """A selection on its own as users see it."""
    return SelectionRecord(
        query_id=row.parent or "",
        user_input=row.user_input,
        selected_agent=row.agent,
        complexity_score=row.score,
        selection_reason=row.why,
        timestamp=utc_text(row.time),
    )


def _chosen(choice: ChoiceRow, query_id: str, user_input: str) -> SelectionRecord:
    return SelectionRecord(
        query_id=query_id,
        user_input=user_input if choice.user_input is None else choice.user_input,
        selected_agent=choice.agent,
        complexity_score=choice.score,
        selection_reason=choice.why,
        timestamp=utc_text(choice.time),
    )


def query_record(row: AnyQuery) -> QueryRecord:
    """A written query as users see it."""
    calls = [call_record(call) for call in row.calls]
    kinds = [call.kind for call in row.calls]
    query_id = id_of(row)
    choice = row.selection
    user_input = row.user_input or ""
    return QueryRecord(
        query_id=query_id,
        user_input=user_input,
        agent_type=row.agent or "",
        start_time=utc_text(row.started),
        end_time=utc_text(row.started + row.duration // 1000),
        duration_ms=row.duration / 1e6,
        success=succeeded(row.status),
        error_type=row.error,
        error_message=row.message,
        result_size_bytes=row.result_size,
        tool_calls=kinds.count("tool"),
        graphql_queries=kinds.count("graphql"),
        model_calls=kinds.count("model"),
        entities_detected=list(row.entities or ()),
        status=row.status,  # type: ignore[arg-type]
        passed_on=row.passed_on,
        name=row.name,
        parent_id=row.parent,
        selection=None if choice is None else _chosen(choice, query_id, user_input),
        calls=calls,
        attributes=dict(row.attributes or {}),
        metrics=dict(row.metrics or {}),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        model=row.model,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        cost_usd=cost_of(row),
        first_chunk_ms=None if row.first_chunk is None else row.first_chunk / 1e6,
        weight=float(row.weight),
        process=None if row.origin is None else row.origin.process,
        host=None if row.origin is None else row.origin.host,
    )


def health_record(row: HealthRow) -> HealthRecord:
    """What a process said of its health as users see it."""
    return HealthRecord(
        timestamp=utc_text(row.time),
        dropped=row.dropped,
        problems=row.problems,
        process=None if row.origin is None else row.origin.process,
        host=None if row.origin is None else row.origin.host,
    )


def record_of(row: StandaloneCallRow | SelectionRow | HealthRow) -> Record:
    """The record of a line that is no query."""
    if isinstance(row, StandaloneCallRow):
        return loose_call_record(row)
    return selection_record(row) if isinstance(row, SelectionRow) else health_record(row)
