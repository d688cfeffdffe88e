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

from instrument.errors import StoreError
from instrument.files import reason
from instrument.outside_counts import read_counts
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows import columns
from instrument.store import layout, line_tables, stored_records, views
from instrument.store.engine import duckdb

_TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tables:
    """The tables `queries`, `calls`, `selections` and `health` of a period; a context manager.

    `connection` is the DuckDB connection that has them, `skipped` how many lines could not be read, and
    `skipped_files` how many in which file. `weighted` says whether any record stands for more than itself, `kinds`
    which kinds of lines there are beside queries, as `views.KINDS` names them. `compacted` are the files that are read
    where they lie. `whole` is where a statement finds these tables, whatever a cursor shows under their names. `mark`
    is another for every state of a store that is kept current (`LiveTables.mark`), None for any other.
    `accuracy` says how exact percentiles are, `extents` which columns have the least and the greatest duration of what
    a row stands for, `is_picked` whether a filter left any out, `has_lines` whether `lines` has them as the store keeps
    them, `unseen_model_calls` which column of `queries` counts model calls that are not known one by one.
    """

    whole = "memory.main"
    mark: tuple[int, int] | None = None
    accuracy: str = "exact"
    is_picked = False
    has_lines = True
    extents: tuple[str, str] = ("duration_ns", "duration_ns")
    unseen_model_calls: str = "unseen_model_calls"

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, skipped_files: dict[str, int], compacted: list[str]
    ) -> None:
        self.connection = connection
        self.compacted = compacted
        self.skipped_files = skipped_files
        self.skipped = sum(skipped_files.values())
        weighted, kinds = self.rows(views.KINDS)[0]
        self.weighted, self.kinds = bool(weighted), frozenset[str](kinds or ())
        for statement in views.definitions(self.kinds):
            connection.execute(statement)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor over the same tables; close it."""
        return self.connection.cursor()

    def rows(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Every row that an SQL statement gives; raises StoreError when a file cannot be read any more."""
        try:
            return self.connection.execute(statement, _storable(parameters)).fetchall()
        except duckdb.Error as error:
            raise line_tables.explained(error) from None

    def arrays(self, statement: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """The columns that an SQL statement gives, DOUBLE each, as numpy arrays; NULL is NaN."""
        try:
            found = self.connection.execute(statement, _storable(parameters)).fetchnumpy()
        except duckdb.Error as error:
            raise line_tables.explained(error) from None
        arrays: dict[str, Any] = dict(found)
        return {
            name: values.filled(float("nan")) if hasattr(values, "filled") else values
            for name, values in arrays.items()
        }

    def records(self, condition: str = "true", parameters: dict[str, Any] | None = None) -> Iterator[QueryRecord]:
        """The queries that an SQL condition over `queries` picks, by start, each with what ended after it."""
        late, linked = views.LATE in self.kinds, views.LINKED in self.kinds
        return stored_records.query_records(self.cursor, condition, _storable(parameters), late=late, linked=linked)

    def loose_selections(self) -> Iterator[SelectionRecord]:
        """The selections that belong to none of these queries, by time."""
        return stored_records.selection_records(self.cursor, linked=views.LINKED in self.kinds)

    def loose_calls(self) -> Iterator[CallRecord]:
        """The calls outside any query, by start."""
        return stored_records.call_records(self.cursor)

    def picked(self, queries: str, parameters: dict[str, Any], inside: str | None = None) -> Tables:
        """The same tables with only what the conditions pick; see `PickedTables`."""
        from instrument.store.picked_tables import PickedTables

        return PickedTables(self, queries, parameters, inside)

    def rolled_up(self, exact: bool | None = None) -> Tables:
        """The tables to ask for counts, sums and percentiles: from roll-ups, where the source has some for these.

        Their rows are records as ever, but each may stand for many, by its weight. `exact` True never takes roll-ups,
        False takes them wherever there are some, None where there are too many records to be quick. A directory has no
        roll-ups.
        """
        return self

    def counted(self, first_us: int, step_us: int) -> Tables:
        """The tables to ask how many queries there are and how they ended, in steps from a moment on.

        `first_us` is that moment in µs since 1970. Where the source has roll-ups that are fine enough, and too many
        records to be quick, rows stand for many records, as in `rolled_up`. Counts are exact; of how they ended, such a
        row says `ok`, `error` or `cancelled` alone.
        """
        return self

    @property
    def exact(self) -> Tables:
        """The same tables with every record, for what roll-ups do not have."""
        return self

    def own_sql(self, writable: Path | None = None) -> Any:
        """The public tables, ready for statements of a user's own; see `OwnSql`."""
        from instrument.store.own_sql import OwnSql

        return OwnSql(self, writable)

    def close(self) -> None:
        """Let go of the connection; harmless when repeated."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _storable(parameters: dict[str, Any] | None) -> dict[str, Any]:
    """Parameters as a store may hold them: without the lone surrogates that an argument in no UTF-8 is read as."""
    return {
        name: value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if isinstance(value, str)
        else value
        for name, value in (parameters or {}).items()
    }


def open_store(directory: str | Path, *, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open a store, or the period of it from `since` to `until` (both included, by a record's start).

    Raises StoreError when there is no store, or none that can be read.
    """
    path = Path(directory)
    problem = ""
    for _ in range(_TRIES):
        connection = connect()
        try:
            return _open(connection, path, since, until)
        except (duckdb.IOException, FileNotFoundError) as error:
            # A file that was listed is gone: compaction has put another in its place. List again.
            connection.close()
            problem = reason(error)
        except BaseException:
            connection.close()
            raise
    raise StoreError(path, f"the store cannot be read: {problem}")


def connect(memory: str = "1GB") -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of our own: in memory, in UTC, within `memory`, spilling to the system's folder for that."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": max(1, min(8, os.cpu_count() or 1)),
            "memory_limit": memory,
            "temp_directory": os.path.join(_system_folder(), f"agent-instrument-{os.getpid()}"),
            "preserve_insertion_order": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'; SET parquet_metadata_cache = true; SET enable_progress_bar = false")
    return connection


def _system_folder() -> str:
    """The system's folder for temporary files, also where no disk has room for one: few reports need it."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "/tmp"


def _open(
    connection: duckdb.DuckDBPyConnection, directory: Path, since: datetime | None, until: datetime | None
) -> Tables:
    days = layout.list_days(directory, None if since is None else since.astimezone(UTC).date())
    period = period_condition(since, until)
    live = line_tables.live_segments(connection, days)
    skipped = line_tables.set_aside(days, live) | line_tables.load_segments(connection, live, period)
    line_tables.add_outside_counts(connection, read_counts(directory), period)
    compacted = [str(day.folder / name) for day in days for name in day.compacted]
    skipped |= line_tables.define_lines(connection, compacted, period)
    return Tables(connection, dict(sorted(skipped.items())), compacted)


def period_condition(since: datetime | None, until: datetime | None) -> str:
    """The SQL condition over `lines` for what started from `since` to `until`, both included."""
    first = 0 if since is None else microseconds(since)
    last = columns.LAST_T if until is None else microseconds(until)
    return f"t BETWEEN {first} AND {last}"


def microseconds(moment: datetime) -> int:
    """An aware datetime as µs since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def instant(us: int) -> datetime:
    """The aware datetime, in UTC, that is so many µs after 1970 began."""
    return _EPOCH + timedelta(microseconds=us)
