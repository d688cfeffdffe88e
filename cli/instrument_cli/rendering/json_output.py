"""Results for other programs: JSON in UTF-8, and records in the shapes of metrics.json and metrics.csv, streamed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.analysis.results import Report
from instrument.interchange import csv_table, metrics_csv, metrics_json
from instrument.records import QueryRecord, SelectionRecord
from instrument_cli.rendering.text import harmless_json, harmless_lines


def show_json(value: object) -> None:
    """Print a result as indented JSON."""
    show_pieces([json_document(value)])


def json_document(value: object) -> bytes:
    """A result as indented JSON."""
    return harmless_json(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def show_json_records(
    queries: Iterable[QueryRecord], selections: Iterable[SelectionRecord], *, report: Report | None = None
) -> None:
    """Print what a metrics.json of these records holds, after the figures under `report` if they are given."""
    document = metrics_json.document(queries, selections)
    opening = next(document)
    if report is not None:
        opening = b'{"report": ' + msgspec.json.encode(report) + b",\n" + opening.removeprefix(b"{")
    show_pieces([harmless_json(opening)])
    show_pieces(map(harmless_json, _by_line(document)))


def show_csv_records(queries: Iterable[QueryRecord]) -> None:
    """Print records as metrics.csv has them; a terminal is spared what it would obey."""
    show_csv(metrics_csv.document(queries))


def show_json_document(pieces: Iterable[bytes]) -> None:
    """Print a document of JSON."""
    show_pieces(map(harmless_json, _by_line(pieces)))


def show_csv(document: Iterable[bytes]) -> None:
    """Print a document of CSV; a terminal is spared what it would obey."""
    show_pieces(map(harmless_lines, _by_line(document)) if sys.stdout.isatty() else document)


def show_csv_rows(kind: type[Struct], rows: Iterable[Struct]) -> None:
    """Print rows of one kind as CSV with a column a field; lists with commas between, attributes as JSON."""
    names = [field.name for field in msgspec.structs.fields(kind)]
    show_csv(csv_table.document(names, (msgspec.structs.astuple(row) for row in rows)))


def show_text(document: str) -> None:
    """Print a document of text, in UTF-8."""
    show_pieces([document.encode()])


def _by_line(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, never parted within a character."""
    held = b""
    for piece in pieces:
        lines, newline, rest = piece.rpartition(b"\n")
        if newline:
            yield held + lines + newline
            held = rest
        else:
            held += rest
    yield held


def show_pieces(pieces: Iterable[bytes]) -> None:
    """Write pieces to standard output, after what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.writelines(pieces)


def show_file(file: Path) -> None:
    """Write what a file holds to standard output."""
    with open(file, "rb") as stream:
        show_pieces(iter(lambda: stream.read(1 << 20), b""))
