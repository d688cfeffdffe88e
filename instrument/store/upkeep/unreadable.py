"""Lines that no reader understood: where in a segment they stand, and a file of their own for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.files import write_file
from instrument.rows import columns
from instrument.rows.decoding import UnreadableError, decoded
from instrument.rows.stored import LONGEST_LINE
from instrument.store import layout
from instrument.store.engine import duckdb
from instrument.store.upkeep import erasure_journal
from instrument.store.upkeep.erasure_journal import Place


class _Head(Struct):
    t: int | None = None


_heads = msgspec.json.Decoder(_Head)


def set_aside(connection: duckdb.DuckDBPyConnection, segment: Path) -> None:
    """Write the unreadable lines of a segment to a file of their own beside it."""
    target = segment.with_name(segment.name + layout.UNREADABLE_SUFFIX)
    write_file(target, (line + b"\n" for _, line in lines(connection, segment)))


def lines(connection: duckdb.DuckDBPyConnection, segment: Path) -> Iterator[tuple[Place, bytes]]:
    """The lines that `connection` reads as nothing, each with its place, without its end.

    Every suspicious one where it does not divide lines as we do.
    """
    usable_lines = verdicts(connection, segment)
    if sum(1 for _ in erasure_journal.lines_of(segment)) == len(usable_lines):
        found = zip(erasure_journal.lines_of(segment), usable_lines, strict=False)
        yield from (line for line, usable in found if not usable)
    else:
        yield from (line for line in erasure_journal.lines_of(segment) if not _is_record(line[1]))


def lines_beside_writer(connection: duckdb.DuckDBPyConnection, segment: Path) -> list[tuple[Place, bytes]]:
    """The same in a segment that a living process may append to, whose last line is left to it."""
    if not erasure_journal.may_grow(segment):
        return list(lines(connection, segment))
    usable_lines = verdicts(connection, segment)[:-1]
    found = zip(erasure_journal.lines_of(segment), usable_lines, strict=False)
    return [line for line, usable in found if not usable]


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


def _is_record(line: bytes) -> bool:
    if len(line) >= LONGEST_LINE:
        return False
    try:
        return decoded(line, _heads).t is not None
    except UnreadableError:
        return False
