"""The store's own files: JSON Lines, one open segment per process, appended in batches.

A segment is `<directory>/<day>/<time>-<pid>-<random>.jsonl`, day and time (UTC) those of its first write. It is closed
when the hour ends or it has grown large, so a day's folder holds only records that began by the end of that day. A
segment belongs to one process from its creation on: nothing else ever appends to it, and a line once torn is never
continued.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from instrument._rows import Row, encode_lines

SEGMENT_BYTES = 64 * 1024 * 1024


class SegmentSink:
    """Append batches to this process's segment.

    `now` gives seconds since 1970; tests pass their own.
    """

    def __init__(self, directory: str | os.PathLike[str], now: Callable[[], float] = time.time) -> None:
        self._directory = Path(directory)
        self._now = now
        self._file = -1
        self._path = Path()
        self._hour = -1
        self._size = 0

    def write(self, batch: Sequence[Row]) -> None:
        """Append the batch, whole or not at all; raises OSError when the disk will not take it."""
        data = encode_lines(batch)
        hour = int(self._now()) // 3600
        if self._file < 0 or hour != self._hour or self._size > SEGMENT_BYTES or not self._in_place():
            self._open(hour)
        try:
            self._append(data)
        except OSError:
            self._take_back()
            raise
        self._size += len(data)

    def flush(self) -> None:
        """Nothing to do: what was written is in the file already."""

    def close(self) -> None:
        """Close the segment; the next write opens another."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def abandon(self) -> None:
        """Forget a segment inherited through a fork: it stays the parent's."""
        self.close()

    def _open(self, hour: int) -> None:
        self.close()
        self._make_private_directory()
        moment = time.gmtime(self._now())
        folder = self._directory / time.strftime("%Y-%m-%d", moment)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{time.strftime('%H%M%S', moment)}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hour = hour
        self._size = 0

    def _make_private_directory(self) -> None:
        if not self._directory.is_dir():
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            self._directory.mkdir(mode=0o700, exist_ok=True)

    def _in_place(self) -> bool:
        """Whether the segment is still there under its name: someone may have removed or replaced the store."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except OSError:
            return False

    def _append(self, data: bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _take_back(self) -> None:
        """Cut off what a failed append left, or, where even that fails, leave the segment and its torn line behind."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()
