"""The ends of a process at which its records are still to be written: a normal exit, SIGTERM, a multiprocessing child.

The handler of SIGTERM is set only where the application has left the default, so the process still dies by the signal.
"""

from __future__ import annotations

import _thread
import atexit
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from instrument.collecting.nudges import Nudges

EXIT_TIMEOUT = 5.0
"""Seconds that an exit waits for the disk, at most."""

LONGEST_WAIT = 10.0
"""Seconds until a SIGTERM lets the interrupted thread go on, should writing not have ended the process by then."""


class Exits:
    """Call `end` before the process ends; `holds_lock` says whether waiting for it here could never end."""

    def __init__(
        self, end: Callable[[], None], flush: Callable[[float | None], object], holds_lock: Callable[[], bool]
    ) -> None:
        self.watched = False
        self._end = end
        self._flush = flush
        self._holds_lock = holds_lock
        self._signal_seen = False
        self._children_seen = False
        self._exec_seen = False
        self._nudges = Nudges(self._on_sigterm, end)
        self._masks: dict[int, Any] = {}
        # On import, so that it runs after whatever the application registers: that may record, too.
        atexit.register(end)

    def before_fork(self) -> None:
        """Let no thread of ours run, and no SIGTERM come to the child before it is ready.

        The next record that is looked at starts the thread again.
        """
        self._nudges.pause()
        self.watched = False
        if self._signal_seen and hasattr(os, "fork"):
            import signal

            self._masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def after_fork(self) -> None:
        """Let SIGTERM come again, in parent and child; one that came meanwhile comes now."""
        mask = self._masks.pop(threading.get_ident(), None)
        if mask is not None:
            import signal

            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def begin_process(self) -> None:
        """In a forked child: `atexit` is inherited, multiprocessing's list is not.

        The signal ends a child that records nothing as it does without us: by the system, and at once.
        """
        self.watched = self._children_seen = False
        self._nudges.begin_process()
        if self._signal_seen:
            import signal

            self._signal_seen = False
            if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch_process(self) -> None:
        """Set up what is not set up on import; the signal as soon as the main thread comes by."""
        if not self._children_seen:
            self._children_seen = True
            self._watch_multiprocessing()
            self._watch_celery()
            self._watch_uvicorn()
        if not self._exec_seen:
            self._exec_seen = True
            self._watch_exec()
        if not self._signal_seen and threading.get_ident() == threading.main_thread().ident:
            self._signal_seen = True
            self._watch_signal()
        self._nudges.resume()
        self.watched = self._signal_seen

    def _watch_multiprocessing(self) -> None:
        """Children of multiprocessing, and of Celery's fork of it, leave by os._exit after running their finalisers."""
        for package in _child_of():
            sys.modules[f"{package}.util"].Finalize(None, self._end_child, exitpriority=0)

    def _watch_celery(self) -> None:
        """Processes of Celery's pool run no finalisers, but send a signal of Celery's before they leave by os._exit."""
        if (signals := sys.modules.get("celery.signals")) is not None:
            signals.worker_process_shutdown.connect(self._end_pool_process, weak=False)

    def _watch_uvicorn(self) -> None:
        """Flush when a server of uvicorn has shut down.

        It catches SIGTERM, and once it has shut down it raises the signal again with the handler that was there before:
        that ends the process past `atexit`.
        """
        import signal

        kind = getattr(sys.modules.get("uvicorn.server"), "Server", None)
        server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if kind is not None and isinstance(server, kind):
            server.shutdown = self._flushing_after(server.shutdown)

    def _flushing_after(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        async def flush_last(*args: Any, **kwargs: Any) -> Any:
            try:
                return await call(*args, **kwargs)
            finally:
                self._flush(EXIT_TIMEOUT)

        return flush_last

    def _watch_exec(self) -> None:
        """Flush before another program takes this process over; all of `os.exec*` go through these two.

        An audit hook would see the same, and cost every audited event of the process 0.1 µs or more.
        """
        for name in ("execv", "execve"):
            call = getattr(os, name, None)
            if call is not None:
                setattr(os, name, self._flushing(call))

    def _flushing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def flush_first(*args: Any, **kwargs: Any) -> Any:
            self._flush(EXIT_TIMEOUT)
            return call(*args, **kwargs)

        return flush_first

    def _end_pool_process(self, **_: object) -> None:
        self._end()

    def _end_child(self) -> None:
        """End, after the threads that outlive the child's main function."""
        others = [
            thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.current_thread()
        ]
        if others:
            threading.Thread(target=self._end_after, args=(others,), name="instrument-end").start()
        else:
            self._end()

    def _end_after(self, others: list[threading.Thread]) -> None:
        for thread in others:
            thread.join()
        self._end()

    def _watch_signal(self) -> None:
        import signal

        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)
            if any(_child_of()):
                self._nudges.watch()

    def _on_sigterm(self, number: int, frame: object) -> None:
        """Write all, then die by the signal; a second one kills at once.

        Where a handler of the application's has taken this one's place and calls it, the application decides what
        becomes of the process: then this only flushes. Without us it would have found nothing to call.
        """
        import signal

        if signal.getsignal(number) == self._on_sigterm:
            self._nudges.handled = True
            signal.signal(number, signal.SIG_DFL)
            self._beside(functools.partial(self._end_by, number))
        else:
            self._beside(functools.partial(self._flush, EXIT_TIMEOUT))

    def _beside(self, step: Callable[[], object]) -> None:
        """Let another thread do it, and wait for that.

        The interrupted thread may hold anything. It is let go on where it holds our lock.
        """
        done = _thread.allocate_lock()
        done.acquire()

        def do() -> None:
            try:
                step()
            finally:
                done.release()

        try:
            _thread.start_new_thread(do, ())
        except RuntimeError:  # no threads any more: the interpreter is going
            do()
        if not self._holds_lock():
            done.acquire(timeout=LONGEST_WAIT)

    def _end_by(self, number: int) -> None:
        try:
            self._end()
        finally:
            os.kill(os.getpid(), number)


def _child_of() -> list[str]:
    """The packages, multiprocessing or Celery's fork of it, whose child this process is."""
    found = []
    for package in ("multiprocessing", "billiard"):
        process = sys.modules.get(f"{package}.process")
        is_child = process is not None and type(process.current_process()).__name__ != "_MainProcess"
        if is_child and f"{package}.util" in sys.modules:  # a child's name is for anybody to choose
            found.append(package)
    return found
