"""A store that is read again and again: its open segments are loaded once, and then only what they have grown by.

A period of it is opened for next to nothing, and looks as `tables.open_store` would show it: the same tables, over the
lines there are at that moment. Compacted files are read where they lie. When a segment is gone or another (compaction,
retention, forgetting, a store moved away), the open segments are loaded anew; who reads a period that was opened before
still sees the lines of then.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from instrument.errors import StoreError
from instrument.files import reason
from instrument.outside_counts import Counts, read_counts
from instrument.store import layout, line_tables
from instrument.store.day_files import DayFiles, Identity
from instrument.store.engine import duckdb
from instrument.store.segment_table import ChangedError, SegmentTable
from instrument.store.tables import Tables, connect, open_store, period_condition

T = TypeVar("T")

_DATABASE = "live"
_TRIES = 5

NEEDED_SECONDS = 600.0
"""How long the lines of days stay loaded that nobody asks for any more."""


class _Day(Struct):
    """A day's folder as it was listed: the paths of its files, and what compaction set aside of it."""

    files: DayFiles
    live: list[str] = []
    compacted: dict[str, Identity | None] = {}
    set_aside: dict[str, int] = {}


class LiveTables:
    """Opens periods of one store's directory, in any thread; close it.

    `version` goes up whenever files are others than before, not when they only grow: what was opened under another
    version may soon find a file gone.
    """

    def __init__(self, directory: str | Path) -> None:
        self.version = 0
        self._directory = Path(directory)
        self._lock = threading.RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._table: SegmentTable | None = None
        self._readers: dict[str, int] = {}
        self._outside: list[Counts] = []
        self._endless: set[str] = set()
        self._days: dict[Path, _Day] = {}
        self._first = date.max
        self._needed: dict[date, float] = {}
        self._identity: tuple[int, int] | None = None
        self._numbers = itertools.count()

    def opened(self, since: datetime | None = None, until: datetime | None = None) -> Tables:
        """Open the period from `since` to `until` (both included, by a record's start) as the store is now.

        Raises StoreError when there is no store, or none that can be read.
        """
        first = date.min if since is None else since.astimezone(UTC).date()
        return self._with_current(first, lambda table: self._period(table, first, since, until))

    def mark(self) -> tuple[int, int]:
        """Read what is new today; returns a pair of numbers that is another whenever there is anything new.

        What was opened has the pair of then. Raises StoreError as `opened` does.
        """
        return self._with_current(datetime.now(UTC).date(), self._mark)

    def _mark(self, table: SegmentTable) -> tuple[int, int]:
        return self.version, table.rows

    def _with_current(self, first: date, use: Callable[[SegmentTable], T]) -> T:
        """Do something with the lines there are now, again where a file goes meanwhile."""
        problem = ""
        with self._lock:
            for _ in range(_TRIES):
                try:
                    return use(self._current(first))
                except ChangedError:
                    self._renew()
                except (FileNotFoundError, duckdb.IOException) as error:
                    # A file that was listed is gone: compaction has put another in its place. List again, and begin
                    # anew: some of its lines may have been taken in.
                    problem = reason(error)
                    self._list_again()
                    self._renew()
                except StoreError:
                    self._forget()
                    raise
        raise StoreError(self._directory, f"the store cannot be read: {problem or 'it changes all the time'}")

    def close(self) -> None:
        """Let go of everything but the periods that are still open; harmless when repeated."""
        with self._lock:
            self._forget()
            self._disconnect()

    # -- keeping up --------------------------------------------------------------------------------------------------

    def _current(self, first: date) -> SegmentTable:
        """The table of lines, with what came since the last time."""
        self._list_days(self._wanted(first))
        outside = list(read_counts(self._directory))
        if self._table is None or outside != self._outside:
            self._outside = outside
            self._renew()
        assert self._table is not None
        self._table.catch_up([file for day in self._days.values() for file in day.live])
        return self._table

    def _wanted(self, first: date) -> date:
        """The first day to load; days that were asked for before stay for a while."""
        now = time.monotonic()
        self._needed = {day: at for day, at in self._needed.items() if now - at < NEEDED_SECONDS} | {first: now}
        return min(self._needed)

    def _list_days(self, first: date) -> None:
        """List the folders that changed, of the days from `first` on."""
        layout.check_directory(self._directory)
        found = os.stat(self._directory)
        if (found.st_dev, found.st_ino) != self._identity:
            self._forget()
            self._identity = found.st_dev, found.st_ino
        try:
            names = sorted(entry.name for entry in os.scandir(self._directory) if entry.is_dir())
        except OSError as error:
            raise StoreError(self._directory, f"the store cannot be read: {reason(error)}") from None
        folders = {self._directory / name: day for name in names if (day := layout.day_of(name)) and day >= first}
        if self._days.keys() - folders.keys():
            self.version += 1
        days = {folder: self._days.get(folder) or _Day(DayFiles(day, folder)) for folder, day in folders.items()}
        self._days = days
        for each in days.values():
            self._list_day(each)

    def _list_day(self, day: _Day) -> None:
        try:
            listed = day.files.listed(anew=False)
        except OSError as error:
            raise StoreError(self._directory, f"the store cannot be read: {reason(error)}") from None
        if listed is None:
            return
        folder = listed.folder
        before = day.compacted
        replaced: set[str] = set()
        if listed.segments:
            replaced = {name for file in listed.compacted for name in day.files.replaced_by(file)}
        day.live = [str(folder / name) for name in listed.segments if name not in replaced]
        day.compacted = {str(folder / name): day.files.identity(name) for name in listed.compacted}
        day.set_aside = line_tables.set_aside([listed], day.live)
        if before != day.compacted:
            self.version += 1
        if any(day.compacted.get(file, identity) != identity for file, identity in before.items()):
            # DuckDB remembers what a file of this name was like, and looks at its time to the second only.
            self._disconnect()

    def _list_again(self) -> None:
        for day in self._days.values():
            day.files.look_again()

    def _renew(self) -> None:
        """Begin with an empty table; the one of before goes when nobody reads it any more."""
        self._drop_table()
        self.version += 1
        if self._connection is None:
            self._connection = _connected()
        self._table = SegmentTable(self._connection, f"{_DATABASE}.main.lines_{next(self._numbers)}", self._endless)
        self._table.add_outside(self._outside)

    def _drop_table(self) -> None:
        table, self._table = self._table, None
        if table is not None and not self._readers.get(table.name):
            table.drop()

    def _disconnect(self) -> None:
        self._drop_table()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _forget(self) -> None:
        """Know nothing of the store any more: it is away, or another."""
        self._drop_table()
        self._days.clear()
        self._endless.clear()
        self._identity = None
        self.version += 1

    # -- periods -----------------------------------------------------------------------------------------------------

    def _period(self, table: SegmentTable, first: date, since: datetime | None, until: datetime | None) -> Tables:
        assert self._connection is not None
        days = [day for day in self._days.values() if day.files.day >= first]
        compacted = [file for day in days for file in day.compacted]
        skipped = {file: number for day in days for file, number in day.set_aside.items()}
        skipped |= {file: table.unreadable[file] for day in days for file in day.live if file in table.unreadable}
        period = period_condition(since, until)
        name = f"{_DATABASE}.period_{next(self._numbers)}"
        cursor = self._connection.cursor()
        self._readers[table.name] = self._readers.get(table.name, 0) + 1
        try:
            cursor.execute(f"CREATE SCHEMA {name}; USE {name}")
            cursor.execute(
                f"CREATE VIEW segment_lines AS SELECT * FROM {table.name} WHERE rowid < {table.rows} AND {period}"
            )
            skipped |= line_tables.define_lines(cursor, compacted, period)
            tables = PeriodTables(self, table, name, cursor, dict(sorted(skipped.items())), compacted, (since, until))
            tables.mark = self._mark(table)
            return tables
        except BaseException as error:
            self.release(table, name, cursor)
            if isinstance(error, duckdb.Error) and not isinstance(error, duckdb.IOException):
                raise line_tables.explained(error) from None
            raise

    def release(self, table: SegmentTable, name: str, cursor: duckdb.DuckDBPyConnection) -> None:
        """Let go of a period: its views, and of its table of lines where that is of before and nobody else reads it."""
        with self._lock:
            with suppress(duckdb.Error):  # it was not even made
                cursor.execute(f"USE {_DATABASE}.main; DROP SCHEMA {name} CASCADE")
            self._readers[table.name] -= 1
            if not self._readers[table.name]:
                del self._readers[table.name]
                if table is not self._table:
                    cursor.execute(f"DROP TABLE IF EXISTS {table.name}")
            cursor.close()

    def opened_apart(self, period: tuple[datetime | None, datetime | None]) -> Tables:
        """The same period of the store by a connection of its own."""
        return open_store(self._directory, since=period[0], until=period[1])


class PeriodTables(Tables):
    """A period of a store that is kept current, as it was when the period was opened; close it."""

    def __init__(
        self,
        live: LiveTables,
        table: SegmentTable,
        name: str,
        cursor: duckdb.DuckDBPyConnection,
        skipped_files: dict[str, int],
        compacted: list[str],
        period: tuple[datetime | None, datetime | None],
    ) -> None:
        self.whole = name
        self._live, self._table, self._period = live, table, period
        self._apart: Tables | None = None
        self._is_open = True
        super().__init__(cursor, skipped_files, compacted)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor over the same tables; close it."""
        cursor = self.connection.cursor()
        cursor.execute(f"USE {self.whole}")
        return cursor

    def own_sql(self, writable: Path | None = None) -> Any:
        """The public tables for statements of a user's own: over a connection that can be locked, so one apart."""
        self._apart = self._apart or self._live.opened_apart(self._period)
        return self._apart.own_sql(writable)

    def close(self) -> None:
        """Let go of the period; harmless when repeated."""
        if self._is_open:
            self._is_open = False
            self._live.release(self._table, self.whole, self.connection)
            if self._apart is not None:
                self._apart.close()


def _connected() -> duckdb.DuckDBPyConnection:
    """A connection with a database in memory whose tables are compressed, to about a tenth.

    Memory goes back to the system soon: what reading segments and answering took would stay with the process otherwise.
    After seven pages over a million queries `metrics serve` keeps 121 MB, without these settings 154; a lower threshold
    would cost a third more processor time.
    """
    connection = connect()
    for setting in ("allocator_flush_threshold", "allocator_bulk_deallocation_flush_threshold"):
        connection.execute(f"SET {setting} = '16MB'")
    connection.execute("SET allocator_background_threads = true")
    connection.execute(f"ATTACH ':memory:' AS {_DATABASE} (COMPRESS)")
    return connection
