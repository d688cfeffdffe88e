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
sum over its model calls (`totals.total_up`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

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
