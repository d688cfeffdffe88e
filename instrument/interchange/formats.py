"""The two files of the product's first document, `metrics.json` and `metrics.csv`, exactly as it has them.

metrics.json is one JSON document with an entry a line, so that it can be continued without being read:

    {"queries": [
    {"query_id": …},
    {"query_id": …}
    ],
    "agent_selections": [
    {"query_id": …}
    ]}

An entry is a record with its field names; defaults are left out, a query's selection stands under `agent_selections`.
What a spreadsheet would run as a formula is neutralised by an apostrophe in front where it is written to CSV, and
restored on import.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from instrument.records import CallRecord, QueryRecord, SelectionRecord

JSON_OPENING = b'{"queries": ['
JSON_MIDDLE = b'\n],\n"agent_selections": ['
JSON_CLOSING = b"\n]}\n"

CSV_FIELDS = (
    "timestamp",
    "query_id",
    "agent_type",
    "duration_ms",
    "success",
    "entities_detected",
    "tool_calls",
    "graphql_queries",
)
CSV_HEADER = ",".join(CSV_FIELDS).encode() + b"\n"

_SPOOLED_BYTES = 8 << 20
_CHUNK = 1 << 20

_encoder = msgspec.json.Encoder()

# A default is left out only where it is that very object, which equal floats and texts read from elsewhere are not.
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(QueryRecord)}
_UNSAMPLED, _OK = _DEFAULTS["weight"], _DEFAULTS["status"]


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


def json_document(queries: Iterable[QueryRecord], selections: Iterable[SelectionRecord]) -> Iterator[bytes]:
    """Pieces of a metrics.json of these queries and of the selections that belong to none of them.

    Nothing is held in memory; selections wait in a temporary file until the queries are through.
    """
    with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as waiting:
        yield JSON_OPENING
        separator = waiting_separator = b"\n"
        for record in queries:
            entry, chosen = entries(record)
            yield separator + entry
            separator = b",\n"
            if chosen is not None:
                waiting.write(waiting_separator + chosen)
                waiting_separator = b",\n"
        yield JSON_MIDDLE
        waiting.seek(0)
        while piece := waiting.read(_CHUNK):
            yield piece
    for selection in selections:
        yield waiting_separator + selection_entry(selection)
        waiting_separator = b",\n"
    yield JSON_CLOSING


def csv_document(queries: Iterable[QueryRecord]) -> Iterator[bytes]:
    """Pieces of a metrics.csv of these queries."""
    yield CSV_HEADER
    for record in queries:
        yield csv_line(record)


def csv_line(record: QueryRecord) -> bytes:
    """A query as its line in metrics.csv."""
    duration_ms = record.duration_ms
    cells = (
        record.start_time,
        _cell(record.query_id),
        _cell(record.agent_type),
        str(int(duration_ms)) if duration_ms == int(duration_ms) else repr(duration_ms),
        "true" if record.success else "false",
        _quoted(neutralised(joined(record.entities_detected))),
        str(record.tool_calls),
        str(record.graphql_queries),
    )
    return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")


def joined(entities: Iterable[str]) -> str:
    """Names as one text with commas between; a comma or backslash within a name has a backslash in front."""
    return ",".join(re.sub(r"([\\,])", r"\\\1", entity) for entity in entities)


def parted(text: str) -> list[str]:
    """The names that `joined` put into one text; others' commas part names, too."""
    if not text:
        return []
    parts = re.findall(r"(?:^|,)((?:\\[\\,]|[^,])*)", text)
    return [re.sub(r"\\([\\,])", r"\1", part) for part in parts]


_FORMULA = re.compile("'*[=+@\t\r-]")
_RESTORABLE = re.compile("'+[=+@\t\r-]")


def neutralised(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe in front of what would be a formula, or already has one there."""
    return "'" + text if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """The text before it was neutralised."""
    return text[1:] if _RESTORABLE.match(text) else text


def _cell(text: str) -> str:
    text = neutralised(text)
    return _quoted(text) if re.search('[",\r\n]', text) or text != text.strip() else text


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy `count` bytes from where `source` stands to where `target` stands."""
    while count > 0 and (piece := source.read(min(count, _CHUNK))):
        target.write(piece)
        count -= len(piece)
