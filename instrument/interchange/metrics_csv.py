"""metrics.csv, the other file of the product's first document: written, rewritten and read.

What a spreadsheet would run as a formula is neutralised by an apostrophe in front where it is written, and restored
where it is read.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from instrument.interchange import metrics_json
from instrument.interchange.incoming import CannotTakeError, Line, Reader
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
HEADER = ",".join(FIELDS).encode() + b"\n"


# -- writing ---------------------------------------------------------------------------------------------------------


def document(queries: Iterable[QueryRecord]) -> Iterator[bytes]:
    """Pieces of a metrics.csv of these queries."""
    yield HEADER
    for record in queries:
        yield line(record)


def line(record: QueryRecord) -> bytes:
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
    with open(reader.file, encoding="utf-8-sig", errors="replace", newline="") as stream:
        csv.field_size_limit(_LONGEST_CELL)
        rows = csv.DictReader(stream, restkey="", strict=True)
        try:
            for row in rows:
                try:
                    yield metrics_json.query(_entry(row), reader)
                except (ValueError, CannotTakeError) as error:
                    reader.skip(f"line {rows.line_num}", error)
        except csv.Error as error:
            reader.skip(f"line {rows.line_num}", f"the file cannot be read from here on: {error}")


def _entry(row: dict[str, Any]) -> metrics_json.Entry:
    if "" in row or None in row.values():
        raise CannotTakeError(f"it has {'more' if '' in row else 'fewer'} cells than the header")
    cells: dict[str, str] = {name: str(row.get(name, "")) for name in FIELDS}
    success = {"true": True, "false": False, "": None}.get(cells["success"].strip().lower(), "?")
    if success == "?":
        raise CannotTakeError(f"success is {cells['success']!r}, neither true nor false")
    return metrics_json.Entry(
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
