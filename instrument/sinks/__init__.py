"""Where batches of records go: one file per destination.

A sink takes rows as `stored.py` shapes them. It may raise OSError: the collector keeps the batch and tries again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from instrument.rows.stored import Row


class Sink(Protocol):
    """A destination of finished records, used by one thread at a time."""

    def write(self, batch: Sequence[Row]) -> None:
        """Take a batch, whole or not at all; raises OSError when it cannot be kept now."""

    def flush(self) -> None:
        """Bring what was taken to where readers find it."""

    def due_in(self) -> float | None:
        """Seconds until what was taken should be flushed; None when nothing waits for that."""

    def close(self) -> None:
        """Flush and let go of files; harmless when repeated."""
