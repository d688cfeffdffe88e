"""metrics.json, the first of the two files of the product's first document: written, continued and read.

It is one JSON document with an entry a line, so that it can be continued without being read:

    {"queries": [
    {"query_id": …},
    {"query_id": …}
    ],
    "agent_selections": [
    {"query_id": …}
    ]}

An entry is a record with its field names; defaults are left out, and a query's selection stands under
`agent_selections`. Exports add `standalone_calls` and `health` where there are any. What others wrote is read in any
layout.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
from msgspec import Raw, Struct, field

from instrument.errors import StoreError
from instrument.interchange.incoming import (
    CannotTakeError,
    Line,
    Reader,
    nanoseconds,
    query_line,
    selection_line,
)
from instrument.interchange.json_values import DAMAGED, MARK, decode
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows import columns, stored
from instrument.rows.live import ModelFacts, Origin
from instrument.rows.stored import CallRow, QueryRow, SelectionRow

OPENING = b'{"queries": ['
MIDDLE = b'\n],\n"agent_selections": ['
CLOSING = b"\n]}\n"

NAIVE_NOTE = "times without an offset were taken as UTC"

_SPOOLED_BYTES = 8 << 20
_CHUNK = 1 << 20
_STATUSES = frozenset(("ok", "error", "cancelled", "closed", "abandoned"))
_SELECTION_TYPE = "agent_selection"
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d(:?\d\d(\.\d+)?)?)$")

_encoder = msgspec.json.Encoder()

# A default is left out only where it is that very object, which equal floats and texts read from elsewhere are not.
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(QueryRecord)}
_UNSAMPLED, _OK = _DEFAULTS["weight"], _DEFAULTS["status"]


# -- writing ---------------------------------------------------------------------------------------------------------


def entries(record: QueryRecord) -> tuple[bytes, bytes | None]:
    """A query as the entries it makes in metrics.json: its own and, if it has a selection, that one's."""
    several: list[QueryRecord | CallRecord] = [record, *record.calls]
    for each in several:
        each.status = _OK if each.status == _OK else each.status
        each.weight = _UNSAMPLED if each.weight == _UNSAMPLED else each.weight
    query = _encoder.encode(msgspec.structs.replace(record, selection=None))
    selection = record.selection
    if selection is None:
        return query, None
    same_input = selection.user_input == record.user_input
    return query, selection_entry(msgspec.structs.replace(selection, user_input="") if same_input else selection)


def selection_entry(selection: SelectionRecord) -> bytes:
    """A selection as its entry in metrics.json; without an input, it is that of its query."""
    return _encoder.encode(selection)


def document(queries: Iterable[QueryRecord], selections: Iterable[SelectionRecord]) -> Iterator[bytes]:
    """Pieces of a metrics.json of these queries and of the selections that belong to none of them.

    Nothing is held in memory; selections wait in a temporary file until the queries are through.
    """
    with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as waiting:
        yield OPENING
        separator = waiting_separator = b"\n"
        for record in queries:
            entry, chosen = entries(record)
            yield separator + entry
            separator = b",\n"
            if chosen is not None:
                waiting.write(waiting_separator + chosen)
                waiting_separator = b",\n"
        yield MIDDLE
        waiting.seek(0)
        while piece := waiting.read(_CHUNK):
            yield piece
    for selection in selections:
        yield waiting_separator + selection_entry(selection)
        waiting_separator = b",\n"
    yield CLOSING


# -- continuing ------------------------------------------------------------------------------------------------------


def joints(size: int, content: Any) -> tuple[int, int] | None:
    """Where the two lists end in a file of our layout, given its size and content; None for another layout.

    No raw line break can stand within a JSON string, so these lines are what they seem.
    """
    middle, end = content.find(MIDDLE), size - len(CLOSING)
    ours = content[: len(OPENING)] == OPENING and content[max(end, 0) :] == CLOSING
    return (middle, end) if ours and 0 < middle <= end - len(MIDDLE) else None


def listed(new: Iterable[bytes], *, first: bool = True) -> bytes:
    """Entries as they stand in a list, the first of it or after others."""
    return b"".join((b"\n" if first and not place else b",\n") + entry for place, entry in enumerate(new))


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy `count` bytes from where `source` stands to where `target` stands."""
    while count > 0 and (piece := source.read(min(count, _CHUNK))):
        target.write(piece)
        count -= len(piece)


class _Lists(Struct):
    """A metrics.json in any layout."""

    queries: list[Raw]
    agent_selections: list[Raw] = field(default_factory=list[Raw])


class _OnlyLists(_Lists, forbid_unknown_fields=True):
    """One that holds nothing else."""


def entries_in(content: bytes, *, only: bool = False) -> tuple[list[bytes], list[bytes]]:
    """The entries of a metrics.json in any layout, each on a line; raises one of `DAMAGED` when it is none.

    `only` refuses one that holds more than the two lists.
    """
    lists = msgspec.json.decode(content or b'{"queries": []}', type=_OnlyLists if only else _Lists)
    return _on_one_line(lists.queries), _on_one_line(lists.agent_selections)


def _on_one_line(found: list[Raw]) -> list[bytes]:
    return [msgspec.json.format(bytes(entry), indent=-1) for entry in found]


class KeptEntry(NamedTuple):
    """An entry of a file that a sink keeps: its bytes, the query it is or belongs to, and that one's parent."""

    content: bytes
    query_id: str | None
    parent_id: str | None
    is_query: bool


class _Ids(Struct):
    query_id: str | None = None
    parent_id: str | None = None


_ids = msgspec.json.Decoder(_Ids)


def kept_entries(path: Path) -> Iterator[KeptEntry]:
    """The entries of a metrics.json, one by one; raises one of `DAMAGED` when it is none."""
    with open(path, "rb") as stream:
        found = _by_line(stream) if _is_by_line(stream) else _at_once(path)
        for content, is_query in found:
            try:
                ids = _ids.decode(content)
            except DAMAGED:
                ids = _Ids()
            yield KeptEntry(content, ids.query_id, ids.parent_id, is_query)


def _is_by_line(stream: BinaryIO) -> bool:
    """Whether an entry stands on a line of its own, as our sinks and exports write it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(CLOSING)))
    ours = stream.read() == CLOSING
    stream.seek(0)
    return stream.read(len(OPENING)) == OPENING and ours and stream.read(1) == b"\n"


def _by_line(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    is_query = True
    ends = [each.strip() for each in MIDDLE.splitlines() if each]
    for line in stream:
        content = line.strip().removesuffix(b",")
        if content == ends[-1]:
            is_query = False
        elif content.startswith(b"{"):
            yield content, is_query


def _at_once(path: Path) -> Iterator[tuple[bytes, bool]]:
    queries, selections = entries_in(path.read_bytes(), only=True)
    yield from ((entry, True) for entry in queries)
    yield from ((entry, False) for entry in selections)


def rewritten(left: Iterable[KeptEntry]) -> Iterator[bytes]:
    """Pieces of a metrics.json of entries, the queries first."""
    yield OPENING
    separator, in_queries = b"\n", True
    for entry in left:
        if in_queries and not entry.is_query:
            yield MIDDLE
            separator, in_queries = b"\n", False
        yield separator + entry.content
        separator = b",\n"
    if in_queries:
        yield MIDDLE
    yield CLOSING


# -- reading ---------------------------------------------------------------------------------------------------------


class _Call(CallRecord):
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
    calls: list[_Call] | None = None
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


def read(reader: Reader, decoded: Any = None) -> Iterator[Line]:
    """The lines that a metrics.json becomes; `decoded` is its value, where it has been decoded already.

    Raises StoreError when the file as a whole cannot be read.
    """
    lists = _lists(reader.file) if decoded is None else _lists_of(reader.file, decoded)
    take: Callable[[Any], Entry] = _decoded_entry if decoded is None else _converted_entry
    for name, found in lists.items():
        for place, each in enumerate(found):
            try:
                entry = take(each)
                is_selection = name == "agent_selections" or entry.type == _SELECTION_TYPE
                yield _selection(entry, reader) if is_selection else query(entry, reader)
            except (*DAMAGED, CannotTakeError) as error:
                reader.skip(f"{name}[{place}]", str(error).replace(" - at `$", " at `"))


def _decoded_entry(content: Raw) -> Entry:
    return decode(content, Entry, strict=False)


def _converted_entry(value: Any) -> Entry:
    return msgspec.convert(value, Entry, strict=False)


def _lists(file: Path) -> dict[str, list[Any]]:
    content = file.read_bytes().removeprefix(MARK)
    try:
        if content.lstrip()[:1] == b"[":
            return {"queries": decode(content, list[Raw])}
        lists = decode(content, _Lists)
    except msgspec.ValidationError:
        raise _unknown(file) from None
    except DAMAGED as error:
        raise StoreError(file, f"the JSON is cut off or damaged ({error}); import an undamaged copy") from None
    return {"queries": lists.queries, "agent_selections": lists.agent_selections}


def _lists_of(file: Path, decoded: Any) -> dict[str, list[Any]]:
    whole = {"queries": decoded} if isinstance(decoded, list) else decoded
    queries, selections = whole.get("queries"), whole.get("agent_selections") or []
    if not isinstance(queries, list) or not isinstance(selections, list):
        raise _unknown(file)
    return {"queries": queries, "agent_selections": selections}


def _unknown(file: Path) -> StoreError:
    return StoreError(
        file, "this is JSON, but neither a metrics.json (it has no list of `queries`) nor a trace we know"
    )


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


def _call(call: _Call) -> CallRow:
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


def _selection(entry: Entry, reader: Reader) -> Line:
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
