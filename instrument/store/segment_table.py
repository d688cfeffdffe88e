"""The lines of open segments in a table that grows with them.

Sizes are taken first, and each segment is read up to its size at that time: what a writer appends meanwhile comes the
next time, and no line comes twice.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, NamedTuple

from instrument.errors import StoreError
from instrument.files import reason
from instrument.outside_counts import Counts
from instrument.rows import columns
from instrument.rows.stored import LONGEST_LINE
from instrument.store import line_tables
from instrument.store.engine import duckdb

STILL_SECONDS = 2.0
"""When a segment has not been written to for so long, a last line without its end is taken as it is."""

_BATCH = 32 << 20
"""Bytes of lines that are read at a time.

Smaller batches cost more, as more lines are compressed twice: of 8 MB, 5.2 s of processor time against 4.4 for 269,000
queries."""

_BLOCK = 1 << 20
"""Bytes that are copied at a time."""

_LEAST_LOOSE, _MOST_LOOSE = 5000, 60_000
"""Rows that may lie in the table uncompressed: a fifth of all within these limits, as compressing goes through all."""


class ChangedError(Exception):
    """A segment is not any more what was read of it: the table is to be made anew."""


class _Read(NamedTuple):
    """How far a segment was read. `is_ragged`: the last line that was read lacked its end."""

    inode: int
    end: int
    is_ragged: bool


class _Piece(NamedTuple):
    """Some lines of a segment, and how far it was read with them."""

    file: str
    lines: bytes
    read: _Read


class SegmentTable:
    """A table of lines, in the columns of `columns.NAMES`.

    `rows` is how many lines it has: those with a `rowid` below it. Lines only come; so who remembers the number sees
    the same lines however long the table grows. Unreadable ones are among them as NULLs, and counted in `unreadable`
    by file. `endless` are files that have a line longer than any of ours: nothing is read of them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, endless: set[str]) -> None:
        self.name = name
        self.rows = 0
        self.unreadable: dict[str, int] = {}
        self.endless = endless
        self._connection = connection
        self._read: dict[str, _Read] = {}
        self._loose = 0
        connection.execute(f"CREATE TABLE {name} ({columns.DEFINITIONS})")

    def add_outside(self, outside: Iterable[Counts]) -> None:
        """Add what processes dropped and could not say in the store."""
        line_tables.add_outside_counts(self._connection, outside, "true", self.name)
        self._count()

    def catch_up(self, segments: list[str]) -> None:
        """Read what is new in these segments, which are all that there are.

        Raises ChangedError when one of before is gone, was cut or is another file; FileNotFoundError when one of these
        has gone meanwhile.
        """
        found = {file: os.stat(file) for file in segments if file not in self.endless}
        self.unreadable |= dict.fromkeys(self.endless.intersection(segments), 1)
        for file, read in self._read.items():
            _check(found.get(file), read)
        grown = {file: seen for file, seen in found.items() if seen.st_size > self._end(file)}
        whole = {file: seen for file, seen in grown.items() if file not in self._read and _is_still(seen)}
        self._read_whole(whole)
        self._read_growth({file: seen for file, seen in grown.items() if file not in whole})
        self._compress(_LEAST_LOOSE)

    def drop(self) -> None:
        """Let go of the lines."""
        self._connection.execute(f"DROP TABLE IF EXISTS {self.name}")

    def _end(self, file: str) -> int:
        read = self._read.get(file)
        return 0 if read is None else read.end

    def _read_whole(self, found: dict[str, os.stat_result]) -> None:
        """Read segments that nobody writes to, out of a copy of many at a time.

        DuckDB takes 4 ms for each file that it opens, as it clears a buffer of 32 MB: as long as for 600 lines.
        """
        for files in _batches([(file, seen.st_size) for file, seen in found.items()]):
            with _few_files(files) as copies:
                unreadable = self._insert(copies, files)
            for file in files:
                seen = found[file]
                now = os.stat(file)
                if (now.st_ino, now.st_size) != (seen.st_ino, seen.st_size):
                    raise ChangedError
                self._read[file] = _Read(seen.st_ino, seen.st_size, _lacks_its_end(file))
            if unreadable:
                self.unreadable |= line_tables.look(self._connection, files).unreadable

    def _read_growth(self, found: dict[str, os.stat_result]) -> None:
        """Read what segments were appended, out of a copy: they may grow while it is read."""
        batch: list[_Piece] = []
        for file, seen in found.items():
            for piece in _pieces(file, self._read.get(file), seen):
                if piece.read.is_ragged and len(piece.lines) > LONGEST_LINE:
                    self.endless.add(file)
                    raise ChangedError
                batch.append(piece)
                if sum(len(one.lines) for one in batch) >= _BATCH:
                    self._insert_pieces(batch)
                    batch = []
        if batch:
            self._insert_pieces(batch)

    def _insert_pieces(self, batch: list[_Piece]) -> None:
        with _copied(one.lines for one in batch) as copy:
            unreadable = self._insert([copy], [one.file for one in batch])
        for one in batch:
            self._read[one.file] = one.read
            if unreadable:
                with _copied([one.lines]) as copy:
                    counted = sum(line_tables.look(self._connection, [copy]).unreadable.values())
                self.unreadable[one.file] = self.unreadable.get(one.file, 0) + counted

    def _insert(self, files: list[str], segments: list[str]) -> int:
        """Insert the lines of files, which come of those segments; returns how many are unreadable."""
        try:
            self._connection.execute(
                f"INSERT INTO {self.name} SELECT {columns.NAMES} FROM {columns.read_segments(files)}"
            )
        except duckdb.InvalidInputException:
            endless = {file for file in segments if line_tables.has_endless_line(file)}
            if not endless:
                raise
            self.endless |= endless
            raise ChangedError from None
        return self._count()

    def _count(self) -> int:
        """Count what was inserted; returns how many of these lines are unreadable."""
        statement = f"SELECT count(*), count(*) FILTER ({columns.USABLE} IS NOT true), max(rowid) FROM {self.name}"
        counted = self._connection.execute(f"{statement} WHERE rowid >= {self.rows}").fetchone()
        count, unreadable, last = counted or (0, 0, None)
        self.rows = self.rows if last is None else last + 1
        self._loose += count
        self._compress(4 * _LEAST_LOOSE)
        return int(unreadable)

    def _compress(self, least: int) -> None:
        if self._loose <= max(least, min(self.rows // 5, _MOST_LOOSE)):
            return
        with suppress(duckdb.TransactionException):  # somebody reads just now: the next time then
            self._connection.execute(f"CHECKPOINT {self.name.partition('.')[0]}")
            self._loose = 0


def _check(now: os.stat_result | None, read: _Read) -> None:
    if now is None or now.st_ino != read.inode or now.st_size < read.end:
        raise ChangedError
    if read.is_ragged and now.st_size > read.end:
        raise ChangedError


def _is_still(seen: os.stat_result) -> bool:
    return abs(time.time() - seen.st_mtime) > STILL_SECONDS


def _batches(sized: list[tuple[str, int]]) -> Iterator[list[str]]:
    """Files in lists of some megabytes each."""
    batch: list[str] = []
    left = _BATCH
    for file, size in sized:
        if batch and size > left:
            yield batch
            batch, left = [], _BATCH
        batch.append(file)
        left -= size
    if batch:
        yield batch


def _pieces(file: str, read: _Read | None, seen: os.stat_result) -> Iterator[_Piece]:
    """The lines of a segment behind what was read of it, up to its size as it was seen, some megabytes at a time."""
    start = 0 if read is None else read.end
    try:
        with open(file, "rb") as stream:
            if os.fstat(stream.fileno()).st_ino != seen.st_ino:
                raise ChangedError
            stream.seek(start)
            rest = b""
            while block := stream.read(min(_BATCH, seen.st_size - start - len(rest))):
                content = rest + block
                length = content.rfind(b"\n") + 1
                rest = content[length:]
                if len(rest) > LONGEST_LINE:
                    break
                if length:
                    start += length
                    yield _Piece(file, content[:length], _Read(seen.st_ino, start, False))
    except PermissionError as error:
        raise StoreError(file, f"it cannot be read: {reason(error)}") from None
    if rest and (_is_still(seen) or len(rest) > LONGEST_LINE):
        yield _Piece(file, rest + b"\n", _Read(seen.st_ino, start + len(rest), True))


def _lacks_its_end(file: str) -> bool:
    with open(file, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


@contextmanager
def _few_files(files: list[str]) -> Iterator[list[str]]:
    """The paths of files with the lines of all of these, as many as there are threads to read them."""
    number = min(8, os.cpu_count() or 1)
    if len(files) <= number:
        yield files
        return
    with ExitStack() as copies:
        yield [copies.enter_context(_one_after_the_other(files[place::number])) for place in range(number)]


@contextmanager
def _one_after_the_other(files: list[str]) -> Iterator[str]:
    """A temporary file with the lines of all of these, by its path."""
    with _temporary() as copy:
        for file in files:
            try:
                with open(file, "rb") as segment:
                    shutil.copyfileobj(segment, copy, _BLOCK)
            except PermissionError as error:
                raise StoreError(file, f"it cannot be read: {reason(error)}") from None
            copy.write(b"\n")  # its last line may lack its end; an empty line is none
        copy.flush()
        yield copy.name


@contextmanager
def _copied(contents: Iterable[bytes]) -> Iterator[str]:
    """A temporary file with these lines, by its path."""
    with _temporary() as copy:
        for content in contents:
            copy.write(content)
        copy.flush()
        yield copy.name


def _temporary() -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="agent-instrument-", suffix=".jsonl")
