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
from contextlib import suppress

from instrument import access, clocks
from instrument.rows.stored import LONGEST_LINE, Row, encode_lines

_MODE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
SEGMENT_BYTES = 64 * 1024 * 1024

LOOK_SECONDS = 1.0
"""How often the segment's name is looked up, in case somebody took the store away under it.

Beside a busy thread, letting go of the interpreter's lock for one more system call and getting it back costs 0.1 to 0.2
ms, as much as the write itself. What was written since the last look goes with the store that is taken away.
"""


class SegmentSink:
    """Append batches to this process's segment.

    `now` gives seconds since 1970; tests pass their own.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        now: Callable[[], float] = clocks.wall_seconds,
        *,
        file_mode: str = access.PRIVATE,
    ) -> None:
        self._directory = os.fspath(directory)
        self._file_mode = file_mode
        self._now = now
        self._file = -1
        self._path = ""
        self._identity = (0, 0)
        self._looked = 0.0
        self._hour = -1
        self._size = 0
        self._torn = False

    def write(self, batch: Sequence[Row]) -> None:
        """Append the batch, whole or not at all; raises OSError when the disk will not take it.

        ValueError when a record is too large for any reader.
        """
        data = encode_lines(batch)
        if len(data) >= LONGEST_LINE and max(map(len, data.split(b"\n"))) >= LONGEST_LINE:
            raise ValueError(f"a record has more than {LONGEST_LINE >> 20} MB")
        now = self._now()
        hour = int(now) // 3600
        gone = self._file < 0 or self._is_gone(now)
        if self._torn and not gone:
            self._take_back()
        if gone or hour != self._hour or self._size > SEGMENT_BYTES:
            self._open(hour)
        try:
            self._append(data)
        except OSError:
            self._torn = True
            self._take_back()
            raise
        self._size += len(data)

    def flush(self) -> None:
        """Nothing to do: what was written is in the file already."""

    def due_in(self) -> float | None:
        """Never."""
        return None

    def close(self) -> None:
        """Close the segment; the next write opens another."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def abandon(self) -> None:
        """Forget a segment inherited through a fork: it stays the parent's."""
        with suppress(OSError):
            self.close()

    def _open(self, hour: int) -> None:
        self.close()
        access.make_store(self._directory, self._file_mode)
        moment = time.gmtime(self._now())
        folder = os.path.join(self._directory, time.strftime("%Y-%m-%d", moment))
        access.make_folder(folder, self._file_mode)
        name = f"{time.strftime('%H%M%S', moment)}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        self._path = os.path.join(folder, name)
        self._file = access.create(self._path, _MODE, self._file_mode)
        opened = os.fstat(self._file)
        self._identity = (opened.st_ino, opened.st_dev)
        self._looked = 0.0
        self._hour = hour
        self._size = 0
        self._torn = False

    def _is_gone(self, now: float) -> bool:
        """Whether someone has removed, moved or replaced the segment; not being allowed to look does not mean that."""
        if 0 <= now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        try:
            found = os.stat(self._path)
            return (found.st_ino, found.st_dev) != self._identity
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _take_back(self) -> None:
        """Cut off what a failed append left; where that fails, too, nothing is appended until it works.

        To go on in another segment would repeat the whole lines among what is left.
        """
        os.ftruncate(self._file, self._size)
        self._torn = False
