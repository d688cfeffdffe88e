"""A person's records out of everything that is kept: segments, compacted files, what was set aside, metrics.json.

What goes: the queries asked for, and every record with the text asked for in its input, error, attributes, entities,
names or reasons; with a query all that is inside it, which is its calls, its selection, calls that ended after it and
the queries that it made in turn. What stays: the query around one that goes, unless it has the text, too. Of what a
living process still holds in memory nothing is known; forget again when it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from msgspec import Struct, field

from instrument.errors import StoreError, UsageError
from instrument.files import reason
from instrument.rows import columns
from instrument.store import layout, line_tables, views
from instrument.store.engine import duckdb
from instrument.store.layout import Day
from instrument.store.tables import Tables, connect, open_store
from instrument.store.upkeep import compaction, erasure_journal, kept_files
from instrument.store.upkeep.erasure_journal import Erasure
from instrument.store.upkeep.forget_request import Head, Wanted

_ROUNDS = 10
_PAUSE_SECONDS, _PAUSE_TO_WORK = 2.0, 25
"""How long a sink may hold entries of metrics.json back: a second, or twenty times what rewriting the file takes."""


class Forgotten(Struct):
    """How much was forgotten, or would be: of the store by kind, of the files beside it by path.

    `lines` are those that were no whole record. `left` are files that could not be looked into, and why.
    """

    queries: int = 0
    calls: int = 0
    selections: int = 0
    lines: int = 0
    entries: dict[str, int] = field(default_factory=dict[str, int])
    left: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def total(self) -> int:
        """Records and entries together."""
        return self.queries + self.calls + self.selections + self.lines + sum(self.entries.values())


class _Found(Struct):
    """One look at everything: what goes, where, and which rows of which compacted file."""

    told: Forgotten = field(default_factory=Forgotten)
    erasure: Erasure = field(default_factory=Erasure)
    rows: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def count(self, head: Head) -> None:
        """Count a line by its kind."""
        if head.type == "call":
            self.told.calls += 1
        elif head.type == "selection":
            self.told.selections += 1
        elif head.t is None or head.type is not None:
            self.told.lines += 1
        else:
            self.told.queries += 1


def preview(directory: str | Path, wanted: Wanted, beside: Iterable[Path] = ()) -> Forgotten:
    """Count what `forget` would take, and change nothing."""
    store = Path(directory)
    return _find(store, layout.list_days(store), wanted, list(beside)).told


def forget(directory: str | Path, wanted: Wanted, beside: Iterable[Path] = ()) -> Forgotten:
    """Take out what is wanted, of the store and of the metrics.json and metrics.csv `beside` it.

    Killed at any moment it has done nothing yet, or the next compaction, repair or forgetting does the rest. Raises
    StoreError when there is no store, another such command runs, or the disk fails.
    """
    store, files = Path(directory), list(beside)
    layout.check_directory(store)
    told = Forgotten()
    with layout.upkeep(store):
        erasure_journal.finish(store)
        days = layout.list_days(store)
        _tidy(store, days)
        for _ in range(_ROUNDS):  # of what is written meanwhile
            found = _find(store, layout.list_days(store), wanted, files)
            told = together(told, found.told)
            if not found.told.total:
                break
            _rewrite_compacted(store, found)
            began = time.monotonic()
            erasure_journal.erase(store, found.erasure)
            _await_sinks(wanted, files, time.monotonic() - began)
    return told


def whole_ids(directory: str | Path, given: Iterable[str]) -> list[str]:
    """Ids of queries in the store out of their beginnings; what begins none is an id of its own.

    Raises UsageError when several queries' ids begin so.
    """
    with open_store(directory) as tables:
        return [_whole_id(tables, each.strip()) for each in given]


def _whole_id(tables: Tables, given: str) -> str:
    if not given:
        raise UsageError("an empty id names no query; `metrics queries` lists the ids")
    statement = "SELECT query_id FROM queries WHERE starts_with(lower(query_id), $given) ORDER BY ALL LIMIT 6"
    found = [query_id for (query_id,) in tables.rows(statement, {"given": given.lower()})]
    if len(found) > 1 and found[0].lower() != given.lower():
        raise UsageError(f"several queries' ids begin with {given!r}: {', '.join(found[:5])}; give more of the id")
    return found[0] if found else given


def _tidy(store: Path, days: list[Day]) -> None:
    with closing(connect()) as connection:
        for day in days:
            layout.tidy(store, day)
            compaction.remove_replaced(connection, day)


def together(first: Forgotten, second: Forgotten) -> Forgotten:
    """The sum of two."""
    paths = first.entries | second.entries
    return Forgotten(
        first.queries + second.queries,
        first.calls + second.calls,
        first.selections + second.selections,
        first.lines + second.lines,
        {path: first.entries.get(path, 0) + second.entries.get(path, 0) for path in paths},
        first.left | second.left,
    )


def _await_sinks(wanted: Wanted, files: list[Path], worked: float) -> None:
    """Wait until a living process has brought what it holds of these queries to metrics.json."""
    if any(path.exists() for path in files):
        ready = wanted.newest / 1e6 + _PAUSE_SECONDS + _PAUSE_TO_WORK * worked
        time.sleep(min(max(0.0, ready - time.time()), _PAUSE_SECONDS + _PAUSE_TO_WORK * worked))


def _find(store: Path, days: list[Day], wanted: Wanted, files: list[Path]) -> _Found:
    """Look at everything, again and again until no query is added by what is inside another."""
    while True:
        known = len(wanted.ids)
        found = _look(store, days, wanted, files)
        if len(wanted.ids) == known:
            found.erasure.ids = sorted(wanted.ids)
            return found


def _look(store: Path, days: list[Day], wanted: Wanted, files: list[Path]) -> _Found:
    found = _Found()
    try:
        with closing(connect()) as connection:
            for day in days:
                names = (*line_tables.live_names(connection, day), *day.unreadable)
                for file in [day.folder / name for name in names]:
                    _look_at_lines(store, file, wanted, found)
                _look_at_compacted(connection, day, wanted, found)
    except (OSError, duckdb.IOException) as error:
        raise StoreError(store, f"the store cannot be read: {reason(error)}") from None
    for file in layout.set_aside_files(store):
        _look_at_aside(store, file, wanted, found)
    for path in files:
        _look_beside(path, wanted, found)
    return found


def _look_at_lines(store: Path, file: Path, wanted: Wanted, found: _Found) -> None:
    places = []
    for place, line in erasure_journal.settled_lines(file):
        if head := wanted.takes_line(line):
            places.append(place)
            found.count(head)
    if places:
        found.erasure.blanks[str(file.relative_to(store))] = places


def _look_at_aside(store: Path, file: Path, wanted: Wanted, found: _Found) -> None:
    if file.suffix == layout.PARQUET_SUFFIX:
        found.told.left[str(file)] = "set aside as damaged, it cannot be looked into; remove it if it may hold any"
    else:
        _look_at_lines(store, file, wanted, found)


def _look_beside(path: Path, wanted: Wanted, found: _Found) -> None:
    try:
        going = [entry.content for entry in kept_files.entries(path) if wanted.takes_entry(entry)]
    except FileNotFoundError:
        return
    except kept_files.UnreadableError:
        found.told.left[str(path)] = "it is no metrics.json that can be read"
        return
    for aside in sorted(path.parent.glob(f"{path.name}.unreadable-*")):
        found.told.left[str(aside)] = "set aside as unreadable, it cannot be looked into; remove it if it may hold any"
    if going:
        found.told.entries[str(path)] = len(going)
        found.erasure.documents.append(str(path.absolute()))
        found.erasure.digests += [kept_files.digest(content) for content in going]


# -- compacted files -------------------------------------------------------------------------------------------------


def _look_at_compacted(connection: duckdb.DuckDBPyConnection, day: Day, wanted: Wanted, found: _Found) -> None:
    compacted = [str(day.folder / name) for name in day.compacted]
    readable = line_tables.readable_files(connection, compacted)
    for file in compacted:
        if file not in readable:
            found.told.left[file] = "it is no Parquet file that can be read; metrics doctor --fix sets it aside"
            continue
        rows = []
        for row, line in candidates(connection, file, wanted):
            if head := wanted.takes_line(line.encode()):
                rows.append(row)
                found.count(head)
        if rows:
            found.rows[file] = rows


def candidates(connection: duckdb.DuckDBPyConnection, file: str, wanted: Wanted) -> list[tuple[int, str]]:
    """The rows of a compacted file that may go, each as the line it was."""
    known = [name for name in line_tables.columns_of(connection, [file]) if name in columns.COLUMNS]
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE wanted AS SELECT unnest($ids::VARCHAR[]) AS id", {"ids": list(wanted.ids)}
    )
    text = ", ".join(
        f"{name}: {name}" for name in known if name not in ("t", "i", "d", "type", "o", "dropped", "problems")
    )
    says = f"OR contains(nfc_normalize(lower(CAST(to_json({{{text}}}) AS VARCHAR))), $text)" if wanted.text else ""
    statement = f"""
        SELECT file_row_number, CAST(to_json({{{", ".join(f"{name}: {name}" for name in known)}}}) AS VARCHAR)
        FROM (SELECT {columns.of_compacted(known)}, file_row_number
            FROM {columns.read_numbered(file)})
        WHERE parent IN (SELECT id FROM wanted)
            OR (type IS NULL AND {views.QUERY_ID} IN (SELECT id FROM wanted)) {says}"""
    return connection.execute(statement, {"text": wanted.escaped} if wanted.text else {}).fetchall()


def _rewrite_compacted(store: Path, found: _Found) -> None:
    """Write what stays of compacted files to new ones, which take their place when all is written down."""
    for name, rows in found.rows.items():
        file = Path(name)
        new = file.with_name(layout.ERASING + file.name)
        try:
            if rewrite(file, new, rows):
                found.erasure.renames[str(new.relative_to(store))] = str(file.relative_to(store))
            else:
                found.erasure.removals.append(str(file.relative_to(store)))
        except (OSError, duckdb.Error) as error:
            new.unlink(missing_ok=True)
            raise StoreError(file, f"nothing was forgotten: {reason(error)}") from None


def rewrite(file: Path, new: Path, rows: list[int]) -> bool:
    """Write a compacted file without some of its rows; returns False, and writes none, if no other is in it."""
    with closing(connect()) as connection:
        source = columns.read_numbered(str(file))
        connection.execute("SET preserve_insertion_order = true")
        connection.execute("CREATE TABLE going AS SELECT unnest($rows::BIGINT[]) AS row", {"rows": rows})
        stays = "file_row_number NOT IN (SELECT row FROM going)"
        [(left,)] = connection.execute(f"SELECT count(*) FROM {source} WHERE {stays}").fetchall()
        if left:
            kept = f"SELECT * EXCLUDE (file_row_number) FROM {source} WHERE {stays}"
            compaction.copy_compacted(connection, kept, new, line_tables.replaced_by(connection, file))
    return bool(left)
