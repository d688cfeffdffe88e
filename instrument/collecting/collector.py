"""This process's records: the settings under which they are kept, and the order of what happens to them.

A record is appended to the buffer's rows by the thread that made it; nothing else happens there unless there are more
of them than `switches.limit`. That one comparison covers everything that is not the usual case: the first record (0:
start or wake the writer), a full batch (`BATCH`: write early), a full buffer (its size: drop or wait), and capture or
shutdown (-1: every record is looked at).

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

from instrument import clocks
from instrument import config as settings
from instrument.collecting.buffer import Buffer
from instrument.collecting.delivery import FAILING
from instrument.collecting.exits import EXIT_TIMEOUT, Exits
from instrument.collecting.finalizing import Preparation
from instrument.collecting.losses import Losses
from instrument.collecting.open_work import OpenWork
from instrument.collecting.switches import switches
from instrument.collecting.writer import Writer
from instrument.config import Config
from instrument.rows.stored import Row

FORK_TIMEOUT = 1.0
"""Seconds that a fork waits for a thread that reads settings or prepares a writer."""


class Collector:
    """This process's records on their way to the disk."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.buffer = Buffer(self.lock)
        self.losses = Losses(self.lock)
        self.opened: set[Any] = set()
        self.open_work = OpenWork()
        self.closed = False
        self.trouble = self.losses.trouble
        self._overrides: dict[str, Any] = {}
        self._config: Config | None = None
        self._exits = Exits(self.end, self.flush, self.holds_lock)
        self._begin_process()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork,
                after_in_parent=self._after_fork_in_parent,
                after_in_child=self._after_fork_in_child,
            )

    def _begin_process(self) -> None:
        self._ownership = threading.Condition(self.lock)
        self._forking = 0
        self._paused: dict[int, Writer] = {}
        self._writer: Writer | None = None
        self._ended = False
        self._direct: Writer | None = None
        self._direct_lock = threading.Lock()
        self._direct_thread = 0

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
            self.closed, self._direct = False, None
            if writer is not None:
                writer.retire()
            switches.set_enabled(bool(self._overrides.get("enabled", True)))
            self._look()
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
                switches.set_enabled(config.enabled)
            for mistake in wrong:
                self.trouble(f"setting {mistake.key}", mistake)
        return config

    def overrides(self, key: str) -> bool:
        """Whether `configure()` was given a setting."""
        return key in self._overrides

    # -- the way in --------------------------------------------------------------------------------------------

    def add(self, row: Row) -> None:
        """Take a finished record; the wrappers do the same in line."""
        self.buffer.rows.append(row)
        if len(self.buffer.rows) > switches.limit:
            self.overflow()

    def overflow(self) -> None:
        """Look at what the length check found: see the module's docstring."""
        try:
            self._overflow()
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("collector", error)
            self._drop("collector", len(self.buffer) - settings.DEFAULTS.buffer_size)

    def _overflow(self) -> None:
        if self.buffer.captures:
            self.buffer.capture()
        elif self._ended:
            self._add_after_end()
        elif self.closed:
            self._drop("shutdown", len(self.buffer))
        else:
            self._keep()

    def _add_after_end(self) -> None:
        """Keep what the application's own last steps record, which run in the main thread.

        A thread that outlives them may be stopped at any moment: it must not stand in their way. What it records is
        written with theirs.
        """
        if self.closed:
            self._drop("shutdown", len(self.buffer))
        if threading.get_ident() == threading.main_thread().ident:
            self._write_directly()
        else:
            self._drop("shutdown", self._excess())

    def _keep(self) -> None:
        room = self._room()  # reads the settings, if nothing has yet: they may switch recording off
        if not switches.enabled:
            self.buffer.clear()
        elif len(self.buffer) > room:
            self._full()
        elif (writer := self._started()) is not None:
            writer.notice()
        else:
            switches.work(room)

    def _room(self) -> int:
        writer = self._writer
        return self.config.buffer_size if writer is None else writer.room()

    def _excess(self) -> int:
        return len(self.buffer) - self._room()

    def _full(self) -> None:
        writer = self._started()
        if writer is None:
            self._drop("no writer", self._excess())
            return
        writer.wake()
        if self.config.on_full == "wait" and not self.holds_lock() and not writer.is_here():
            while not writer.store.failing:
                if self._excess() <= 0:
                    return  # and looks no further: others may have filled the room again, and wait for theirs
                if self._writer is not writer:
                    self._overflow()  # the settings have changed
                    return
                time.sleep(0.001)
        self._drop(writer.store.reason if writer.store.failing else "full buffer", self._excess())
        writer.wake()

    def _drop(self, reason: str, count: int) -> None:
        with self.lock:
            if dropped := self.buffer.drop(count):
                self.losses.lose(reason, dropped)

    # -- the way through ---------------------------------------------------------------------------------------

    def _started(self) -> Writer | None:
        """The writer, which starts with the first record; None where no thread can be had."""
        self.watch_exits()
        writer = self._writer
        if writer is not None and writer.runs:
            return writer
        config = self.config
        with self.lock:
            writer = self._writer or Writer(self.buffer, self.losses, switches, config)
            if not writer.start():
                return None
            self._writer = writer
            return writer

    def _write_directly(self) -> bool:
        """Write in this thread, where no other can be had or the writer has ended; returns whether all is on disk.

        Where the disk hangs, or another thread is at it, nothing is waited for in vain: an exit must not hang.
        """
        if self.holds_lock() or self._direct_thread == threading.get_ident() or self._hangs():
            return False
        if not self._direct_lock.acquire(timeout=0 if sys.is_finalizing() else EXIT_TIMEOUT):
            return False
        try:
            self._direct_thread = threading.get_ident()
            if self._direct is None:
                self._direct = Writer(self.buffer, self.losses, switches, self.config, threads=False)
            return self._direct.write_here()
        finally:
            self._direct_thread = 0
            self._direct_lock.release()

    def _hangs(self) -> bool:
        """Whether the writer has been told to end and cannot, as the disk does not answer."""
        return self._writer is not None and self._writer.hangs

    def watch_exits(self) -> bool:
        """See to it that the end of the process finds its records; returns whether the main thread did its part."""
        if not self._exits.watched:
            with self.lock:
                self._exits.watch_process()
        return self._exits.watched

    def _look(self) -> None:
        switches.look_at_every(self.closed or self._ended or bool(self.buffer.captures))

    # -- the way out -------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """Write all that was recorded before; returns whether it is on disk (False: the time was up, or it failed)."""
        deadline = None if timeout is None else clocks.seconds() + timeout
        self._guarded(self.open_work.write_unmet)
        if self.buffer.captures or self.closed:
            return True
        if self._writer is None and not (self.buffer.rows or self.losses):
            return True
        try:
            return self._flush(deadline)
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("flush", error)
            return False

    def _flush(self, deadline: float | None) -> bool:
        while not self._ended:
            writer = self._started()
            if writer is None:
                break
            if (done := writer.flush(deadline)) is not None:
                return done
        return self._write_directly()

    def shutdown(self, timeout: float | None = None) -> bool:
        """Write all and stop; what is recorded afterwards is dropped and counted."""
        deadline = clocks.seconds() + (EXIT_TIMEOUT if timeout is None else timeout)
        done = self.flush(timeout)
        with self.lock:
            writer = self._writer
            self.closed = True
            self._look()
        if writer is not None:
            left = max(0.0, deadline - clocks.seconds())
            done = writer.stop(left, patience=left)
            with self.lock:
                if self._writer is writer and not self._ended:
                    self._writer = None
        self._drop("shutdown" if done else FAILING, len(self.buffer))
        return done

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("collector", error)

    # -- the end of the process, and forks ---------------------------------------------------------------------

    def end(self) -> None:
        """The process ends: what is still open is abandoned, all is written, within `EXIT_TIMEOUT`.

        A disk that refuses is tried again until then. After a shutdown only the count of what came too late is written.
        The writer's thread ends, too, so that it is not in the interpreter's way; what is recorded from now on, by the
        application's own last steps, is written by the thread that records it.
        """
        if switches.enabled:
            self._guarded(self._end)

    def _end(self) -> None:
        deadline = clocks.seconds() + EXIT_TIMEOUT
        self._guarded(self.open_work.abandon)
        self._guarded(self.open_work.write_unmet)
        if not self._ended and (self.buffer.rows or self.losses or self._writer is not None):
            self._flush(deadline)
        with self.lock:
            self._ended = True
            self._look()
            writer = self._writer
        if writer is not None:  # a second end, of a signal in the midst of the first, waits for the same
            left = max(0.0, deadline - clocks.seconds())
            writer.stop(left, patience=left)
        if self.buffer.rows or self.losses:
            self._write_directly()
        if self._direct is not None and self._direct.store.waiting:
            self._direct.close_here(max(0.0, deadline - clocks.seconds()))
        if self.losses.dropped:
            self.losses.say_lost(self.losses.keep_outside(self.config.directory, now=True))

    def _before_fork(self) -> None:
        """Fork at a moment when no thread of ours is in the middle of anything, an import above all.

        A child that needs a module which a thread was importing at the fork would wait for that thread for ever.
        """
        self._guarded(self._exits.before_fork)
        writer = self._writer
        if writer is not None and not self.holds_lock():
            self._paused[threading.get_ident()] = writer
            writer.pause(FORK_TIMEOUT)
        if self.lock.acquire(timeout=FORK_TIMEOUT):
            self._forking = threading.get_ident()
        self._guarded(self.open_work.identify)

    def _after_fork_in_parent(self) -> None:
        if (writer := self._paused.pop(threading.get_ident(), None)) is not None:
            writer.resume()
        if self._forking == threading.get_ident():
            self._forking = 0
            self.lock.release()
        self._guarded(self._exits.after_fork)

    def _after_fork_in_child(self) -> None:
        """Nothing waits, nothing is open, no lock is held: all of that is the parent's.

        Settings stay: a child writes where its parent does, whatever has become of the working directory.
        """
        writer = self._writer
        self.lock = threading.RLock()  # the inherited one may be held by a thread that is not here
        self.buffer.begin_process(self.lock)
        self.losses.begin_process(self.lock)
        self._begin_process()
        self._exits.begin_process()
        if writer is not None:
            writer.abandon()
        self._guarded(self.open_work.leave_to_parent)
        self.opened.clear()
        switches.begin_process()
        self._guarded(self._exits.after_fork)

    # -- capture -----------------------------------------------------------------------------------------------

    def capture(self) -> list[Row]:
        """From now on, put records into the list returned and nowhere else."""
        if not self.buffer.captures:
            self.flush(EXIT_TIMEOUT)  # what was recorded before stays out of it
        rows: list[Row] = []
        with self.lock:
            self.buffer.captures.append(rows)
            self._look()
        return rows

    def release(self, rows: list[Row]) -> None:
        """End that capture."""
        with self.lock:
            self.buffer.captures = [one for one in self.buffer.captures if one is not rows]
            self._look()

    def prepared(self, rows: list[Row]) -> list[Row]:
        """Captured rows as they would have been stored."""
        preparation = Preparation(self.config, self.trouble, self.losses.lose)
        with self.lock:
            claimed = preparation.claim(rows)
        return preparation.finish(claimed)


collector = Collector()


def wall_microseconds(monotonic: int) -> int:
    """A reading of the monotonic clock as microseconds since 1970."""
    return (monotonic + clocks.wall_offset()) // 1000
