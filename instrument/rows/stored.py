"""The shape of a record on disk.

One JSON object a line. Integers of nanoseconds and microseconds, short keys, defaults left out, and whatever can be
derived is derived on reading: the `query_id` from start and serial, the end from start and duration, the counts from
the calls. While a query runs its row is a lean one (`live.py`) with the same keys, filled in place, so that the writer
has nothing to convert but what is unusual: six rows encode in about 0.8 µs, against 1.0 µs more for converting tuples.

    key         query (no `type`)                call (`type` "call")             selection (`type` "selection")
    t           start, µs since 1970 UTC         start, µs                        when, µs
    i           serial, 62 bits                  -                                -
    id          the id, where not derived        -                                -
    n           name of the function or span     name                             -
    a           agent type                       -                                selected agent
    q           user input                       -                                user input
    d           duration, ns                     duration, ns                     -
    c           calls inside, by start           -                                -
    r           result size, bytes               likewise                             -
    s e m x     status, error type, message, `x`: the same exception was counted by a record inside already
    parent      id of the query around it        id of its query                  id of its query
    place       -                                its place in the query's `c`     -
    late        -                                ended after its query            -
    score why   -                                -                                complexity score, reason
    g           -                                what is known of a model    -
                                                 call (`ModelFacts`)
    h           -                                keyed hash of a GraphQL          -
                                                 call's variables
    o           origin: host and process id, of every line
    w           weight, unless 1
    v           version of this shape, unless 1: 2 where `g`, cached_tokens, reasoning_tokens or cost_usd is there

    A line of type "health" says what is missing since the line before it: t, o, `dropped` and `problems`, each a count
    by reason.

    inside `c`: n, k (kind, unless "tool"), b (begin, ns from the query's start), d (ns; missing while unfinished),
    p (place of the enclosing call), s e x, l (late), r, g, h.

A query's tokens, cost and model are those recorded for the query itself; where there are none, the writer puts in the
sum over its model calls (`total_up`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from instrument.records import CallRecord, HealthRecord, QueryRecord, Record, SelectionRecord
from instrument.rows.live import ChoiceRow, LiveCall, LiveQuery, ModelFacts, Origin

SCHEMA_VERSION = 2
"""The latest version of a line's shape; a line says the first version that has all of its keys."""

WITH_MODEL_CALLS = 2
"""The version that brought what is known of model calls."""

LONGEST_LINE = 16 << 20
"""Bytes of a line, at most: a longer one makes its file unreadable to the JSON reader, which buffers twice as much."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CallRow(
    Struct,
    gc=False,
    omit_defaults=True,
    rename={
        "name": "n",
        "begin": "b",
        "parent": "p",
        "duration": "d",
        "kind": "k",
        "status": "s",
        "error": "e",
        "passed_on": "x",
        "late": "l",
        "result_size": "r",
        "facts": "g",
        "variables": "h",
    },
):
    """A call inside a query; `begin` counts ns from its start."""

    name: str
    begin: int
    parent: int | None = None
    duration: int | None = None
    kind: str = "tool"
    status: str = "ok"
    error: str | None = None
    passed_on: bool = False
    late: bool = False
    result_size: int | None = None
    facts: ModelFacts | None = None
    variables: str | None = None


class QueryRow(
    Struct,
    gc=False,
    eq=False,
    omit_defaults=True,
    rename={
        "started": "t",
        "serial": "i",
        "query_id": "id",
        "agent": "a",
        "user_input": "q",
        "name": "n",
        "calls": "c",
        "duration": "d",
        "result_size": "r",
        "status": "s",
        "error": "e",
        "message": "m",
        "passed_on": "x",
        "origin": "o",
        "weight": "w",
        "first_chunk": "f",
        "version": "v",
    },
):
    """A query; `started` is in µs since 1970."""

    started: int
    serial: int
    agent: str | None
    user_input: Any
    name: str
    calls: list[CallRow]
    duration: int = 0
    result_size: Any = None
    status: str = "ok"
    error: str | None = None
    message: str | None = None
    passed_on: bool = False
    first_chunk: int | None = None
    parent: str | None = None
    selection: ChoiceRow | None = None
    entities: list[str] | None = None
    attributes: dict[str, Any] | None = None
    metrics: dict[str, float] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    query_id: str | None = None
    weight: float = 1
    origin: Origin | None = None
    version: int = 1


class StandaloneCallRow(
    Struct,
    gc=False,
    omit_defaults=True,
    tag_field="type",
    tag="call",
    rename={
        "started": "t",
        "name": "n",
        "duration": "d",
        "kind": "k",
        "status": "s",
        "error": "e",
        "message": "m",
        "passed_on": "x",
        "result_size": "r",
        "facts": "g",
        "variables": "h",
        "origin": "o",
        "weight": "w",
        "version": "v",
    },
):
    """A call on a line of its own: outside any query, or ended after its query had been written."""

    started: int
    name: str
    duration: int
    kind: str = "tool"
    status: str = "ok"
    error: str | None = None
    message: str | None = None
    passed_on: bool = False
    parent: str | None = None
    place: int | None = None
    late: bool = False
    result_size: int | None = None
    facts: ModelFacts | None = None
    weight: float = 1
    origin: Origin | None = None
    version: int = 1
    variables: str | None = None


class SelectionRow(
    Struct,
    gc=False,
    omit_defaults=True,
    tag_field="type",
    tag="selection",
    rename={"time": "t", "agent": "a", "user_input": "q", "origin": "o", "version": "v"},
):
    """A selection on a line of its own: its query never opened, or is a line that another process wrote."""

    time: int
    agent: str
    user_input: str = ""
    score: float | None = None
    why: str | None = None
    parent: str | None = None
    origin: Origin | None = None
    version: int = 1


class HealthRow(
    Struct,
    gc=False,
    omit_defaults=True,
    tag_field="type",
    tag="health",
    rename={"time": "t", "origin": "o", "version": "v"},
):
    """What this process could not keep since it last said so: records dropped by reason, problems of ours by kind."""

    time: int
    dropped: dict[str, int]
    problems: dict[str, int]
    origin: Origin | None = None
    version: int = 1


AnyCall = LiveCall | CallRow
AnyQuery = LiveQuery | QueryRow
Row = LiveQuery | QueryRow | StandaloneCallRow | SelectionRow | HealthRow


def new_serial() -> int:
    """A random start for a process's serials: 62 bits, with room to count up."""
    return int.from_bytes(os.urandom(8), "big") >> 3


def derived_id(started_us: int, serial: int) -> str:
    """The UUID of a query, version 7 (RFC 9562, section 5.7; microseconds as in 6.2, method 3).

    Milliseconds first, then the part of the millisecond in 1/4096, then the serial: it sorts by time.
    """
    text = f"{derived_number(started_us, serial):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_number(started_us: int, serial: int) -> int:
    """The derived UUID of a query as a number of 128 bits."""
    part = started_us % 1000 * 4096 // 1000
    return (started_us // 1000 % (1 << 48)) << 80 | 7 << 76 | part << 64 | 2 << 62 | serial % (1 << 62)


def utc_text(microseconds: int) -> str:
    """Microseconds since 1970 as RFC 3339 text in UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_seconds_text(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=4096)
def _seconds_text(seconds: int) -> str:
    """The part that many records have in common: making it is most of the work."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def utc_microseconds(text: str) -> int:
    """RFC 3339 text as microseconds since 1970; a time without an offset is taken as UTC.

    Raises ValueError for what is not a time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def id_of(row: AnyQuery) -> str:
    """The query's id, kept or derived; the row's `started` must be wall time already."""
    return row.query_id or derived_id(row.started, row.serial)


def succeeded(status: str) -> bool:
    """Whether a status counts as success: it ended well, or the consumer of a stream had enough."""
    return status in ("ok", "closed")


def total_up(row: QueryRow, beside: ModelFacts | None = None) -> None:
    """Give a query what its finished model calls add up to, wherever it has no figure of its own.

    `beside` is added to that. A model call directly inside another that has tokens itself is left out: they are the
    same tokens. A call that is not finished counts when it comes on a line of its own.
    """
    counted = [beside, *(call.facts for place, call in enumerate(row.calls) if _counts(row.calls, place))]
    facts = [each for each in counted if each is not None]
    if row.input_tokens is None and row.output_tokens is None:
        row.input_tokens = _summed(each.input_tokens for each in facts)
        row.output_tokens = _summed(each.output_tokens for each in facts)
        row.cached_tokens = _summed((row.cached_tokens, *(each.cached_tokens for each in facts)))
        row.reasoning_tokens = _summed((row.reasoning_tokens, *(each.reasoning_tokens for each in facts)))
    if row.cost_usd is None and COST not in (row.metrics or ()):
        row.cost_usd = _summed(each.cost_usd for each in facts)
    if row.model is None:
        row.model = next((each.model for each in reversed(facts) if each.model), None)
    own = (row.cached_tokens, row.reasoning_tokens, row.cost_usd)
    if own != (None, None, None) or any(call.facts is not None for call in row.calls):
        row.version = WITH_MODEL_CALLS


def add_late(row: AnyQuery, facts: ModelFacts | None) -> None:
    """Add to a query's totals what a model call used that ended after it."""
    if facts is None:
        return
    row.input_tokens = _summed((row.input_tokens, facts.input_tokens))
    row.output_tokens = _summed((row.output_tokens, facts.output_tokens))
    row.cached_tokens = _summed((row.cached_tokens, facts.cached_tokens))
    row.reasoning_tokens = _summed((row.reasoning_tokens, facts.reasoning_tokens))
    if facts.cost_usd is not None:
        row.cost_usd = facts.cost_usd + (_cost_of(row) or 0)


def _cost_of(row: AnyQuery) -> float | None:
    return (row.metrics or {}).get(COST) if row.cost_usd is None else row.cost_usd


COST = "cost_usd"
"""The metric that says what a query cost, in US dollars: then its model calls' costs are not added up."""


def _counts(calls: Sequence[CallRow], place: int) -> bool:
    """Whether what a call says of its model adds to its query's totals."""
    call = calls[place]
    if call.facts is None or call.duration is None:
        return False
    around, steps = call.parent, len(calls)
    while around is not None and 0 <= around < len(calls) and calls[around].kind == "model" and steps:
        facts = calls[around].facts
        if facts is not None and (facts.input_tokens, facts.output_tokens) != (None, None):
            return False
        around, steps = calls[around].parent, steps - 1
    return True


_Number = TypeVar("_Number", int, float)


def _summed(values: Iterable[_Number | None]) -> _Number | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


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
        cost_usd=_cost_of(row),
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


_encoder = msgspec.json.Encoder()


def encode_lines(rows: Sequence[Row]) -> bytes:
    """A batch as JSON Lines, in one call and one piece."""
    try:
        return _encoder.encode_lines(rows)
    except UnicodeEncodeError:
        return _encoder.encode_lines([scrubbed(row) for row in rows])


def scrubbed(row: Row) -> Row:
    """The row with its lone surrogates replaced: such text has no UTF-8."""
    for field in row.__struct_fields__:
        setattr(row, field, _scrubbed(getattr(row, field)))
    return row


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    if isinstance(value, Struct):
        for field in value.__struct_fields__:
            setattr(value, field, _scrubbed(getattr(value, field)))
    return value
