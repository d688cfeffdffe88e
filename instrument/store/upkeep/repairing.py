"""What cannot be read out of the way: into a folder of its own in the store, so that everything else is read in peace.

Unreadable lines are copied there and blanked in their segment, beside whoever appends to it. A damaged compacted file
goes there whole, and what can still be read of it is written to one that takes its place. Nothing is thrown away but
what a killed process left half-written and will write again. Doing it twice, or once more after a kill, changes nothing
further; retention drops the folder's days as it drops the store's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct, field

from instrument.errors import StoreError
from instrument.files import make_directory, reason, sync_directory, write_file
from instrument.rows import columns
from instrument.store import layout, line_tables
from instrument.store.engine import duckdb
from instrument.store.layout import Day
from instrument.store.tables import connect
from instrument.store.upkeep import compaction, erasure_journal, unreadable
from instrument.store.upkeep.erasure_journal import Erasure

_LOOKS = 3


class Repair(Struct):
    """What a repair did.

    `lines` were set aside, by the file they stood in; `files` were set aside whole, `saved` says how many records of
    which were read out of them before. `finished` is whether something was left half erased, `leftovers` how many
    half-written files were removed, `left` what could not be mended, and why.
    """

    lines: dict[str, int] = field(default_factory=dict[str, int])
    files: list[str] = field(default_factory=list[str])
    saved: dict[str, int] = field(default_factory=dict[str, int])
    finished: bool = False
    leftovers: int = 0
    left: dict[str, str] = field(default_factory=dict[str, str])


def repair(directory: str | Path) -> Repair:
    """Set aside what cannot be read, and finish what was killed half-way.

    Raises StoreError when there is no store, a compaction or another such command runs, or the disk fails.
    """
    store, done = Path(directory), Repair()
    layout.check_directory(store)
    with layout.upkeep(store):
        done.finished = erasure_journal.finish(store)
        for day in layout.list_days(store):
            try:
                _repair_day(store, day, done)
            except PermissionError as error:
                done.left[error.filename or str(day.folder)] = "permission denied"
            except (duckdb.IOException, OSError) as error:
                raise StoreError(day.folder, f"this day cannot be mended: {reason(error)}") from None
    return done


def _repair_day(store: Path, day: Day, done: Repair) -> None:
    done.leftovers += layout.tidy(store, day)
    with closing(connect()) as connection:
        compaction.remove_replaced(connection, day)
        segments = [str(day.folder / name) for name in line_tables.live_names(connection, day)]
        for name in day.unreadable:
            _move(store, day.folder / name, done)
        for name in day.compacted:
            _check_compacted(connection, store, day.folder / name, done)
        for _ in range(_LOOKS):
            if not _set_aside_lines(connection, store, segments, done):
                break


# -- lines -----------------------------------------------------------------------------------------------------------


def _set_aside_lines(connection: duckdb.DuckDBPyConnection, store: Path, segments: list[str], done: Repair) -> bool:
    """Set aside the unreadable lines of segments; returns whether there were any."""
    segments = [segment for segment in segments if os.path.exists(segment)]
    aside = [
        _set_aside_lines_of(connection, store, Path(segment), done)
        for segment in line_tables.look(connection, segments).unreadable
    ]
    return any(aside)


def _set_aside_lines_of(connection: duckdb.DuckDBPyConnection, store: Path, segment: Path, done: Repair) -> bool:
    lines = unreadable.lines_beside_writer(connection, segment)
    if not lines:
        return False
    # Named by the first line's place, so that doing it again after a kill writes the same file.
    target = _folder(store, segment) / f"{segment.name}-{lines[0][0][0]}{layout.UNREADABLE_SUFFIX}"
    write_file(target, (line + b"\n" for _, line in lines))
    erasure_journal.erase(store, Erasure(blanks={str(segment.relative_to(store)): [place for place, _ in lines]}))
    done.lines[str(segment)] = done.lines.get(str(segment), 0) + len(lines)
    return True


# -- files -----------------------------------------------------------------------------------------------------------


def _folder(store: Path, file: Path) -> Path:
    folder = store / layout.SET_ASIDE / file.parent.name
    make_directory(folder.parent, inside=True)
    make_directory(folder, inside=True)
    return folder


def _move(store: Path, file: Path, done: Repair) -> None:
    folder = _folder(store, file)
    os.rename(file, _free(folder / file.name, file))
    sync_directory(folder)
    done.files.append(str(file))


def _free(aside: Path, file: Path) -> Path:
    """The name, with a number where another file has it."""
    number, free = 1, aside
    while os.path.lexists(free) and not os.path.samefile(free, file):
        number += 1
        free = aside.with_name(f"{aside.stem}-{number}{aside.suffix}")
    return free


def _check_compacted(connection: duckdb.DuckDBPyConnection, store: Path, file: Path, done: Repair) -> None:
    if not line_tables.readable_files(connection, [str(file)]):
        _move(store, file, done)
    elif not _can_be_read(connection, file):
        _save_what_is_left(store, file, done)


def _can_be_read(connection: duckdb.DuckDBPyConnection, file: Path, rows: str = "true") -> bool:
    try:
        _read_through(connection, file, rows)
    except duckdb.IOException:
        raise
    except duckdb.Error:
        return False
    return True


def _read_through(connection: duckdb.DuckDBPyConnection, file: Path, rows: str) -> None:
    every = f"(SELECT * FROM {columns.read_numbered(str(file))} WHERE {rows})"
    connection.execute(f"SELECT bit_xor(hash(line)) FROM {every} AS line").fetchall()


def _save_what_is_left(store: Path, file: Path, done: Repair) -> None:
    """Write the row groups that can still be read to a new file, and let it take the damaged one's place."""
    with closing(connect()) as connection:
        readable = [rows for rows in _row_groups(connection, file) if _can_be_read(connection, file, rows)]
        saved = _save(connection, file, readable) if readable else 0
    if not saved:
        _move(store, file, done)
        return
    aside = _free(_folder(store, file) / file.name, file)
    if not aside.exists():
        _link(file, aside)
    os.rename(file.with_name(layout.ERASING + file.name), file)
    sync_directory(file.parent)
    done.files.append(str(file))
    done.saved[str(file)] = saved


def _save(connection: duckdb.DuckDBPyConnection, file: Path, readable: list[str]) -> int:
    new = file.with_name(layout.ERASING + file.name)
    source = columns.read_numbered(str(file))
    kept = " UNION ALL ".join(f"SELECT * EXCLUDE (file_row_number) FROM {source} WHERE {rows}" for rows in readable)
    compaction.copy_compacted(connection, kept, new, line_tables.replaced_by(connection, file))
    [(saved,)] = connection.execute(f"SELECT count(*) FROM {columns.read_compacted([str(new)])}").fetchall()
    return int(saved)


def _link(file: Path, aside: Path) -> None:
    try:
        os.link(file, aside)
    except OSError:  # a file system without hard links
        write_file(aside, [file.read_bytes()])
    sync_directory(aside.parent)


def _row_groups(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[str]:
    statement = f"SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata({columns.paths([str(file)])})"
    start = 0
    for _, count in sorted(connection.execute(statement).fetchall()):
        yield f"file_row_number BETWEEN {start} AND {start + count - 1}"
        start += count
