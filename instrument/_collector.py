"""The bounded buffer of finished records and the one thread that writes them.

A record is appended to `buffer` by the thread that made it; nothing else happens there unless the buffer is longer
than `hot["LIMIT"]`. That one comparison covers everything that is not the usual case: the first record (0: start or
wake the writer), a full batch (`BATCH`: write early), a full buffer (its size: drop or wait), and capture or shutdown
(-1: every record is looked at).
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from instrument import config as settings
from instrument._outlets import Outlet, open_outlets
from instrument._preparation import Preparation, wall_offset
from instrument._rows import HealthRow, Row
from instrument.config import Config
from instrument.errors import ConfigError

BATCH = 1024
"""Rows written at once: about a millisecond of encoding, so the interpreter's lock is never held long."""

EXIT_TIMEOUT = 5.0
"""Seconds that an exit waits for the disk, at most."""


class Collector:
    """This process's records on their way to the disk."""

    def __init__(self) -> None:
        self.buffer: list[Row] = []
        self.opened: set[Any] = set()
        # A name in the wrappers' own namespace is the cheapest thing that can change under them (5 ns a look).
        self.hot: dict[str, Any] = {"buffer": self.buffer, "LIMIT": 0}
        self.lock = threading.RLock()
        self.before_flush: list[Callable[[], None]] = []
        self.at_end: list[Callable[[], None]] = []
        self.on_switch: Callable[[bool], None] = lambda enabled: None
        self.before_fork: Callable[[], None] = _nothing
        self.after_fork: Callable[[], None] = _nothing
        self.enabled = True
        self.closed = False
        self.inherited: set[Any] = set()
        self.dropped: dict[str, int] = {}
        self.problems: dict[str, int] = {}
        self._overrides: dict[str, Any] = {}
        self._captures: list[list[Row]] = []
        self._config: Config | None = None
        self._preparation: Preparation | None = None
        self._outlets: list[Outlet] = []
        self._writer: threading.Thread | None = None
        self._registered = False
        self._forget_process()
        os.register_at_fork(before=lambda: self.before_fork(), after_in_child=self._after_fork)

    # -- settings ----------------------------------------------------------------------------------------------

    def configure(self, overrides: dict[str, Any]) -> None:
        """Take settings over; what was recorded before is written under the old ones.

        Raises ConfigError, with nothing changed, when one is wrong.
        """
        checked = {key: settings.checked(key, value, "configure()") for key, value in overrides.items()}
        Preparation(Config(**{**self._overrides, **checked}), self.trouble)
        if self._config is not None:
            self.flush(EXIT_TIMEOUT)
        with self.lock:
            self._overrides.update(checked)
            self._let_go()
            self.closed = False
            self._switch(bool(self._overrides.get("enabled", True)))
            self._reset_limit()

    @property
    def config(self) -> Config:
        """The settings in force, read from the environment and the files when they are first needed."""
        if self._config is None:
            self._resolve()
        assert self._config is not None
        return self._config

    def _resolve(self) -> None:
        with self.lock:
            values, _, wrong = settings.settle(self._overrides, os.environ, Path.cwd())
            config = Config(**values)
            try:
                self._preparation = Preparation(config, self.trouble)
            except ConfigError as error:
                wrong.append(error)
                config = Config(**{**values, "redact": (), "capture_input": "none"})
                self._preparation = Preparation(config, self.trouble)
            self._config = config
            self._switch(config.enabled)
        for mistake in wrong:
            self.trouble("setting", mistake)

    def _switch(self, enabled: bool) -> None:
        self.enabled = enabled
        self.on_switch(enabled)

    def overrides(self, key: str) -> bool:
        """Whether `configure()` was given a setting."""
        return key in self._overrides

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

    def _overflow(self) -> None:
        if self._captures or self.inherited:
            self._look_at_all()
        if self._captures:
            return
        if self.closed:
            self._drop("shutdown", len(self.buffer))
            return
        size = self.config.buffer_size
        if not self.enabled:
            self.buffer.clear()
        elif len(self.buffer) + self._waiting() > size:
            self._full(size)
        else:
            self.hot["LIMIT"] = -1 if self.inherited else size - self._waiting()
            self._start()
            self._wake_up()

    def _look_at_all(self) -> None:
        with self.lock:
            rows = self.buffer[:]
            del self.buffer[: len(rows)]
            rows = [row for row in rows if row not in self.inherited] if self.inherited else rows
            (self._captures[-1] if self._captures else self.buffer).extend(rows)

    def _full(self, size: int) -> None:
        self._wake_up()
        if self.config.on_full == "wait":
            while len(self.buffer) + self._waiting() > size and not self._failing():
                time.sleep(0.001)
            if len(self.buffer) + self._waiting() <= size:
                return
        self._drop("failing disk" if self._failing() else "full buffer", len(self.buffer) + self._waiting() - size)

    def _drop(self, reason: str, count: int) -> None:
        with self.lock:
            count = min(count, len(self.buffer))
            if count > 0:
                del self.buffer[-count:]
                self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _waiting(self) -> int:
        return sum(outlet.waiting for outlet in self._outlets[:1])

    def _failing(self) -> bool:
        return any(outlet.failing for outlet in self._outlets[:1])

    def trouble(self, kind: str, error: BaseException) -> None:
        """Count a failure of ours and say it once per kind; never raise."""
        with self.lock:
            first = kind not in self.problems and kind not in self._said
            self._said.add(kind)
            self.problems[kind] = self.problems.get(kind, 0) + 1
        if first:
            import logging

            logging.getLogger("instrument").warning(
                "%s: %s (said once; later ones are counted, see `metrics doctor`)", kind, error
            )

    # -- the writer --------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._writer is not None:
            return
        with self.lock:
            if self._writer is not None:
                return
            self._register_exits()
            self._writer = threading.Thread(target=self._write_on, name="instrument-writer", daemon=True)
            try:
                self._writer.start()
            except RuntimeError as error:
                self._writer = None
                self.trouble("writer", error)

    def _write_on(self) -> None:
        me, interval = threading.current_thread(), self.config.flush_interval_ms / 1000
        while self._writer is me:
            self._await_records(interval)
            try:
                with self._draining:
                    self._drain()
                self._check_termination()
            except Exception as error:  # noqa: BLE001 - the writer outlives whatever goes wrong in it
                self.trouble("writer", error)

    def _await_records(self, interval: float) -> None:
        if not self._waiting():
            self._reset_limit()
            if not self.buffer:
                self._wake.acquire()
        if not self.closed and not self._captures and not self.inherited:
            self.hot["LIMIT"] = min(BATCH, self.config.buffer_size - self._waiting())
        if len(self.buffer) <= BATCH:
            self._wake.acquire(timeout=interval)

    def _wake_up(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:
            return  # it is awake already

    def _drain(self) -> None:
        outlets = self._ready_outlets()
        while True:
            with self.lock:
                batch = self.buffer[:BATCH]
                del self.buffer[: len(batch)]
                rows = self._prepared(batch)
            for outlet in outlets:
                outlet.take(rows)
            if not batch:
                return

    def _prepared(self, batch: list[Row]) -> list[Row]:
        """Prepare under the lock, so that a call ending late sees its query either unwritten or written."""
        if self._preparation is None:
            self._resolve()
        assert self._preparation is not None
        rows = self._preparation.rows(batch)
        if (self.dropped or self.problems) and not self._failing():
            dropped, self.dropped, problems, self.problems = self.dropped, {}, self.problems, {}
            rows += self._preparation.rows([HealthRow(time.time_ns() // 1000, dropped, problems)])
        return rows

    def _ready_outlets(self) -> list[Outlet]:
        if not self._outlets:
            self._outlets = open_outlets(self.config, self.trouble)
        return self._outlets

    # -- the way out -------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """Write all that was recorded before; returns whether it is on disk (False: the time was up, or it failed)."""
        for step in self.before_flush:
            step()
        if self._captures or (self._writer is None and not self.buffer):
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._draining.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            return False
        self._drainer = threading.get_ident()
        try:
            self._drain()
        except Exception as error:  # noqa: BLE001 - ours, and so never the application's
            self.trouble("flush", error)
        finally:
            self._drainer = 0
            self._draining.release()
        self._check_termination()
        done = [outlet.flush(deadline) for outlet in self._outlets]
        return all(done)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Write all and stop; what is recorded afterwards is dropped and counted."""
        done = self.flush(timeout)
        with self.lock:
            self.closed = True
            self.hot["LIMIT"] = -1
            self._let_go()
        return done

    def _let_go(self) -> None:
        self._writer = None
        self._wake_up()
        for outlet in self._outlets:
            outlet.close()
        self._outlets = []
        self._config = self._preparation = None

    def _reset_limit(self) -> None:
        self.hot["LIMIT"] = -1 if self.closed or self._captures or self.inherited else 0

    def end(self) -> None:
        """The process ends: what is still open is abandoned, all is written, within `EXIT_TIMEOUT`."""
        if self.closed or (self._writer is None and not self.buffer and not self.opened):
            return
        for step in self.at_end:
            step()
        self.flush(EXIT_TIMEOUT)

    def _register_exits(self) -> None:
        if self._registered:
            return
        self._registered = True
        atexit.register(self.end)
        # Children of multiprocessing leave by os._exit after running these.
        if "multiprocessing.util" in sys.modules and sys.modules["multiprocessing.process"].parent_process():
            sys.modules["multiprocessing.util"].Finalize(None, self.end, exitpriority=0)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: object) -> None:
        self._terminating = True
        if self._drainer != threading.get_ident():
            self.end()
            self._check_termination()

    def _check_termination(self) -> None:
        """Die by the signal once nothing of ours is in the way."""
        if self._terminating and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    # -- fork --------------------------------------------------------------------------------------------------

    def _forget_process(self) -> None:
        self._config = None
        self._preparation = None
        self._outlets = []
        self._writer = None
        self._wake = threading.Lock()
        self._wake.acquire()
        self._draining = threading.Lock()
        self._drainer = 0
        self._terminating = False
        self._registered = False
        self._said: set[str] = set()

    def _after_fork(self) -> None:
        """In the child: nothing waiting, nothing open, no lock held; queries open at the fork are the parent's."""
        self.lock = threading.RLock()
        for outlet in self._outlets:
            outlet.abandon()
        registered = self._registered
        self._forget_process()
        self._registered = registered and "multiprocessing" not in sys.modules
        self.buffer.clear()
        self.dropped, self.problems = {}, {}
        self.after_fork()
        self._reset_limit()

    # -- capture -----------------------------------------------------------------------------------------------

    def capture(self) -> list[Row]:
        """From now on, put records into the list returned and nowhere else."""
        if self.buffer and not self._captures:
            self.flush(EXIT_TIMEOUT)  # what was recorded before stays out of it
        rows: list[Row] = []
        with self.lock:
            self._captures.append(rows)
            self.hot["LIMIT"] = -1
        return rows

    def release(self, rows: list[Row]) -> None:
        """End that capture."""
        with self.lock:
            self._captures.remove(rows)
            self._reset_limit()

    def prepared(self, rows: list[Row]) -> list[Row]:
        """Captured rows as they would have been stored."""
        with self.lock:
            _ = self.config
            assert self._preparation is not None
            return self._preparation.rows(rows)


def _nothing() -> None:
    return


collector = Collector()


def wall_microseconds(monotonic: int) -> int:
    """A reading of the monotonic clock as microseconds since 1970."""
    return (monotonic + wall_offset()) // 1000
