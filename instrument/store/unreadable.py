"""Lines that no reader understood, kept when the segment they stood in is compacted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from instrument.store import columns, layout
from instrument.store.engine import duckdb


def set_aside(connection: duckdb.DuckDBPyConnection, segment: Path, count: int) -> None:
    """Write the `count` unreadable lines of a segment to a file of their own beside it."""
    target = segment.with_name(segment.name + layout.UNREADABLE_SUFFIX)
    layout.write_file(target, _ended(_unreadable(connection, segment, count)))


def _unreadable(connection: duckdb.DuckDBPyConnection, segment: Path, count: int) -> Iterator[bytes]:
    """The lines that `connection` read as nothing; every suspicious one where it does not divide lines as we do."""
    usable_lines = verdicts(connection, segment)
    with open(segment, "rb") as stream:
        lines = sum(1 for line in stream if line.strip())
        stream.seek(0)
        if lines == len(usable_lines) and usable_lines.count(False) == count:
            yield from (line for line, usable in zip(_filled(stream), usable_lines, strict=True) if not usable)
        else:
            yield from (line for line in _filled(stream) if not _is_record(line))


def verdicts(connection: duckdb.DuckDBPyConnection, segment: Path) -> list[bool]:
    """Whether each line of a segment is a record; nothing at all if the reader gives the segment up."""
    cursor = connection.cursor()
    try:
        cursor.execute("SET preserve_insertion_order = true")
        statement = f"SELECT {columns.USABLE} IS true FROM {columns.read_segments([str(segment)])}"
        return [usable for (usable,) in cursor.execute(statement).fetchall()]
    except duckdb.InvalidInputException:
        return []
    finally:
        cursor.close()


def _filled(stream: Iterator[bytes]) -> Iterator[bytes]:
    return (line for line in stream if line.strip())


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line).get("t"), int)
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return False


def _ended(lines: Iterator[bytes]) -> Iterator[bytes]:
    return (line if line.endswith(b"\n") else line + b"\n" for line in lines)
