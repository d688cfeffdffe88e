"""The bounded buffer of finished records, and the settings under which they are kept.

A record is appended to `buffer` by the thread that made it; nothing else happens there unless the buffer is longer
than `hot["LIMIT"]`. That one comparison covers everything that is not the usual case: the first record (0: start or
wake the writer), a full batch (`BATCH`: write early), a full buffer (its size: drop or wait), and capture or shutdown
(-1: every record is looked at).

What keeps this free of deadlocks: `lock` is held for moments only, and neither the application's code (a `__str__`, a
redaction function, a log handler) nor the disk is ever waited for under it; the writer's thread alone writes
(`writer.py`). It is re-entrant, because a signal or a finaliser may come upon a thread that holds it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from instrument import config as settings
from instrument.collecting.exits import Exits
from instrument.collecting.finalizing import Preparation, wall_offset
from instrument.collecting.writer import BATCH, Writer
from instrument.config import Config
from instrument.redaction.rules import described
from instrument.rows.live import LiveQuery
from instrument.rows.stored import HealthRow, Row

EXIT_TIMEOUT = 5.0
"""Seconds that an exit waits for the disk, at most."""

FORK_TIMEOUT = 1.0
"""Seconds that a fork waits for a thread that reads settings or prepares a writer."""


class Collector:
    """This process's records on their way to the disk."""

    def __init__(self) -> None:
        self.buffer: list[Row] = []
        self.opened: set[Any] = set()
        # A name in the wrappers' own namespace is the cheapest thing that can change under them (5 ns a look).
        self.hot: dict[str, Any] = {"buffer": self.buffer, "LIMIT": 0}
        self.before_flush: list[Callable[[], None]] = []
        self.at_end: list[Callable[[], None]] = []
        self.on_switch: Callable[[bool], None] = lambda enabled: None
        self.before_fork: list[Callable[[], None]] = []
        self.after_fork: list[Callable[[], None]] = []
        self.enabled = True
        self.closed = False
        self.inherited: set[Any] = set()
        self._overrides: dict[str, Any] = {}
        self._captures: list[list[Row]] = []
        self._config: Config | None = None
        self._exits = Exits(self.end, self.holds_lock)
        self._begin_process()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self._after_fork_in_parent, after_in_child=self._after_fork
            )

    def _begin_process(self) -> None:
        self.lock = threading.RLock()
        self._ownership = threading.Condition(self.lock)
        self._forking = 0
        self.dropped: dict[str, int] = {}
        self.problems: dict[str, int] = {}
        self._said: set[str] = set()
        self._writer: Writer | None = None

    def holds_lock(self) -> bool:
        """Whether this thread holds `lock` already, further down: then it must not wait for another that needs it."""
        try:
            self._ownership.notify()  # only the owner may
        except RuntimeError:
            return False
        return True

    # -- settings ----------------------------------------------------------------------------------------------

    def configure(self, overrides: dict[str, Any]) -> None:
        """Take settings over; what was recorded before is written under the old ones.

        Raises ConfigError, with nothing changed, when one is wrong.
        """
        checked = {key: settings.checked(key, value, "configure()") for key, value in overrides.items()}
        if self._config is not None:
            self.flush(EXIT_TIMEOUT)
        with self.lock:
            self._overrides.update(checked)
            writer, self._writer, self._config = self._writer, None, None
            self.closed = False
            self._switch(bool(self._overrides.get("enabled", True)))
            self._reset_limit()
        if writer is not None:
            writer.stop(EXIT_TIMEOUT)

    @property
    def config(self) -> Config:
        """The settings in force, read from the environment and the files when they are first needed."""
        config = self._config
        if config is None:
            # Under the lock, because a fork waits for it: a child must not find a half-done import of tomllib.
            with self.lock:
                config, wrong = settings.in_force(self._overrides)
                self._config = config
                self._switch(config.enabled)
            for mistake in wrong:
                self.trouble(f"setting {mistake.key}", mistake)
        return config

    def overrides(self, key: str) -> bool:
        """Whether `configure()` was given a setting."""
        return key in self._overrides

    def _switch(self, enabled: bool) -> None:
        self.enabled = enabled
        self.on_switch(enabled)

    # -- the way in --------------------------------------------------------------------------------------------

    def add(self, row: Row) -> None:
        """Take a finished record; the wrappers do the same in line."""
        self.buffer.append(row)
        if len(self.buffer) > self.hot["LIMIT"]:
            self.overflow()

    def overflow(self) -> None:
        """Look at what the length check found: see the module's docstring."""
        try:
            self._overflow()
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("collector", error)
            self._drop("collector", len(self.buffer) - settings.DEFAULTS.buffer_size)

    def _overflow(self) -> None:
        if self._captures:
            self._capture_all()
        elif self.closed:
            self._drop("shutdown", len(self.buffer))
        else:
            self._keep()

    def _keep(self) -> None:
        room = self.room()  # reads the settings, if nothing has yet: they may switch recording off
        if not self.enabled:
            self.buffer.clear()
        elif len(self.buffer) > room:
            self._full()
        else:
            self.hot["LIMIT"] = room
            if (writer := self._started()) is not None:
                writer.wake()

    def room(self) -> int:
        """How many records the buffer may hold now: fewer while others wait for a failing disk."""
        return self.config.buffer_size - (0 if self._writer is None else self._writer.store.waiting)

    def _excess(self) -> int:
        return len(self.buffer) - self.room()

    def _full(self) -> None:
        writer = self._started()
        if writer is None:
            self._drop("no writer", self._excess())
            return
        writer.wake()
        if self.config.on_full == "wait" and not self.holds_lock() and not writer.is_here():
            while self._excess() > 0 and self._writer is writer and not writer.store.failing:
                time.sleep(0.001)
        self._drop("failing disk" if writer.store.failing else "full buffer", self._excess())
        writer.wake()

    def _drop(self, reason: str, count: int) -> None:
        with self.lock:
            count = min(count, len(self.buffer))
            if count > 0:
                del self.buffer[-count:]
                self.lose(reason, count)

    def lose(self, reason: str, count: int) -> None:
        """Count records that could not be kept."""
        with self.lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def trouble(self, kind: str, error: BaseException, count: int = 1) -> None:
        """Count a failure of ours and say it once per kind; never raise."""
        with self.lock:
            first = kind not in self._said
            self._said.add(kind)
            self.problems[kind] = self.problems.get(kind, 0) + count
        if first:
            try:
                self._say(kind, described(error))
            except Exception:  # noqa: BLE001 - a log handler of the application's failed, or the interpreter is going
                return

    def _say(self, kind: str, problem: str) -> None:
        with self.lock:
            import logging
        logging.getLogger("instrument").warning(
            "%s: %s (said once; later ones are counted, see `metrics doctor`)", kind, problem
        )

    # -- the way through ---------------------------------------------------------------------------------------

    def _started(self) -> Writer | None:
        """The writer, which starts with the first record; None where no thread can be had."""
        self.watch_exits()
        if self._writer is not None:
            return self._writer
        config = self.config
        with self.lock:
            if self._writer is None:
                writer = Writer(self, config)
                if writer.start():
                    self._writer = writer
            return self._writer

    def watch_exits(self) -> None:
        """See to it that the end of the process finds its records."""
        if not self._exits.watched:
            with self.lock:
                self._exits.watch_process()

    def take(self, writer: Writer, size: int) -> list[Row]:
        """The next rows for the writer, `size` at most, claimed: from now on these are its own."""
        with self.lock:
            if self._captures or writer.stopping:
                return []
            batch = self.buffer[:size]
            del self.buffer[: len(batch)]
            return writer.preparation.claim(self._own(batch))

    def _own(self, rows: list[Row]) -> list[Row]:
        """Without the queries that were open at the fork: the parent finishes those."""
        if not self.inherited:
            return rows
        return [row for row in rows if not isinstance(row, LiveQuery) or row not in self.inherited]

    def health(self) -> HealthRow | None:
        """What was dropped and what went wrong since this was last asked, None for nothing."""
        with self.lock:
            if not self.dropped and not self.problems:
                return None
            row = HealthRow(time.time_ns() // 1000, self.dropped, self.problems)
            self.dropped, self.problems = {}, {}
            return row

    def idle(self) -> bool:
        """Tell the next record to wake the writer; returns whether there is none yet."""
        self._reset_limit()
        return not self.buffer

    def awake(self) -> None:
        """Tell the records to wake the writer early when they fill a batch or half of the room."""
        if not self.closed and not self._captures:
            self.hot["LIMIT"] = min(BATCH, self.room() // 2)

    def _reset_limit(self) -> None:
        self.hot["LIMIT"] = -1 if self.closed or self._captures else 0

    # -- the way out -------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """Write all that was recorded before; returns whether it is on disk (False: the time was up, or it failed)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._run(self.before_flush)
        if self._captures or self.closed:
            return True
        if self._writer is None and not (self.buffer or self.dropped or self.problems):
            return True
        try:
            return self._flush(deadline)
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("flush", error)
            return False

    def _flush(self, deadline: float | None) -> bool:
        while not sys.is_finalizing():  # then the writer's thread is gone
            writer = self._started()
            done = Writer(self, self.config).write_here() if writer is None else writer.flush(deadline)
            if done is not None:
                return done
        return False

    def shutdown(self, timeout: float | None = None) -> bool:
        """Write all and stop; what is recorded afterwards is dropped and counted."""
        deadline = None if timeout is None else time.monotonic() + timeout
        done = self.flush(timeout)
        with self.lock:
            writer, self._writer = self._writer, None
            self.closed = True
            self._reset_limit()
        if writer is not None:
            writer.stop(EXIT_TIMEOUT if deadline is None else max(0.0, deadline - time.monotonic()))
        self._drop("failing disk", 0 if done else len(self.buffer))
        return done

    def end(self) -> None:
        """The process ends: what is still open is abandoned, all is written, within `EXIT_TIMEOUT`.

        After a shutdown only the count of what came too late is. The writer's thread ends, too, so that it is not in
        the interpreter's way.
        """
        if not self.enabled:
            return
        self._run(self.at_end)
        self.closed = False
        self.shutdown(EXIT_TIMEOUT)

    def _run(self, steps: list[Callable[[], None]]) -> None:
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - ours, and so never the application's
                self.trouble("collector", error)

    # -- fork --------------------------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        """Fork at a moment when no thread of ours is in the middle of anything, an import above all.

        A child that needs a module which a thread was importing at the fork would wait for that thread for ever.
        """
        if self.lock.acquire(timeout=FORK_TIMEOUT):
            self._forking = threading.get_ident()
        self._run(self.before_fork)

    def _after_fork_in_parent(self) -> None:
        if self._forking == threading.get_ident():
            self._forking = 0
            self.lock.release()

    def _after_fork(self) -> None:
        """In the child: nothing waiting, nothing open, no lock held; queries open at the fork are the parent's.

        Settings stay: a child writes where its parent does, whatever has become of the working directory.
        """
        writer = self._writer
        self._begin_process()
        self._exits.begin_process()
        self.buffer.clear()
        if writer is not None:
            writer.abandon()
        self._run(self.after_fork)
        self.opened.clear()
        self._reset_limit()

    # -- capture -----------------------------------------------------------------------------------------------

    def capture(self) -> list[Row]:
        """From now on, put records into the list returned and nowhere else."""
        if not self._captures:
            self.flush(EXIT_TIMEOUT)  # what was recorded before stays out of it
        rows: list[Row] = []
        with self.lock:
            self._captures.append(rows)
            self._reset_limit()
        return rows

    def release(self, rows: list[Row]) -> None:
        """End that capture."""
        with self.lock:
            self._captures = [one for one in self._captures if one is not rows]
            self._reset_limit()

    def prepared(self, rows: list[Row]) -> list[Row]:
        """Captured rows as they would have been stored."""
        preparation = Preparation(self.config, self.trouble, self.lose)
        with self.lock:
            claimed = preparation.claim(rows)
        return preparation.finish(claimed)

    def _capture_all(self) -> None:
        with self.lock:
            rows = self.buffer[:]
            del self.buffer[: len(rows)]
            self._captures[-1].extend(self._own(rows))


def _nothing() -> None:
    return


collector = Collector()


def wall_microseconds(monotonic: int) -> int:
    """A reading of the monotonic clock as microseconds since 1970."""
    return (monotonic + wall_offset()) // 1000
