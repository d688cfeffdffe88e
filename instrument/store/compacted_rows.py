"""Records out of compacted files, for who has read a part of the segments that they replace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from instrument.errors import StoreError
from instrument.rows import columns
from instrument.store import line_tables, stored_records
from instrument.store.cursors import DayPlace
from instrument.store.engine import duckdb
from instrument.store.stored_records import Shape, T
from instrument.store.tables import connect

_STRETCH = 20_000
"""Rows that are sorted at a time."""


class PartlyReadError(StoreError):
    """What an earlier version compacted was read in part, and cannot be told from the rest."""


def replaced_by(file: Path) -> dict[str, int] | None:
    """The segments that a compacted file replaces, and how many bytes of each; None where it cannot be read."""
    with closing(connect()) as connection:
        if not line_tables.readable_files(connection, [str(file)]):
            return None
        return line_tables.replaced_by(connection, file)


def unread_rows(
    file: Path, replaced: dict[str, int], place: DayPlace, shape: Shape[T]
) -> Iterator[tuple[str, int, T | None]]:
    """The records of a compacted file that lie behind a place in its day, in that shape, by segment and place in it.

    For a file of an earlier version, which does not say where its rows came from, the segment is "" and the place the
    row's number. Raises PartlyReadError when a part of what such a file replaces was read before.
    """
    with closing(connect()) as connection:
        source = _source(connection, file, replaced, place)
        for condition in _stretches(connection, source):
            yield from stored_records.placed_records(connection, f"(SELECT * FROM {source} WHERE {condition})", shape)


def _source(connection: duckdb.DuckDBPyConnection, file: Path, replaced: dict[str, int], place: DayPlace) -> str:
    found = line_tables.columns_of(connection, [str(file)])
    known = columns.of_compacted([name for name in found if name in columns.COLUMNS])
    connection.execute(
        f"CREATE TABLE read_before AS SELECT unnest($names::VARCHAR[]) AS {columns.SEGMENT},"
        " unnest($ends::BIGINT[]) AS until",
        {"names": list(place.segments), "ends": list(place.segments.values())},
    )
    if columns.PLACE in found and columns.SEGMENT in found:
        return (
            f"(SELECT {known}, {columns.SEGMENT}, {columns.PLACE} FROM {columns.read_compacted([str(file)])}"
            f" LEFT JOIN read_before USING ({columns.SEGMENT}) WHERE coalesce({columns.PLACE} >= until, true))"
        )
    begun = [name for name in replaced if place.segments.get(name)]
    if begun and any(place.segments.get(name, 0) < size for name, size in replaced.items()):
        raise PartlyReadError(
            file,
            f"an earlier version compacted segments of which only a part was read ({begun[0]}), and does not say which;"
            " follow without a cursor to read everything anew",
        )
    return (
        f"(SELECT {known}, '' AS {columns.SEGMENT}, file_row_number AS {columns.PLACE}"
        f" FROM {columns.read_numbered(str(file))} WHERE file_row_number >= {place.rows.get(file.name, 0)})"
    )


def _stretches(connection: duckdb.DuckDBPyConnection, source: str) -> list[str]:
    """Conditions for some ten thousand rows each, in order: records are wide, and what is sorted is held in memory."""
    order = f"{columns.SEGMENT}, {columns.PLACE}"
    edges = connection.execute(
        f"SELECT {order} FROM (SELECT {order}, row_number() OVER (ORDER BY {order}) AS number FROM {source})"
        f" WHERE number % {_STRETCH} = 0 ORDER BY ALL"
    ).fetchall()
    conditions, after = [], ""
    for segment, place in edges:
        edge = f"({columns.literal(segment)}, {place}::BIGINT)"
        conditions.append(f"({order}) <= {edge}{after}")
        after = f" AND ({order}) > {edge}"
    return [*conditions, f"true{after}"]
