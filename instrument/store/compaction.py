"""Closed days into compacted files, expired days away.

At any kill every record is there exactly once. What replaces segments names them (and how long they were) in its own
metadata, and comes to its name by a rename: before it, readers see the segments; after it, they pass over those it
names, until they are deleted. The next compaction tidies up what a killed one left.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument.errors import StoreError
from instrument.store import columns, layout, loading, unreadable
from instrument.store.engine import duckdb
from instrument.store.layout import Day
from instrument.store.reading import connect

GRACE = timedelta(minutes=10)
"""How long after its end a day may still be written to: a batch that began before midnight, a clock a little late."""

_LOCK = ".compacting"


class Compaction(Struct):
    """What a compaction did; sizes are bytes of the files it replaced and of those it wrote.

    `left` names what it did not touch though its day was over, and why. `set_aside` counts unreadable lines.
    """

    days: list[str] = field(default_factory=list[str])
    segments: int = 0
    queries: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    set_aside: int = 0
    expired: list[str] = field(default_factory=list[str])
    left: dict[str, str] = field(default_factory=dict[str, str])


def compact(directory: str | Path, *, now: datetime, retention_days: int) -> Compaction:
    """Compact every day that is over, and drop the days that ended more than `retention_days` before `now`.

    Raises StoreError when there is no store, another compaction runs, or the disk does not take it.
    """
    path = Path(directory)
    done = Compaction()
    layout.check_directory(path)
    with layout.alone(path, _LOCK, "another compaction is running; wait for it to end"):
        for day in layout.list_days(path):
            try:
                if day.end <= now - timedelta(days=retention_days):
                    _expire(day, done)
                elif day.end + GRACE <= now:
                    _compact_day(day, done)
            except PermissionError as error:
                done.left[error.filename or str(day.folder)] = "permission denied"
            except (duckdb.IOException, OSError) as error:
                raise StoreError(
                    day.folder, f"this day cannot be compacted, nothing is lost: {layout.told(error)}"
                ) from None
    return done


def _expire(day: Day, done: Compaction) -> None:
    if day.folder.is_symlink():
        done.left[str(day.folder)] = "a symbolic link is not followed to delete"
        return
    for name in (*day.segments, *day.compacted, *day.unreadable, *_ours(day)):
        (day.folder / name).unlink(missing_ok=True)
    try:
        day.folder.rmdir()
    except OSError:
        done.left[str(day.folder)] = "expired, but there are files of somebody else in it"
    else:
        done.expired.append(day.day.isoformat())


def _ours(day: Day) -> list[str]:
    return [name for name in day.leftovers if name.startswith(layout.TEMPORARY)]


def _compact_day(day: Day, done: Compaction) -> None:
    for name in _ours(day):
        (day.folder / name).unlink()
    connection = connect()
    try:
        if day.compacted:
            _remove_replaced(day, loading.replaced_segments(connection, day))
        segments = loading.live_names(connection, day)
        if segments:
            _replace(connection, day, segments, done)
    finally:
        connection.close()


def _replace(connection: duckdb.DuckDBPyConnection, day: Day, segments: list[str], done: Compaction) -> None:
    sizes = {name: os.stat(day.folder / name).st_size for name in segments}
    skipped = loading.load_segments(connection, [str(day.folder / name) for name in segments], "true")
    for file, count in skipped.items():
        unreadable.set_aside(connection, Path(file), count)
    written = day.folder / f"{segments[0].partition('-')[0]}-{_fingerprint(sizes)}{layout.PARQUET_SUFFIX}"
    usable = f"SELECT {columns.NAMES} FROM segment_lines WHERE {columns.USABLE}"
    write_compacted(connection, usable, written, sizes)
    _remove_replaced(day, sizes)
    done.days.append(day.day.isoformat())
    done.segments += len(segments)
    done.queries += _count_queries(connection)
    done.bytes_before += sum(sizes.values())
    done.bytes_after += os.stat(written).st_size
    done.set_aside += sum(skipped.values())


def _fingerprint(sizes: dict[str, int]) -> str:
    return hashlib.blake2s(msgspec.json.encode(sizes), digest_size=8).hexdigest()


def write_compacted(
    connection: duckdb.DuckDBPyConnection, source: str, file: Path, replaces: dict[str, int] | None = None
) -> None:
    """Write the lines that a SELECT gives to a compacted file, by start, whole or not at all."""
    temporary = file.with_name(layout.TEMPORARY + file.name)
    names = columns.literal(msgspec.json.encode(replaces or {}).decode())
    try:
        connection.execute(
            f"COPY ({source} ORDER BY t) TO {columns.literal(str(temporary))}"
            f" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{loading.REPLACES}: {names}}})"
        )
        os.chmod(temporary, 0o600)
        layout.sync_file(temporary)
        os.rename(temporary, file)
    except (duckdb.Error, OSError):
        temporary.unlink(missing_ok=True)
        raise
    layout.sync_directory(file.parent)


def _remove_replaced(day: Day, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        segment = day.folder / name
        try:
            if os.stat(segment).st_size > size:
                _rescue_tail(segment, size)
            segment.unlink()
        except FileNotFoundError:
            continue


def _rescue_tail(segment: Path, size: int) -> None:
    """Keep what a writer, held up beyond all grace, has appended since the segment was read.

    The name is always the same, so doing it twice, for a kill between the two steps, keeps it once.
    """
    with open(segment, "rb") as stream:
        stream.seek(size)
        tail = stream.read()
    layout.write_file(segment.with_name(f"{segment.stem}-from-{size}{layout.SEGMENT_SUFFIX}"), [tail])


def _count_queries(connection: duckdb.DuckDBPyConnection) -> int:
    statement = f"SELECT count(*) FROM segment_lines WHERE type IS NULL AND {columns.USABLE}"
    return int(connection.execute(statement).fetchall()[0][0])
