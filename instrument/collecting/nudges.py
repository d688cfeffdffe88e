"""SIGTERM to a child of multiprocessing that comes at the wrong moment.

A handler that is written in Python runs between two steps of the main thread. Where the signal comes after the last
step before a call that blocks, it waits until that call ends. `Pool.terminate` sends its signal just as a worker goes
from its last result to waiting for the next task, and then waits for the worker: 5 of 150 pools hung for ever.

So a thread of the child reads which signals came, as the system tells of them at once (`signal.set_wakeup_fd`). If the
handler does not run soon, the thread writes what there is and sends the signal again, which ends the call.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from instrument.collecting.delivery import join_wholly

PATIENCE = 0.05
"""Seconds that the handler has to begin, each time."""

TRIES = 40
"""How often the signal is sent again until the process is killed: its main thread does not come back to Python."""

_STOP = 0


class Nudges:
    """Send SIGTERM again where `handler` does not begin by itself, after `end` has written what there is."""

    def __init__(self, handler: Callable[..., Any], end: Callable[[], None]) -> None:
        self.handled = False
        self._handler = handler
        self._end = end
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Begin to read which signals come, in the main thread; not where an event loop does so already."""
        import signal

        if self._pipe is not None or "trio" in sys.modules:
            return
        pipe = os.pipe()
        os.set_blocking(pipe[1], False)
        others = signal.set_wakeup_fd(pipe[1], warn_on_full_buffer=False)
        if others != -1:
            signal.set_wakeup_fd(others)
            _close(pipe)
            return
        self._pipe = pipe
        sys.meta_path.insert(0, _Watch(self.leave))
        self.resume()

    def leave(self) -> None:
        """Leave the signals to Trio, which reads them itself and warns of others that do."""
        import signal

        if self._pipe is not None and threading.current_thread() is threading.main_thread():
            others = signal.set_wakeup_fd(-1)
            if others not in (self._pipe[1], -1):
                signal.set_wakeup_fd(others)
            self.pause()
            pipe, self._pipe = self._pipe, None
            _close(pipe)

    def resume(self) -> None:
        """Start the thread again that a fork has ended; does nothing where there was none."""
        if self._pipe is None or self._thread is not None:
            return
        thread = threading.Thread(target=self._run, args=(self._pipe[0],), name="instrument-signals", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # none can be had: then the handler runs when it runs
        self._thread = thread

    def pause(self) -> None:
        """Before a fork: end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None and self._pipe is not None and thread is not threading.current_thread():
            os.write(self._pipe[1], bytes((_STOP,)))
            join_wholly(thread, 1)

    def begin_process(self) -> None:
        """In a forked child: let go of what is the parent's."""
        import signal

        pipe, self._pipe, self._thread, self.handled = self._pipe, None, None, False
        if pipe is not None:
            others = signal.set_wakeup_fd(-1)
            if others not in (pipe[1], -1):
                signal.set_wakeup_fd(others)
            _close(pipe)

    def _run(self, source: int) -> None:
        import signal

        while came := os.read(source, 64):
            if _STOP in came:
                return
            if signal.SIGTERM in came:
                self._see_to_it()

    def _see_to_it(self) -> None:
        import signal

        time.sleep(PATIENCE)
        if self._is_done():
            return
        self._end()
        for _ in range(TRIES):
            if self._is_done():
                return
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(PATIENCE)
        if not self._is_done():
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_done(self) -> bool:
        """Whether the handler has begun, or is the application's own by now."""
        import signal

        return self.handled or signal.getsignal(signal.SIGTERM) != self._handler


class _Watch:
    """Finds no module, and sees when Trio is looked for."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Say that this finds nothing."""
        if name == "trio":
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
            self._leave()


def _close(pipe: tuple[int, int]) -> None:
    for end in pipe:
        os.close(end)
