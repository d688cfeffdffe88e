"""One sink and what waits for it.

The store's own sink is written by the collector's thread. Every other one has a thread of its own, so that a slow or
failing sink holds up neither the application nor another sink.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from instrument._rows import Row
from instrument.config import Config
from instrument.sinks import Sink
from instrument.sinks.segments import SegmentSink

Trouble = Callable[[str, BaseException], None]

RETRY_SECONDS = 1.0
"""How long a sink that failed is left alone."""


class Outlet:
    """Batches on their way into one sink; those it will not take wait here and are tried again."""

    def __init__(self, name: str, sink: Sink, trouble: Trouble) -> None:
        self.name = name
        self.waiting = 0
        self.failing = False
        self._sink = sink
        self._trouble = trouble
        self._batches: deque[list[Row]] = deque()
        self._retry_at = 0.0

    def take(self, rows: list[Row]) -> None:
        """Accept a batch and write what waits; an empty one only tries again."""
        self._queue(rows)
        if not self.failing or time.monotonic() >= self._retry_at:
            self._write_waiting()

    def flush(self, deadline: float | None) -> bool:
        """Write what waits, whatever happened before; returns whether all is in the sink."""
        self._write_waiting()
        return not self._batches and self._guarded(self._sink.flush)

    def close(self) -> None:
        """Let go of the sink's files."""
        self._guarded(self._sink.close)

    def abandon(self) -> None:
        """In a forked child: leave the files to the parent."""
        self._guarded(self._sink.close if isinstance(self._sink, SegmentSink) else _nothing)

    def _queue(self, rows: list[Row]) -> None:
        if rows:
            self._batches.append(rows)
            self.waiting += len(rows)

    def _write_waiting(self) -> None:
        while self._batches:
            rows = self._batches[0]
            if not self._guarded(lambda rows=rows: self._sink.write(rows)):  # type: ignore[misc]
                return
            self._batches.popleft()
            self.waiting -= len(rows)

    def _guarded(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a sink is a plugin: whatever it raises is its failure, not ours
            self.failing = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._trouble(f"sink {self.name}", error)
            return False
        self.failing = False
        return True


class ThreadedOutlet(Outlet):
    """The same with a thread of its own and a bound of its own."""

    def __init__(self, name: str, sink: Sink, trouble: Trouble, most: int) -> None:
        super().__init__(name, sink, trouble)
        self._most = most
        self._changed = threading.Condition()
        self._running = True
        self._flushes = 0
        self._flushed = 0
        threading.Thread(target=self._run, name=f"instrument-{name}", daemon=True).start()

    def take(self, rows: list[Row]) -> None:
        """Accept a batch for the thread; one that would pass the bound is dropped and counted."""
        with self._changed:
            if self.waiting + len(rows) > self._most:
                self._trouble(f"sink {self.name}: {len(rows)} records dropped", BufferError("it is too slow"))
                return
            self._queue(rows)
            self._changed.notify_all()

    def flush(self, deadline: float | None) -> bool:
        """Wait until the thread has written and flushed what waits now."""
        with self._changed:
            self._flushes += 1
            mine = self._flushes
            self._changed.notify_all()
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            return self._changed.wait_for(lambda: self._flushed >= mine, timeout) and not self.failing

    def close(self) -> None:
        """Stop the thread, which flushes and closes the sink."""
        with self._changed:
            self._running = False
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batches or self._flushes > self._flushed or not self._running, 1.0)
                wanted, running = self._flushes, self._running
            self._write_all()
            if wanted > self._flushed or not running:
                self._guarded(self._sink.flush)
            with self._changed:
                self._flushed = wanted
                self._changed.notify_all()
            if not running:
                self._guarded(self._sink.close)
                return

    def _write_all(self) -> None:
        while self._batches:
            rows = self._batches[0]
            if not self._guarded(lambda rows=rows: self._sink.write(rows)):  # type: ignore[misc]
                time.sleep(RETRY_SECONDS / 10)
                return
            with self._changed:
                self._batches.popleft()
                self.waiting -= len(rows)


def open_outlets(config: Config, trouble: Trouble) -> list[Outlet]:
    """The store's outlet first, then one for each of `formats`."""
    outlets = [Outlet("store", SegmentSink(config.directory), trouble)]
    if "json" in config.formats:
        from instrument.sinks.json_file import JsonFileSink

        outlets.append(ThreadedOutlet("metrics.json", JsonFileSink(config.json_path), trouble, config.buffer_size))
    if "csv" in config.formats:
        from instrument.sinks.csv_file import CsvFileSink

        outlets.append(ThreadedOutlet("metrics.csv", CsvFileSink(config.csv_path), trouble, config.buffer_size))
    return outlets


def _nothing() -> None:
    return
