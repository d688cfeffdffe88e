"""One sink and what waits for it.

The store's own sink is written by the collector's thread. Every other one has a thread of its own, so that a slow or
failing sink holds up neither the application nor another sink.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from instrument import clocks
from instrument.config import Config
from instrument.rows.stored import HealthRow, Row
from instrument.sinks import Sink
from instrument.sinks.segments import SegmentSink

Trouble = Callable[..., None]
"""Says and counts a failure of ours: (kind, error, count=1)."""

Lose = Callable[[str, int], None]
"""Counts records that could not be kept: (reason, count)."""

RETRY_SECONDS = 1.0
"""How long a sink that failed is left alone."""

STUCK_SECONDS = 5.0
"""A write that takes longer counts as failing while it lasts."""

LAST_RETRY_SECONDS = 0.05
"""How long a sink that failed is left alone at the end of the process."""

FAILING, FORBIDDEN = "failing disk", "not writable"
"""Why records were dropped that a sink refused: the disk did, or this user may not write there."""


_FORBIDDING = (errno.EACCES, errno.EPERM, errno.EROFS)


class Outlet:
    """Batches on their way into one sink; those it will not take wait here and are tried again."""

    def __init__(self, name: str, sink: Sink, trouble: Trouble, lose: Lose) -> None:
        self.waiting = 0
        self.lost = 0
        self._name = name
        self._sink = sink
        self._trouble = trouble
        self._lose = lose
        self._batches: deque[list[Row]] = deque()
        self._failed = False
        self._retry_at = 0.0
        self._writing_since = 0.0
        self.reason = FAILING

    @property
    def failing(self) -> bool:
        """Whether the sink refused the last write, or has not answered for long."""
        since = self._writing_since
        return self._failed or (since > 0 and clocks.seconds() - since > STUCK_SECONDS)

    def take(self, rows: list[Row], now: bool = False) -> None:
        """Accept a batch and write what waits; an empty one only tries again, `now` even after a recent failure."""
        self._queue(rows)
        if now or not self._failed or clocks.seconds() >= self._retry_at:
            self._write_waiting()

    def flush(self, deadline: float | None) -> bool:
        """Bring what was taken to where readers find it; returns whether that worked by `deadline`."""
        return self._write_waiting() and self._guarded(self._sink.flush)

    def close(self, until: float = 0.0) -> None:
        """Let go of the sink's files; what it refuses until then (monotonic seconds) is lost, and counted."""
        while not (self._write_waiting() and self._guarded(self._sink.flush)):
            if clocks.seconds() + LAST_RETRY_SECONDS > until:
                break
            time.sleep(LAST_RETRY_SECONDS)
        self._guarded(self._sink.close)
        for row in [row for batch in self._batches for row in batch]:
            if isinstance(row, HealthRow):
                for reason, count in row.dropped.items():
                    self._lose(reason, count)
            else:
                self._lose(self.reason, 1)
        self.lost += self.waiting
        self._batches.clear()
        self.waiting = 0

    def pause(self, timeout: float) -> None:
        """Before a fork: let no thread of its own run."""

    def resume(self) -> None:
        """After the fork, in the parent."""

    def abandon(self) -> None:
        """In a forked child: leave the files to the parent."""
        if isinstance(self._sink, SegmentSink):
            self._sink.abandon()

    def _queue(self, rows: list[Row]) -> None:
        if rows:
            self._batches.append(rows[:])  # each outlet's own, as it may be worked off in parts
            self.waiting += len(rows)

    def _write_waiting(self) -> bool:
        while self._batches:
            rows = self._batches[0]
            if not self._guarded(lambda rows=rows: self._write(rows)):  # type: ignore[misc]
                return False
            self._done_with(rows)
        return True

    def _done_with(self, rows: list[Row]) -> None:
        self._batches.popleft()
        self.waiting -= len(rows)

    def _write(self, rows: list[Row]) -> None:
        try:
            self._sink.write(rows)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - not the disk but a row is at fault: it must not hold up the others
            self._trouble(f"record in {self._name}", error)
            self._write_one_by_one(rows)

    def _write_one_by_one(self, rows: list[Row]) -> None:
        while rows:
            try:
                self._sink.write(rows[:1])
            except OSError:
                raise
            except Exception:  # noqa: BLE001 - said by the caller
                self._lose("unwritable", 1)
            del rows[0]
            self.waiting -= 1

    def _guarded(self, step: Callable[[], None]) -> bool:
        self._writing_since = clocks.seconds()
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a sink is a plugin: whatever it raises is its failure, not ours
            self._failed = True
            self._retry_at = clocks.seconds() + RETRY_SECONDS
            self.reason = FORBIDDEN if getattr(error, "errno", 0) in _FORBIDDING else FAILING
            self._trouble(f"sink {self._name}", error)
            return False
        finally:
            self._writing_since = 0.0
        self._failed = False
        return True


class ThreadedOutlet(Outlet):
    """The same with a thread of its own and a bound of its own.

    What it cannot take is in the store all the same, so it is no drop but a problem, counted by record.
    """

    def __init__(self, name: str, sink: Sink, trouble: Trouble, most: int) -> None:
        super().__init__(name, sink, trouble, self._left_out)
        self._most = most
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pauses = 0
        self._running = True
        self._until = 0.0
        self._flushes = 0
        self._flushed = 0
        with self._changed:
            self._start()

    def take(self, rows: list[Row], now: bool = False) -> None:
        """Accept a batch for the thread, unless that would pass the bound."""
        if not rows:
            return
        with self._changed:
            fits = self.waiting + len(rows) <= self._most
            if fits:
                self._queue(rows)
                self._start()
        if not fits:
            self._left_out("too slow", len(rows))

    def flush(self, deadline: float | None) -> bool:
        """Wait until the thread has written and flushed what waits now."""
        with self._changed:
            self._flushes += 1
            mine = self._flushes
            self._start()
            timeout = None if deadline is None else max(0.0, deadline - clocks.seconds())
            return self._changed.wait_for(lambda: self._flushed >= mine, timeout) and not self.failing

    def close(self, until: float = 0.0) -> None:
        """Stop the thread, which writes what waits, flushes and closes the sink; wait for it, but not for ever."""
        with self._changed:
            self._running = False
            self._until = until
            thread = self._start()
        if thread is None:  # it ended for a fork, and none can be had any more
            super().close(until)
        else:
            thread.join(STUCK_SECONDS)

    def pause(self, timeout: float) -> None:
        """Before a fork: let the thread write what waits, flush and end; wait for it, `timeout` seconds at most."""
        with self._changed:
            self._pauses += 1
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            join_wholly(thread, timeout)

    def resume(self) -> None:
        """After the fork, in the parent: go on where there is something to do.

        Only then, as Python 3.13 looks for threads after this.
        """
        with self._changed:
            self._pauses -= 1
            if self._batches or self._flushes > self._flushed:
                self._start()

    def _start(self) -> threading.Thread | None:
        """Wake the thread, or start it, with `_changed` held; None where none can be had, as while another forks."""
        self._changed.notify_all()
        if self._thread is None and not self._pauses:
            thread = threading.Thread(target=self._run, name=f"instrument-{self._name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return None
            self._thread = thread
        return self._thread

    def _left_out(self, reason: str, count: int) -> None:
        self._trouble(f"{self._name} lacks records", BufferError(reason), count)

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Wait for something to do and do it; returns whether there may be more."""
        with self._changed:
            # Without end unless something failed or is due: an idle process wakes nothing.
            timely = self._changed.wait_for(self._is_wanted, RETRY_SECONDS if self._failed else self._sink.due_in())
            wanted, running, pausing = self._flushes, self._running, self._pauses > 0
        done = self._write_waiting()
        if done and (wanted > self._flushed or pausing or not timely):
            self._guarded(self._sink.flush)
        if not running:
            super().close(self._until)
        with self._changed:
            self._flushed = max(wanted, self._flushed)
            self._changed.notify_all()
            if pausing and self._pauses:
                self._thread = None
                return False
        return running

    def _is_wanted(self) -> bool:
        return (
            (bool(self._batches) and not self._failed)
            or self._flushes > self._flushed
            or not self._running
            or self._pauses > 0
        )

    def _done_with(self, rows: list[Row]) -> None:
        with self._changed:
            super()._done_with(rows)


def join_wholly(thread: threading.Thread, timeout: float) -> None:
    """Wait until a thread has ended for the operating system, too, which counts it for some µs more."""
    until = clocks.seconds() + timeout
    thread.join(timeout)
    if thread.is_alive() or not os.path.exists("/proc/self/task"):
        return
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and clocks.seconds() < until:
        time.sleep(0)


def open_outlets(config: Config, trouble: Trouble, lose: Lose, threads: bool) -> list[Outlet]:
    """The store's outlet first, then one for each of `formats`: without `threads`, all are for the caller's."""
    outlets = [Outlet("store", SegmentSink(config.directory, file_mode=config.file_mode), trouble, lose)]
    for name in config.formats:
        try:
            outlets.append(_beside(name, config, trouble, threads))
        except Exception as error:  # noqa: BLE001 - a thread or a file less; the store is there all the same
            trouble(f"sink metrics.{name}", error)
    return outlets


def _beside(name: str, config: Config, trouble: Trouble, threads: bool) -> Outlet:
    sink: Sink
    if name == "json":
        from instrument.sinks.json_file import JsonFileSink

        sink = JsonFileSink(config.json_path, file_mode=config.file_mode)
    else:
        from instrument.sinks.csv_file import CsvFileSink

        sink = CsvFileSink(config.csv_path, file_mode=config.file_mode)
    if threads:
        return ThreadedOutlet(f"metrics.{name}", sink, trouble, config.buffer_size)
    return Outlet(f"metrics.{name}", sink, trouble, lambda reason, count: None)
