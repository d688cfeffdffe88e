"""A store, opened for reading: an in-memory DuckDB connection with the tables that reports ask.

Segments are loaded once, when the store is opened: from then on no writer, no compaction and no retention beside the
reader changes what it sees of them. Compacted files are read where they lie.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from instrument.errors import StoreError
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.store import columns, layout, restoring, views

REPLACES = "replaces"
"""The key of a compacted file's metadata that names the segments it replaces, one a line."""

_PECULIARITIES = (
    "SELECT bool_or(w <> 1), list(DISTINCT type) FILTER (parent IS NOT NULL AND type IS NOT NULL) FROM lines"
)

_TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tables:
    """The tables `queries`, `calls`, `selections` and `health` of a period; a context manager.

    `connection` is the DuckDB connection that has them, `skipped` how many lines could not be read, and
    `skipped_files` how many in which file. `weighted` says whether any record stands for more than itself, `late`
    whether any call ended after its query had been written, `linked` whether any selection on a
    line of its own names its query.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, skipped_files: dict[str, int]) -> None:
        self.connection = connection
        self.skipped_files = skipped_files
        self.skipped = sum(skipped_files.values())
        self.weighted, self.late, self.linked = self._peculiarities()
        for statement in views.definitions(late=self.late, linked=self.linked):
            connection.execute(statement)

    def _peculiarities(self) -> tuple[bool, bool, bool]:
        weighted, kinds = self.rows(_PECULIARITIES)[0]
        return bool(weighted), "call" in (kinds or ()), "selection" in (kinds or ())

    def rows(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Every row that an SQL statement gives; raises StoreError when a file cannot be read any more."""
        try:
            return self.connection.execute(statement, parameters or {}).fetchall()
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise StoreError("the store", f"a file cannot be read ({_first_line(error)}); try again") from None

    def records(self, condition: str = "true", parameters: dict[str, Any] | None = None) -> Iterator[QueryRecord]:
        """The queries that an SQL condition over `queries` picks, by start, each with what ended after it."""
        return restoring.query_records(self.connection, condition, parameters or {}, late=self.late, linked=self.linked)

    def loose_selections(self) -> Iterator[SelectionRecord]:
        """The selections that belong to none of these queries, by time."""
        return restoring.selection_records(self.connection, linked=self.linked)

    def loose_calls(self) -> Iterator[CallRecord]:
        """The calls outside any query, by start."""
        return restoring.call_records(self.connection)

    def close(self) -> None:
        """Let go of the connection; harmless when repeated."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(directory: str | Path, *, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open a store, or the period of it from `since` to `until` (both included, by a record's start).

    Raises StoreError when there is no store, or none that can be read.
    """
    path = Path(directory)
    for left in reversed(range(_TRIES)):
        connection = connect()
        try:
            return _open(connection, path, since, until)
        except duckdb.IOException as error:
            connection.close()
            if not left:
                raise StoreError(path, f"the store cannot be read: {_first_line(error)}") from None
        except BaseException:
            connection.close()
            raise
    raise AssertionError("unreachable")


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of our own: in memory, in UTC, bounded, spilling to the system's temporary folder."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": max(1, min(8, os.cpu_count() or 1)),
            "memory_limit": "1GB",
            "temp_directory": os.path.join(tempfile.gettempdir(), f"agent-instrument-{os.getpid()}"),
            "preserve_insertion_order": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _open(
    connection: duckdb.DuckDBPyConnection, directory: Path, since: datetime | None, until: datetime | None
) -> Tables:
    days = layout.list_days(directory, None if since is None else since.astimezone(UTC).date())
    period = _between(since, until)
    segments, skipped = live_segments(connection, days), _set_aside(days)
    skipped |= load_segments(connection, segments, period)
    compacted = [str(day.folder / name) for day in days for name in day.compacted]
    _define_lines(connection, compacted, period)
    return Tables(connection, dict(sorted(skipped.items())))


def live_segments(connection: duckdb.DuckDBPyConnection, days: list[layout.Day]) -> list[str]:
    """The segments that no compacted file beside them replaces."""
    return [str(path) for day in days for name in live_names(connection, day) for path in [day.folder / name]]


def live_names(connection: duckdb.DuckDBPyConnection, day: layout.Day) -> list[str]:
    """The same for one day, by name.

    Both exist while compaction puts one in place of the other, or when it was killed then.
    """
    if not (day.segments and day.compacted):
        return day.segments
    replaced = replaced_segments(connection, [str(day.folder / name) for name in day.compacted])
    return [name for name in day.segments if name not in replaced]


def replaced_segments(connection: duckdb.DuckDBPyConnection, compacted: list[str]) -> set[str]:
    """The names of the segments that compacted files say they replace."""
    found = connection.execute(
        f"SELECT decode(value) FROM parquet_kv_metadata({columns.literals(compacted)}) WHERE decode(key) = '{REPLACES}'"
    ).fetchall()
    return {name for (names,) in found for name in names.split("\n")}


def load_segments(connection: duckdb.DuckDBPyConnection, files: list[str], period: str) -> dict[str, int]:
    """Load the lines of segments into the table `segment_lines`; returns how many of which file are unreadable."""
    if not files:
        return {}
    skipped = dict.fromkeys(_with_endless_lines(files), 1)
    readable = [file for file in files if file not in skipped]
    if readable:
        connection.execute(
            f"CREATE TABLE segment_lines AS SELECT * FROM {columns.read_segments(readable)}"
            f" WHERE {columns.USABLE} IS NOT true OR {period}"
        )
        unreadable = f"SELECT filename, count(*) FROM segment_lines WHERE {columns.USABLE} IS NOT true GROUP BY ALL"
        skipped |= dict(connection.execute(unreadable).fetchall())
    return skipped


def _with_endless_lines(files: list[str]) -> list[str]:
    """The files that have a line too long to be one of ours; such a line would end the reading of all of them."""
    return [file for file in files if os.path.getsize(file) > columns.LARGEST_LINE and has_endless_line(file)]


def has_endless_line(file: str) -> bool:
    """Whether a file has a line longer than any of ours."""
    length = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            first = block.find(b"\n")
            if length + (len(block) if first < 0 else first) > columns.LARGEST_LINE:
                return True
            length = length + len(block) if first < 0 else len(block) - block.rfind(b"\n") - 1
    return False


def _set_aside(days: list[layout.Day]) -> dict[str, int]:
    """How many unreadable lines compaction has set aside, by file."""
    counts: dict[str, int] = {}
    for day in days:
        for name in day.unreadable:
            content = (day.folder / name).read_bytes()
            counts[str(day.folder / name)] = max(1, content.count(b"\n"))
    return counts


def _define_lines(connection: duckdb.DuckDBPyConnection, compacted: list[str], period: str) -> None:
    sources = []
    if connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'segment_lines'").fetchone():
        sources.append(f"SELECT {columns.NAMES} FROM segment_lines WHERE {columns.USABLE}")
    if compacted:
        sources.append(f"SELECT {columns.NAMES} FROM {columns.read_compacted(compacted)} WHERE {period}")
    if not sources:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.COLUMNS.items())
        sources.append(f"SELECT {empty} WHERE false")
    connection.execute(f"CREATE VIEW lines AS {' UNION ALL '.join(sources)}")


def _between(since: datetime | None, until: datetime | None) -> str:
    first = 0 if since is None else microseconds(since)
    last = columns.LAST_T if until is None else microseconds(until)
    return f"t BETWEEN {first} AND {last}"


def microseconds(moment: datetime) -> int:
    """An aware datetime as µs since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
