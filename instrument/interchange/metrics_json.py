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
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from instrument.errors import StoreError
from instrument.interchange.entries import (
    CallEntry,
    Entry,
    HealthRecord,
    health,
    query,
    selection,
    standalone_call,
)
from instrument.interchange.incoming import CannotTakeError, Line, Reader
from instrument.interchange.json_values import DAMAGED, MARK, decode
from instrument.records import CallRecord, QueryRecord, SelectionRecord

OPENING = b'{"queries": ['
MIDDLE = b'\n],\n"agent_selections": ['
CLOSING = b"\n]}\n"
CLOSING_AFTER_MORE = b"\n]\n}\n"

STANDALONE_CALLS, HEALTH = "standalone_calls", "health"

T = TypeVar("T")

_SPOOLED_BYTES = 8 << 20
_CHUNK = 1 << 20
_SELECTION_TYPE = "agent_selection"

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


def document(
    queries: Iterable[QueryRecord],
    selections: Iterable[SelectionRecord],
    more: Mapping[str, Iterable[Struct]] = MappingProxyType({}),
) -> Iterator[bytes]:
    """Pieces of a metrics.json of these queries and of the selections that belong to none of them.

    `more` are further lists, which come last and are left out where they are empty. A document that has any ends
    differently, so that no sink continues it.
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
    for chosen_alone in selections:
        yield waiting_separator + selection_entry(chosen_alone)
        waiting_separator = b",\n"
    has_more = False
    for name, found in more.items():
        separator = b'\n],\n"' + name.encode() + b'": [\n'
        for each in found:
            yield separator + _encoder.encode(each)
            separator, has_more = b",\n", True
    yield CLOSING_AFTER_MORE if has_more else CLOSING


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


class _AllLists(_Lists):
    """An export, with what belongs to no query."""

    standalone_calls: list[Raw] = field(default_factory=list[Raw])
    health: list[Raw] = field(default_factory=list[Raw])


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


def read(reader: Reader, decoded: Any = None) -> Iterator[Line]:
    """The lines that a metrics.json becomes; `decoded` is its value, where it has been decoded already.

    Raises StoreError when the file as a whole cannot be read.
    """
    lists = _lists(reader.file) if decoded is None else _lists_of(reader.file, decoded)
    for name, found in lists.items():
        for place, each in enumerate(found):
            try:
                yield _TAKERS[name](each, reader)
            except (*DAMAGED, CannotTakeError) as error:
                reader.skip(f"{name}[{place}]", str(error).replace(" - at `$", " at `"))


def _as(kind: type[T], value: Any) -> T:
    """An entry out of its JSON, or out of what that was decoded to."""
    if isinstance(value, Raw):
        return decode(value, kind, strict=False)
    return msgspec.convert(value, kind, strict=False)


def _query_or_selection(value: Any, reader: Reader) -> Line:
    entry = _as(Entry, value)
    return selection(entry, reader) if entry.type == _SELECTION_TYPE else query(entry, reader)


def _lists(file: Path) -> dict[str, list[Any]]:
    content = file.read_bytes().removeprefix(MARK)
    try:
        if content.lstrip()[:1] == b"[":
            return {"queries": decode(content, list[Raw])}
        lists = decode(content, _AllLists)
    except msgspec.ValidationError:
        raise _unknown(file) from None
    except DAMAGED as error:
        raise StoreError(file, f"the JSON is cut off or damaged ({error}); import an undamaged copy") from None
    return msgspec.structs.asdict(lists)


def _lists_of(file: Path, decoded: Any) -> dict[str, list[Any]]:
    whole = {"queries": decoded} if isinstance(decoded, list) else decoded
    found = {name: whole.get(name) or [] for name in _TAKERS}
    if not isinstance(whole.get("queries"), list) or not all(isinstance(each, list) for each in found.values()):
        raise _unknown(file)
    return found


def _unknown(file: Path) -> StoreError:
    return StoreError(
        file, "this is JSON, but neither a metrics.json (it has no list of `queries`) nor a trace we know"
    )


_TAKERS: dict[str, Callable[[Any, Reader], Line]] = {
    "queries": _query_or_selection,
    "agent_selections": lambda value, reader: selection(_as(Entry, value), reader),
    STANDALONE_CALLS: lambda value, reader: standalone_call(_as(CallEntry, value), reader),
    HEALTH: lambda value, reader: health(_as(HealthRecord, value), reader),
}
