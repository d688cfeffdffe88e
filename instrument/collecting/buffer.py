"""The queue of finished records, between the threads that make them and the writer that takes them.

A record is appended to `rows` by the thread that made it. All else happens under `lock`.
"""

from __future__ import annotations

import threading
from typing import Any

from instrument.rows.live import LiveQuery
from instrument.rows.stored import Row


class Buffer:
    """Finished records that nobody has taken yet."""

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        self.rows: list[Row] = []  # the wrappers hold its `append`: it stays the same list
        self.captures: list[list[Row]] = []
        self.inherited: set[Any] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def begin_process(self, lock: threading.RLock) -> None:
        """Forget what a forked child inherited: its parent writes that."""
        self.lock = lock
        self.rows.clear()

    def clear(self) -> None:
        """Forget all records."""
        self.rows.clear()

    def take(self, size: int) -> list[Row]:
        """The oldest records, `size` at most; none during a capture, which has them all."""
        if self.captures:
            return []
        batch = self.rows[:size]
        del self.rows[: len(batch)]
        return self._own(batch)

    def drop(self, count: int) -> int:
        """Remove the newest records, `count` of them or all; returns how many."""
        count = min(count, len(self.rows))
        if count > 0:
            del self.rows[-count:]
        return max(count, 0)

    def capture(self) -> None:
        """Move all records into the innermost capture."""
        with self.lock:
            rows = self.rows[:]
            del self.rows[: len(rows)]
            self.captures[-1].extend(self._own(rows))

    def _own(self, rows: list[Row]) -> list[Row]:
        """Without the queries that were open at the fork: the parent finishes those."""
        if not self.inherited:
            return rows
        return [row for row in rows if not isinstance(row, LiveQuery) or row not in self.inherited]
