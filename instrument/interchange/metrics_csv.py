"""metrics.csv, the other file of the product's first document: written, rewritten and read.

A sink keeps the first document's eight columns. An export has all that is known of a query, those eight first; calls,
attributes and metrics are JSON in their cells. Both are read.

What a spreadsheet would run as a formula is neutralised by an apostrophe in front where it is written, and restored
where it is read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from instrument.interchange import csv_table, entries
from instrument.interchange.csv_table import cell, in_quotes, joined, neutralised, parted, restored
from instrument.interchange.incoming import CannotTakeError, Line, Reader
from instrument.interchange.json_values import DAMAGED
from instrument.records import QueryRecord

FIELDS = (
    "timestamp",
    "query_id",
    "agent_type",
    "duration_ms",
    "success",
    "entities_detected",
    "tool_calls",
    "graphql_queries",
)
_LONGEST_CELL = 64 << 20
_TOKEN_KINDS = ("input", "output", "cached", "reasoning")
HEADER = ",".join(FIELDS).encode() + b"\n"

_RECORD_FIELDS = (
    "user_input",
    "status",
    "error_type",
    "error_message",
    "passed_on",
    "name",
    "parent_id",
    "end_time",
    "result_size_bytes",
    "first_chunk_ms",
    "model_calls",
    "model",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "weight",
    "host",
    "process",
)
_SELECTION_FIELDS = {
    "selected_agent": "selected_agent",
    "complexity_score": "complexity_score",
    "selection_reason": "selection_reason",
    "selection_time": "timestamp",
    "selection_input": "user_input",
}
_JSON_FIELDS = ("attributes", "metrics", "calls")
ALL_FIELDS = (*FIELDS, *_RECORD_FIELDS, *_SELECTION_FIELDS, *_JSON_FIELDS)
_WHOLE = frozenset(("result_size_bytes", "model_calls", "process", *(f"{kind}_tokens" for kind in _TOKEN_KINDS)))
_REAL = frozenset(("first_chunk_ms", "cost_usd", "weight", "complexity_score"))


# -- writing ---------------------------------------------------------------------------------------------------------


def document(queries: Iterable[QueryRecord]) -> Iterator[bytes]:
    """Pieces of a metrics.csv of these queries."""
    yield HEADER
    for record in queries:
        yield line(record)


def full_document(queries: Iterable[QueryRecord]) -> Iterator[bytes]:
    """Pieces of a CSV file with everything that is known of these queries."""
    return csv_table.document(ALL_FIELDS, map(_row, queries))


def _row(record: QueryRecord) -> Iterator[Any]:
    yield record.start_time
    for name in (*FIELDS[1:], *_RECORD_FIELDS):
        yield getattr(record, name)
    for name in _SELECTION_FIELDS.values():
        yield getattr(record.selection, name, None)
    for name in _JSON_FIELDS:
        yield msgspec.json.encode(getattr(record, name)).decode() if getattr(record, name) else None


def line(record: QueryRecord) -> bytes:
    """A query as its line in metrics.csv."""
    duration_ms = record.duration_ms
    cells = (
        record.start_time,
        cell(record.query_id),
        cell(record.agent_type),
        str(int(duration_ms)) if duration_ms == int(duration_ms) else repr(duration_ms),
        "true" if record.success else "false",
        in_quotes(neutralised(joined(record.entities_detected))),
        str(record.tool_calls),
        str(record.graphql_queries),
    )
    return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")


# -- rewriting -------------------------------------------------------------------------------------------------------


def kept_lines(path: Path) -> Iterator[tuple[bytes, str | None]]:
    """The lines of a metrics.csv but for its header, each with the id of its query."""
    with open(path, "rb") as stream:
        for content in _records(stream):
            if content.strip() and not content.startswith(HEADER.split(b",")[0] + b","):
                cells = next(csv.reader([content.decode("utf-8", "replace")]), [])
                yield content, restored(cells[1]) if len(cells) > 1 else None


def _records(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, those joined that a quoted cell spans."""
    record = b""
    for each in stream:
        record += each
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record


def rewritten(left: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of a metrics.csv of lines."""
    yield HEADER
    for content in left:
        yield content if content.endswith(b"\n") else content + b"\n"


# -- reading ---------------------------------------------------------------------------------------------------------


def read(reader: Reader) -> Iterator[Line]:
    """The lines that a metrics.csv becomes."""
    with _large_cells(), open(reader.file, encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv.DictReader(stream, restkey="", strict=True)
        try:
            for row in rows:
                try:
                    entry = _entry(row)
                    yield entries.query(entry, reader)
                    asked = row.get("selection_input")
                    yield from entries.own_selection(entry, restored(asked) if asked else None, reader)
                except (ValueError, *DAMAGED, CannotTakeError) as error:
                    reader.skip(f"line {rows.line_num}", error)
        except csv.Error as error:
            reader.skip(f"line {rows.line_num}", f"the file cannot be read from here on: {error}")


@contextmanager
def _large_cells() -> Iterator[None]:
    """Let the csv module read cells as large as a record may be; it allows 128 kB by itself."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _entry(row: dict[str, Any]) -> entries.Entry:
    if "" in row or None in row.values():
        raise CannotTakeError(f"it has {'more' if '' in row else 'fewer'} cells than the header")
    cells: dict[str, str] = {name: str(row.get(name, "")) for name in FIELDS}
    success = {"true": True, "false": False, "": None}.get(cells["success"].strip().lower(), "?")
    if success == "?":
        raise CannotTakeError(f"success is {cells['success']!r}, neither true nor false")
    entry = entries.Entry(
        start_time=cells["timestamp"],
        query_id=restored(cells["query_id"]),
        agent_type=restored(cells["agent_type"]),
        duration_ms=_number(cells, "duration_ms"),
        success=success is True,
        status=None if success is not None else "running",
        entities_detected=list(parted(restored(cells["entities_detected"]))) or None,
        tool_calls=_whole(cells, "tool_calls"),
        graphql_queries=_whole(cells, "graphql_queries"),
    )
    _fill_in(entry, {name: str(row[name]) for name in ALL_FIELDS[len(FIELDS) :] if row.get(name)})
    return entry


def _fill_in(entry: entries.Entry, cells: dict[str, str]) -> None:
    """Give an entry what stands in the columns of an export."""
    for name in cells:
        if name in _WHOLE:
            setattr(entry, name, _whole(cells, name))
        elif name in _REAL:
            setattr(entry, name, _number(cells, name))
        elif name == "passed_on":
            entry.passed_on = cells[name] == "true"
        elif name not in _JSON_FIELDS and name not in ("selection_time", "selection_input"):
            setattr(entry, name, restored(cells[name]))
    entry.timestamp = cells.get("selection_time")
    told = {name: cells[name] for name in _JSON_FIELDS if name in cells}
    for name, value in entries.inner_fields(told).items():
        setattr(entry, name, value)


def _number(cells: dict[str, str], name: str) -> float | None:
    """A cell's number; None for an empty one, and for one that says it is no number."""
    try:
        number = float(cells[name]) if cells[name].strip() else math.nan
    except ValueError:
        raise CannotTakeError(f"{name} is {cells[name]!r}, not a number") from None
    return number if math.isfinite(number) else None


def _whole(cells: dict[str, str], name: str) -> int | None:
    number = _number(cells, name)
    if number is not None and not number.is_integer():
        raise CannotTakeError(f"{name} is {cells[name]!r}, not a whole number")
    return None if number is None else int(number)
