"""metrics.json, kept up to date by any number of processes: a valid document at every moment.

The file is never edited: a new one, with the new entries before the lines that close its two lists, takes its name.
What is copied is not read again. As copying takes time, a file is rewritten at most once a second and for at most a
twentieth of the time; what waits is written by `flush` and `close`, and a second later at the earliest otherwise.

Calls outside a query and health have no place in it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from instrument import access, clocks
from instrument.interchange import metrics_json
from instrument.interchange.json_values import DAMAGED
from instrument.interchange.metrics_json import CLOSING, MIDDLE, OPENING, copy_bytes, listed
from instrument.rows import as_records
from instrument.rows.stored import AnyQuery, Row, SelectionRow

_SHORTEST_PAUSE = 1.0
_PAUSE_TO_WORK = 20
_COPY_SUFFIX = ".writing"


class JsonFileSink:
    """Keep a metrics.json up to date.

    `clock` gives seconds that never run backwards; tests pass their own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Callable[[], float] = clocks.seconds,
        *,
        file_mode: str = access.PRIVATE,
    ) -> None:
        self._path = Path(path)
        self._file_mode = file_mode
        self._clock = clock
        self._due = clock()
        self._queries: list[bytes] = []
        self._selections: list[bytes] = []

    def write(self, batch: Sequence[Row]) -> None:
        """Take the batch, and bring it to the file if that has not just been done; raises OSError when it cannot be."""
        queries, selections = _entries(batch)
        self._queries += queries
        self._selections += selections
        if self._clock() < self._due:
            return
        try:
            self._rewrite()
        except OSError:
            del self._queries[len(self._queries) - len(queries) :]
            del self._selections[len(self._selections) - len(selections) :]
            raise

    def flush(self) -> None:
        """Bring everything taken to the file; raises OSError when that cannot be."""
        self._rewrite()

    def due_in(self) -> float | None:
        """Seconds until the file may be rewritten again, if anything waits for that."""
        return max(0.0, self._due - self._clock()) if self._queries or self._selections else None

    def close(self) -> None:
        """Do the same, for good; harmless when repeated."""
        self.flush()

    def _rewrite(self) -> None:
        if not (self._queries or self._selections):
            return
        began = self._clock()
        insert(self._path, self._queries, self._selections, self._file_mode)
        self._queries, self._selections = [], []
        now = self._clock()
        self._due = now + max(_SHORTEST_PAUSE, _PAUSE_TO_WORK * (now - began))


def _entries(batch: Sequence[Row]) -> tuple[list[bytes], list[bytes]]:
    queries: list[bytes] = []
    selections: list[bytes] = []
    for row in batch:
        if isinstance(row, AnyQuery):
            query, selection = metrics_json.entries(as_records.query_record(row))
            queries.append(query)
            selections += [] if selection is None else [selection]
        elif isinstance(row, SelectionRow):
            selections.append(metrics_json.selection_entry(as_records.selection_record(row)))
    return queries, selections


def insert(path: Path, queries: list[bytes], selections: list[bytes], file_mode: str = access.PRIVATE) -> None:
    """Add entries to a metrics.json, making it if there is none; one that cannot be continued is set aside.

    Raises OSError when the file cannot be written; then it is as it was.
    """
    access.make_store(os.fspath(path.parent), file_mode)
    with _alone(path, file_mode):
        copy = path.with_name(path.name + _COPY_SUFFIX)
        try:
            with open(access.create(copy, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, file_mode), "wb") as target:
                _continue(path, target, queries, selections)
            os.rename(copy, path)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise


@contextmanager
def _alone(path: Path, file_mode: str) -> Iterator[None]:
    """Keep other processes from rewriting the file; the lock is a file beside it, as the file itself is replaced."""
    descriptor = access.create(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CLOEXEC, file_mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _continue(path: Path, target: BinaryIO, queries: list[bytes], selections: list[bytes]) -> None:
    """Write what is in the file, in our layout, and the new entries."""
    if not path.exists():
        _write(target, queries, selections)
        return
    with open(path, "rb") as source:
        joints = _joints(source)
        if joints is None:
            old_queries, old_selections = _adopted(path, source.read())
            _write(target, old_queries + queries, old_selections + selections)
            return
        middle, end = joints
        copy_bytes(source, target, middle)
        target.write(listed(queries, first=middle == len(OPENING)))
        copy_bytes(source, target, end - middle)
        target.write(listed(selections, first=end == middle + len(MIDDLE)))
        target.write(CLOSING)


def _write(target: BinaryIO, queries: list[bytes], selections: list[bytes]) -> None:
    for piece in (OPENING, listed(queries), MIDDLE, listed(selections), CLOSING):
        target.write(piece)


def _joints(source: BinaryIO) -> tuple[int, int] | None:
    """Where the two lists of a file of our layout end; None for another layout."""
    size = os.fstat(source.fileno()).st_size
    if not size:
        return None
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return metrics_json.joints(size, content)


def _adopted(path: Path, content: bytes) -> tuple[list[bytes], list[bytes]]:
    """The entries of a metrics.json in another layout; what is none, or holds more, is set aside."""
    try:
        return metrics_json.entries_in(content, only=True)
    except DAMAGED:
        _set_aside(path)
        return [], []


def _set_aside(path: Path) -> None:
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.unreadable-{number}")):
        number += 1
    os.rename(path, aside)
