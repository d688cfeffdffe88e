"""Records back out of the store's lines, as they were when they were made."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from instrument.records import CallRecord, QueryRecord, Record, SelectionRecord
from instrument.rows import as_records, columns, totals
from instrument.rows.decoding import free_numbers, free_object
from instrument.rows.live import ChoiceRow, ModelFacts
from instrument.rows.stored import CallRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow
from instrument.store import line_tables, views
from instrument.store.engine import duckdb

_FETCHED = 1000
_STRETCH = 50_000

_CALLS = f"""list_transform(list_filter(c, lambda call: call IS NOT NULL), lambda call: {{
    n: coalesce(call.n, ''), b: coalesce(call.b, 0), p: call.p, d: call.d, k: coalesce(call.k, 'tool'),
    s: coalesce(call.s, 'ok'), e: call.e, x: coalesce(call.x, false), l: coalesce(call.l, false), r: call.r,
    g: {views.facts_of("call.g")}, h: call.h}})"""

_ORIGIN = "CASE WHEN o.h IS NOT NULL AND o.p IS NOT NULL THEN o END"

_FINITE = "CASE WHEN isfinite({0}) THEN {0} END"

# Attributes and metrics stand apart: they hold what somebody else wrote, and may be no JSON that can be decoded.
_QUERY = f"""to_json({{
    t: t, i: coalesce(i, 0), id: query_id, n: coalesce(n, ''), a: a, q: q, d: coalesce(d, 0), c: coalesce({_CALLS}, []),
    r: r, s: coalesce(s, 'ok'), e: e, m: m, x: coalesce(x, false), f: f, parent: parent,
    selection: CASE WHEN selection.t BETWEEN 0 AND {columns.LAST_T} THEN {{
        t: selection.t, a: coalesce(selection.a, ''), score: {_FINITE.format("selection.score")}, why: selection.why,
        q: selection.q}} END,
    entities: list_filter(entities, lambda entity: entity IS NOT NULL),
    input_tokens: input_tokens, output_tokens: output_tokens, model: model, cached_tokens: cached_tokens,
    reasoning_tokens: reasoning_tokens, w: {views.WEIGHT},
    cost_usd: {_FINITE.format("cost_usd")},
    o: {_ORIGIN}}})"""

_MESSAGES = """CASE WHEN len(list_filter(c, lambda call: call.m IS NOT NULL)) > 0
    THEN list_transform(c, lambda call: call.m) END"""

_LATE = f"""LEFT JOIN (
    SELECT query_id AS late_of, to_json(list({{
        place: CASE WHEN fills THEN place END, t: t, n: coalesce(n, ''), d: d, k: coalesce(k, 'tool'),
        s: coalesce(s, 'ok'), e: e, m: m, x: x, r: r, g: {views.facts_of("g")}, h: h}} ORDER BY t)) AS late_calls
    FROM late GROUP BY query_id) ON late_of = query_id"""

_LINKED = f"""LEFT JOIN (
    SELECT parent AS linked_of, to_json({{t: choice.t, a: coalesce(choice.a, ''),
        score: {_FINITE.format("choice.score")}, why: choice.why, q: choice.q}}) AS linked_choice
    FROM linked) ON linked_of = query_id"""

_OWN_ID = f"(SELECT *, {views.QUERY_ID} AS query_id FROM lines WHERE type IS NULL)"

_SELECTION = f"""to_json({{type: type, t: t, a: coalesce(a, ''), q: coalesce(q, ''),
    score: {_FINITE.format("score")}, why: why, parent: parent}})"""

_SELECTIONS = """
SELECT {selection} FROM lines WHERE type = 'selection' {unlinked} ORDER BY t, parent, a, q, score, why
"""

_CALL = f"""to_json({{type: type, t: t, n: coalesce(n, ''), d: coalesce(d, 0), k: coalesce(k, 'tool'),
    s: coalesce(s, 'ok'), e: e, m: m, x: coalesce(x, false), parent: parent, place: place, r: r,
    g: {views.facts_of("g")}, h: h, late: coalesce(late, false), w: {views.WEIGHT}}})"""

_CALLS_ALONE = f"SELECT {_CALL} FROM lines WHERE type = 'call' AND parent IS NULL ORDER BY t, n, d, k, s, e"

_HEALTH = f"""to_json({{type: type, t: t, dropped: coalesce(dropped, MAP {{}}), problems: coalesce(problems, MAP {{}}),
    o: {_ORIGIN}}})"""

_PLACED = f"""
SELECT {columns.SEGMENT}, {columns.PLACE}, type, CASE
    WHEN type IS NULL THEN {_QUERY} WHEN type = 'call' THEN {_CALL}
    WHEN type = 'selection' THEN {_SELECTION} WHEN type = 'health' THEN {_HEALTH} END,
    attributes::VARCHAR, metrics::VARCHAR, tc, gc, mc, {_MESSAGES}
FROM (SELECT *, {views.QUERY_ID} AS query_id FROM """

_IN_PLACE = f") ORDER BY {columns.SEGMENT}, {columns.PLACE}"


class _LateCall(Struct, omit_defaults=True):
    """A call that ended after its query was written, as the statement above gives it."""

    t: int
    n: str
    d: int
    k: str
    s: str
    e: str | None
    m: str | None
    x: bool
    r: int | None = None
    g: ModelFacts | None = None
    h: str | None = None
    place: int | None = None


OtherRow = StandaloneCallRow | SelectionRow | HealthRow
AnyRow = QueryRow | OtherRow
T = TypeVar("T")


@dataclass(frozen=True)
class Shape(Generic[T]):
    """What a reader makes of a line: of a query's row, of one with what only imported lines say, of any other row."""

    query: Callable[[QueryRow], T]
    imported: Callable[[QueryRow, tuple[Any, ...]], T]
    other: Callable[[OtherRow], T]


_query = msgspec.json.Decoder(QueryRow)
_other: msgspec.json.Decoder[OtherRow] = msgspec.json.Decoder(OtherRow)
_late_calls = msgspec.json.Decoder(list[_LateCall])
_choice = msgspec.json.Decoder(ChoiceRow)


Cursors = Callable[[], duckdb.DuckDBPyConnection]
"""Gives a cursor over the tables, which its user closes."""


def query_records(
    cursors: Cursors, condition: str, parameters: dict[str, Any], *, late: bool, linked: bool
) -> Iterator[QueryRecord]:
    """The records of the queries that a condition over `queries` picks, by start and id."""
    more = f"{'late_calls' if late else 'NULL'}, {'linked_choice' if linked else 'NULL'}"
    statements = (
        f"SELECT {_QUERY}, attributes::VARCHAR, metrics::VARCHAR, tc, gc, mc, {_MESSAGES}, {more}"
        f" FROM {_OWN_ID} {_LATE if late else ''} {_LINKED if linked else ''}"
        f" WHERE {picked} ORDER BY t, query_id"
        for picked in _stretches(cursors, condition, parameters)
    )
    found = (row for statement in statements for row in fetched(cursors, statement, parameters))
    for text, attributes, metrics, tools, graphql, models, messages, late_calls, choice in found:
        row = _query.decode(text)
        row.attributes, row.metrics = free_object(attributes), free_numbers(metrics)
        if choice:
            row.selection = _choice.decode(choice)
        record = _with_late_calls(row, _late_calls.decode(late_calls)) if late_calls else as_records.query_record(row)
        yield _completed(record, tools, graphql, models, messages)


def _completed(
    record: QueryRecord, tools: int | None, graphql: int | None, models: int | None, messages: list[str | None] | None
) -> QueryRecord:
    """A record with what only imported lines say beside their calls."""
    record.tool_calls = record.tool_calls if tools is None else tools
    record.graphql_queries = record.graphql_queries if graphql is None else graphql
    record.model_calls = record.model_calls if models is None else models
    for call, message in zip(record.calls, messages or (), strict=False):
        call.error_message = message
    return record


RECORDS: Shape[Record] = Shape(
    as_records.query_record, lambda row, beside: _completed(as_records.query_record(row), *beside), as_records.record_of
)
"""Records as users see them."""

ROWS: Shape[AnyRow] = Shape(lambda row: row, lambda row, beside: row, lambda row: row)
"""Rows as they lie in the store: a third of the cost, for a reader that needs few of a record's fields."""


def placed_records(
    connection: duckdb.DuckDBPyConnection, source: str, shape: Shape[T]
) -> Iterator[tuple[str, int, T | None]]:
    """The records of the lines in a table that says where each line stood, in that order, in that shape.

    Each comes as its segment, the byte at which it began there, and the record: None for a line of a kind that is
    unknown here. What ended after its query was written is a record of its own.
    """
    found = fetched(connection.cursor, _PLACED + source + _IN_PLACE)
    for segment, place, kind, text, attributes, metrics, *beside in found:
        if kind is None:
            row = _query.decode(text)
            row.attributes, row.metrics = free_object(attributes), free_numbers(metrics)
            yield segment, place, shape.imported(row, tuple(beside))
        else:
            yield segment, place, None if text is None else shape.other(_other.decode(text))


def _stretches(cursors: Cursors, condition: str, parameters: dict[str, Any]) -> list[str]:
    """Conditions for stretches of time of some ten thousand queries each, as a sort holds what it sorts in memory.

    They reach from the first query to the last one, so that no file is read for a time in which there is none.
    """
    source = f"queries WHERE {condition}"
    [(count, first, last)] = fetched(
        cursors, f"SELECT count(*), min(started_us), max(started_us) FROM {source}", parameters
    )
    if not count:
        return []
    shares = [share / (count // _STRETCH + 1) for share in range(1, count // _STRETCH + 1)]
    inner: list[int] = []
    if shares:
        [(inner,)] = fetched(cursors, f"SELECT quantile_disc(started_us, {shares}) FROM {source}", parameters)
    edges = sorted({first, *inner, last + 1})
    stretches = [f"t >= {start} AND t < {end}" for start, end in itertools.pairwise(edges)]
    if condition == "true":
        return stretches
    return [f"{each} AND query_id IN (SELECT query_id FROM {source})" for each in stretches]


def selection_records(cursors: Cursors, *, linked: bool) -> Iterator[SelectionRecord]:
    """The records of the selections on lines of their own, but for those that a query without one has taken."""
    unlinked = (
        "AND NOT coalesce({t: t, a: a, score: score, why: why, q: q} IN"
        " (SELECT choice FROM linked WHERE linked.parent = lines.parent), false)"
    )
    statement = _SELECTIONS.format(selection=_SELECTION, unlinked=unlinked if linked else "")
    for (text,) in fetched(cursors, statement):
        yield as_records.selection_record(msgspec.json.decode(text, type=SelectionRow))


def call_records(cursors: Cursors) -> Iterator[CallRecord]:
    """The records of the calls outside any query."""
    for (text,) in fetched(cursors, _CALLS_ALONE):
        yield as_records.loose_call_record(msgspec.json.decode(text, type=StandaloneCallRow))


def fetched(cursors: Cursors, statement: str, parameters: dict[str, Any] | None = None) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, a thousand in memory at a time, whatever the connection is asked meanwhile."""
    cursor = cursors()
    try:
        cursor.execute(statement, parameters or {})
        while rows := cursor.fetchmany(_FETCHED):
            yield from rows
    except duckdb.Error as error:
        raise line_tables.explained(error) from None
    finally:
        cursor.close()


def _with_late_calls(row: QueryRow, late_calls: list[_LateCall]) -> QueryRecord:
    messages = {}
    for late in late_calls:
        begin = (late.t - row.started) * 1000
        place = late.place
        if place is None or not 0 <= place < len(row.calls):
            place = len(row.calls)
            row.calls.append(CallRow(late.n, begin, kind=late.k))
        call = row.calls[place]
        call.duration, call.status, call.error, call.passed_on, call.late = late.d, late.s, late.e, late.x, True
        call.result_size, call.facts, call.variables = late.r, late.g or call.facts, late.h or call.variables
        messages[place] = late.m
        totals.add_late(row, late.g)
    record = as_records.query_record(row)
    for place, message in messages.items():
        record.calls[place].error_message = message
    return record
