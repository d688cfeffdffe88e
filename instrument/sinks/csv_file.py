"""metrics.csv, kept up to date by any number of processes: a line a query, appended.

Calls outside a query, selections and health have no line in it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from instrument import access
from instrument.interchange import metrics_csv
from instrument.rows import as_records
from instrument.rows.stored import AnyQuery, Row


class CsvFileSink:
    """Append queries to a metrics.csv, with its header if the file is new or empty."""

    def __init__(self, path: str | os.PathLike[str], *, file_mode: str = access.PRIVATE) -> None:
        self._path = Path(path)
        self._file_mode = file_mode

    def write(self, batch: Sequence[Row]) -> None:
        """Append the batch, whole or not at all; raises OSError when the disk will not take it."""
        lines = b"".join(metrics_csv.line(as_records.query_record(row)) for row in batch if isinstance(row, AnyQuery))
        if lines:
            append(self._path, lines, self._file_mode)

    def flush(self) -> None:
        """Nothing to do: what was written is in the file already."""

    def due_in(self) -> float | None:
        """Never."""
        return None

    def close(self) -> None:
        """Nothing to do: the file is open only while it is written to, so it may be moved away at any time."""


def append(path: Path, lines: bytes, file_mode: str = access.PRIVATE) -> None:
    """Append lines to a metrics.csv, whole or not at all, beside others that do the same."""
    access.make_store(os.fspath(path.parent), file_mode)
    descriptor = _locked(path, file_mode)
    try:
        before = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, _joint(descriptor, before) + lines)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _locked(path: Path, file_mode: str) -> int:
    """Open the file and keep others out; once more if another took its name meanwhile, as `metrics forget` does."""
    while True:
        descriptor = access.create(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, file_mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _joint(descriptor: int, size: int) -> bytes:
    """What belongs between the file's end and a new line: the header, or the end of a line that a kill cut off."""
    if size == 0:
        return metrics_csv.HEADER
    return b"" if os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
