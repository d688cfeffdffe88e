"""Closed days into compacted files, expired days away.

At any kill every record is there exactly once. What replaces segments names them (and how long they were) in its own
metadata, and comes to its name by a rename: before it, readers see the segments; after it, they pass over those it
names, until they are deleted. The next compaction tidies up what a killed one left.

Memory is bounded by the part of a day that is sorted at a time, not by the day.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument import access
from instrument.errors import StoreError
from instrument.files import TEMPORARY, open_private, reason, sync_directory, sync_file, write_file
from instrument.rows import columns
from instrument.store import cursors, layout, line_tables
from instrument.store.cursors import Registered
from instrument.store.engine import duckdb
from instrument.store.layout import Day
from instrument.store.tables import connect
from instrument.store.upkeep import erasure_journal, unreadable

GRACE = timedelta(minutes=10)
"""How long after its end a day may still be written to: a batch that began before midnight, a clock a little late."""

PART_BYTES = 64 << 20
"""Bytes of segments that are sorted at a time, which is no slower than a whole day at once."""

MEMORY, MOST_MEMORY = "300MB", "1GB"
"""What DuckDB may take for a part, and where records are so large that this is too little. The process has some 100 MB
beside it."""

_TRIES = 3

_PLACED_NAMES = f"{columns.NAMES}, {columns.SEGMENT}, {columns.PLACE}"


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


class _GrownError(Exception):
    """A segment was written to while it was read."""


def compact(
    directory: str | Path, *, now: datetime, retention_days: int, cursor_days: int = cursors.CURSOR_DAYS
) -> Compaction:
    """Compact every day that is over, and drop the days that ended more than `retention_days` before `now`.

    A day of which a registered cursor has not read all is left, unless nobody has followed from it for `cursor_days`.

    Raises StoreError when there is no store, another compaction runs, or the disk does not take it.
    """
    path = Path(directory)
    done = Compaction()
    layout.check_directory(path)
    with layout.upkeep(path):
        erasure_journal.finish(path)
        followers = cursors.registered(path, now=now, cursor_days=cursor_days)
        kept_from = layout.days_before(now, retention_days)
        for day in layout.set_aside_days(path):
            if day.end <= kept_from:
                _expire_aside(day)
        for day in layout.list_days(path):
            try:
                if day.end <= kept_from:
                    _expire(path, day, done)
                elif day.end + GRACE <= now:
                    _compact_day(path, day, followers, done)
            except PermissionError as error:
                done.left[error.filename or str(day.folder)] = "permission denied"
            except (duckdb.IOException, OSError) as error:
                raise StoreError(
                    day.folder, f"this day cannot be compacted, nothing is lost: {reason(error)}"
                ) from None
    return done


def _expire(directory: Path, day: Day, done: Compaction) -> None:
    if day.folder.is_symlink():
        done.left[str(day.folder)] = "a symbolic link is not followed to delete"
        return
    layout.tidy(directory, day)
    for name in (*day.segments, *day.compacted, *day.unreadable):
        (day.folder / name).unlink(missing_ok=True)
    try:
        day.folder.rmdir()
    except OSError:
        done.left[str(day.folder)] = "expired, but there are files of somebody else in it"
    else:
        done.expired.append(day.day.isoformat())


def _expire_aside(day: Day) -> None:
    with suppress(OSError):  # what is somebody else's keeps the folder
        for file in list(day.folder.iterdir()):
            file.unlink()
        day.folder.rmdir()


def _compact_day(directory: Path, day: Day, followers: list[Registered], done: Compaction) -> None:
    layout.tidy(directory, day)
    with closing(connect(MEMORY)) as connection:
        remove_replaced(connection, day)
        segments = line_tables.live_names(connection, day)
    if waiting := cursors.holding(directory, day, segments, followers):
        done.left[str(day.folder)] = f"not all of it was read yet by {', '.join(waiting)}"
    elif segments and not any(_replaced(day, segments, done) for _ in range(_TRIES)):
        done.left[str(day.folder)] = "it is still being written to"


def remove_replaced(connection: duckdb.DuckDBPyConnection, day: Day) -> None:
    """Remove what a killed compaction left of the segments that it had replaced."""
    if day.compacted and day.segments:
        _remove_replaced(day, line_tables.replaced_segments(connection, day))


def _replaced(day: Day, segments: list[str], done: Compaction) -> bool:
    try:
        _replace(day, segments, done)
    except _GrownError:
        return False
    return True


def _replace(day: Day, segments: list[str], done: Compaction) -> None:
    sizes = {name: os.stat(day.folder / name).st_size for name in segments}
    written = day.folder / f"{segments[0].partition('-')[0]}-{_fingerprint(sizes)}{layout.PARQUET_SUFFIX}"
    seen = _write(day, list(_parts(sizes)), written, sizes)
    _remove_replaced(day, sizes)
    done.days.append(day.day.isoformat())
    done.segments += len(segments)
    done.queries += sum(part.queries for part in seen)
    done.set_aside += sum(sum(part.unreadable.values()) for part in seen)
    done.bytes_before += sum(sizes.values())
    done.bytes_after += os.stat(written).st_size


def _parts(sizes: dict[str, int]) -> Iterator[list[str]]:
    """The segments, oldest first, in parts that are small enough; one that is larger is a part of its own."""
    part: list[str] = []
    bytes_left = PART_BYTES
    for name, size in sizes.items():
        if part and size > bytes_left:
            yield part
            part, bytes_left = [], PART_BYTES
        part.append(name)
        bytes_left -= size
    yield part


def _write(day: Day, parts: list[list[str]], written: Path, sizes: dict[str, int]) -> list[line_tables.Look]:
    """Write the lines of segments, sorted; where there are several parts, each to a file of its own first.

    What is an hour's stands in one part or two, so that the whole is sorted well enough to pass over most of it.
    """
    if len(parts) == 1:
        with closing(connect()) as connection, _numbered_lines(connection, day, parts[0]) as (seen, source):
            write_compacted(connection, source, written, sizes, in_order=True)
        return [seen]
    files = [day.folder / f"{TEMPORARY}part-{number}" for number in range(len(parts))]
    try:
        looks = [_write_part(day, part, file) for part, file in zip(parts, files, strict=True)]
        with closing(connect(MEMORY)) as connection:
            connection.execute("SET preserve_insertion_order = true")
            source = f"SELECT {_PLACED_NAMES} FROM {columns.read_compacted([str(file) for file in files])}"
            write_compacted(connection, source, written, sizes, in_order=True)
        return looks
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _write_part(day: Day, segments: list[str], file: Path, memory: str = MEMORY) -> line_tables.Look:
    try:
        with closing(connect(memory)) as connection, _numbered_lines(connection, day, segments) as (seen, source):
            connection.execute(f"COPY ({source}) TO {columns.literal(str(file))} (FORMAT parquet, COMPRESSION snappy)")
        access.fit(file, file.parent)
        return seen
    except duckdb.OutOfMemoryException:  # records of megabytes: few of them fill it
        if memory != MEMORY:
            raise
        return _write_part(day, segments, file, MOST_MEMORY)


@contextmanager
def _numbered_lines(
    connection: duckdb.DuckDBPyConnection, day: Day, segments: list[str]
) -> Iterator[tuple[line_tables.Look, str]]:
    """What there is in segments, and the SELECT that gives it by start; what cannot be read is set aside here.

    DuckDB does not say where in a file a line stood. So it reads copies whose lines say it themselves, which are
    removed afterwards.
    """
    seen = line_tables.look(connection, [str(day.folder / name) for name in segments])
    for file in seen.unreadable:
        unreadable.set_aside(connection, Path(file))
    copies = {file: str(Path(file).with_name(TEMPORARY + Path(file).name)) for file in seen.files}
    try:
        for file, copy in copies.items():
            _copy_with_places(file, copy)
        later = [copies[file] for file in seen.later]
        yield seen, _select_sorted(list(copies.values()), later)
    finally:
        for copy in copies.values():
            Path(copy).unlink(missing_ok=True)


def _copy_with_places(file: str, copy: str) -> None:
    with open(file, "rb") as source, open_private(Path(copy)) as target:
        place = 0
        for line in source:
            target.write(columns.placed(line, place))
            place += len(line)


def _select_sorted(copies: list[str], later: list[str]) -> str:
    segment = f"substr(parse_filename(filename), {len(TEMPORARY) + 1}) AS {columns.SEGMENT}"
    names = f"{columns.NAMES}, {segment}, {columns.PLACE}"
    longest = columns.LONGEST_PLACED
    source = columns.read_segments(copies, {columns.PLACE: "BIGINT"}, longest)
    lines = f"SELECT {names} FROM {source} WHERE {columns.USABLE}"
    if later:
        unknown = columns.read_later(later, longest)
        lines = (
            f"{lines} AND {columns.LATER} IS NOT true UNION ALL SELECT {names} FROM ({unknown}) WHERE {columns.USABLE}"
        )
    return f"FROM ({lines}) ORDER BY t"


def _fingerprint(sizes: dict[str, int]) -> str:
    return hashlib.blake2s(msgspec.json.encode(sizes), digest_size=8).hexdigest()


def write_compacted(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    file: Path,
    replaces: dict[str, int] | None = None,
    *,
    in_order: bool = False,
) -> None:
    """Write the lines that a SELECT gives to a compacted file, by start, whole or not at all.

    With `in_order` they are taken as they come.
    """
    temporary = file.with_name(TEMPORARY + file.name)
    ordered = source if in_order else f"{source} ORDER BY t"
    try:
        copy_compacted(connection, ordered, temporary, replaces or {})
        _check_unchanged(file.parent, replaces or {})
        os.rename(temporary, file)
    except (duckdb.Error, OSError, _GrownError):
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def copy_compacted(connection: duckdb.DuckDBPyConnection, source: str, file: Path, replaces: dict[str, int]) -> None:
    """Write what a SELECT gives to a compacted file, and bring it to the disk."""
    names = columns.literal(msgspec.json.encode(replaces).decode())
    connection.execute(
        f"COPY ({source}) TO {columns.literal(str(file))}"
        f" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{line_tables.REPLACES}: {names}}})"
    )
    access.fit(file, file.parent)
    sync_file(file)


def _check_unchanged(folder: Path, sizes: dict[str, int]) -> None:
    if any(os.stat(folder / name).st_size != size for name, size in sizes.items()):
        raise _GrownError


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
    """Keep what a writer, held up beyond all grace, has appended since the segment was replaced.

    The name is always the same, so doing it twice, for a kill between the two steps, keeps it once.
    """
    with open(segment, "rb") as stream:
        stream.seek(size)
        tail = stream.read()
    write_file(segment.with_name(f"{segment.stem}-from-{size}{layout.SEGMENT_SUFFIX}"), [tail])
