"""The one thread that takes records out of the buffer and writes them.

It starts with the first record, sleeps while there is none, and ends with the settings it was made for. Whoever wants
something on disk asks it and waits: nothing is written from a thread of the application's, so that no disk can hold
one up for longer than it agreed to.
"""

from __future__ import annotations

import threading
from pathlib import Path

from instrument import clocks
from instrument.collecting.buffer import Buffer
from instrument.collecting.delivery import LAST_RETRY_SECONDS, Outlet, join_wholly, open_outlets
from instrument.collecting.finalizing import Preparation
from instrument.collecting.losses import Losses
from instrument.collecting.store_key import store_key
from instrument.collecting.switches import Switches
from instrument.collecting.waits import HAND_OVER_SECONDS, Waits
from instrument.config import Config
from instrument.followed import is_followed
from instrument.rows.stored import Row

BATCH = 1024
"""Rows written at once: about a millisecond of encoding, so the interpreter's lock is never held long.

Four times as many where sixteen times as many wait: every write lets go of that lock, and beside a busy thread it takes
5 ms to have it back.
"""

FOLLOWED_SECONDS = 1.0
"""How often a writer asks whether somebody still follows its store."""


class _Request:
    """Someone who waits until what was recorded before is written."""

    __slots__ = ("answered", "done")

    def __init__(self) -> None:
        self.answered = threading.Lock()
        self.answered.acquire()
        self.done = False

    def answer(self, done: bool) -> None:
        self.done = done
        self.answered.release()

    def wait(self, deadline: float | None) -> bool:
        return self.answered.acquire(timeout=-1 if deadline is None else _left(deadline)) and self.done


class Writer:
    """Rows from the buffer to the outlets, under one set of settings.

    Without `threads` the caller's own thread writes (`write_here`), as at the end of the interpreter.
    """

    def __init__(
        self, buffer: Buffer, losses: Losses, switches: Switches, config: Config, *, threads: bool = True
    ) -> None:
        self.outlets: list[Outlet] = open_outlets(config, losses.trouble, losses.lose, threads)
        self.store = self.outlets[0]
        self.stopping = False
        self._until = 0.0
        self._ended = False
        self._buffer = buffer
        self._losses = losses
        self._switches = switches
        self._preparation = Preparation(config, losses.trouble, losses.lose, lambda: store_key(Path(config.directory)))
        self._directory = config.directory
        self._size = config.buffer_size
        self._waits = Waits(config.flush_interval_ms / 1000)
        self._dozes = False
        self._followed = False
        self._asked_followed = 0.0
        self._requests: list[_Request] = []
        self._thread: threading.Thread | None = None
        self._forking: set[int] = set()
        self._token = threading.Lock()
        self._token.acquire()

    # -- for other threads -------------------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether the thread has been started and has not ended for a fork."""
        return self._thread is not None

    def start(self) -> bool:
        """Start the thread, with the buffer's lock held; does nothing while another thread forks.

        Returns False where none can be had: at the end of the interpreter, or at a limit.
        """
        if self._forking or self._thread is not None:
            return True
        thread = threading.Thread(target=self._run, name="instrument-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    @property
    def hangs(self) -> bool:
        """Whether it was asked to end and has not, as the disk does not answer."""
        return self.stopping and not self._ended and not self.is_here() and clocks.seconds() > self._until

    def is_here(self) -> bool:
        """Whether this is the writer's own thread."""
        thread = self._thread
        return thread is not None and threading.get_ident() == thread.ident

    def room(self) -> int:
        """How many records the buffer may hold now: fewer while others wait for a failing disk."""
        return self._size - self.store.waiting

    def notice(self) -> None:
        """See that the buffer has outgrown the limit: raise that while the writer waits, or let it look.

        Where it fights for the interpreter's lock, that is handed over to it.
        """
        with self._buffer.lock:
            count, full = len(self._buffer), self._full()
            if self._dozes and count < full and not self._waits.is_due():
                self._switches.work(min(self._waits.further(count), full))
                return
            late = self._dozes and self._waits.is_due()
            self._switches.work(self.room())
        if (late or self._waits.fights) and not (self.store.waiting or self.is_here()):
            self._hand_over()
        else:
            self.wake()

    def _hand_over(self) -> None:
        """Wait until the writer has written and waits again: it has the interpreter's lock meanwhile."""
        request = self._ask()
        if request is not None:
            self._waits.handed_over(request.wait(clocks.seconds() + HAND_OVER_SECONDS))

    def _full(self) -> int:
        """How many records the buffer may hold until they are written before their time."""
        return min(BATCH, self.room() // 2)

    def wake(self) -> None:
        """Let it look at the buffer; harmless when it is awake."""
        try:
            self._token.release()
        except RuntimeError:
            return

    def flush(self, deadline: float | None) -> bool | None:
        """Wait until all that was recorded before is in every outlet's sink.

        Returns False when it is not by `deadline`, None when the writer has ended: another has its work.
        """
        if self.is_here():  # a redaction function that flushes
            return False
        request = self._ask()
        if request is None:
            return None
        done = request.wait(deadline)
        others = [outlet.flush(deadline) for outlet in self.outlets[1:]]
        return done and all(others)

    def stop(self, timeout: float, patience: float = 0.0) -> bool:
        """End the thread after what it has taken is written, waiting for `timeout` seconds at most.

        A disk that refuses is tried again for `patience` seconds. Returns whether the thread has ended and all that it
        took is written.
        """
        self.retire(patience)
        self.wake()
        thread = self._thread
        if thread is None:  # it ended for a fork, with everything written
            self._close()
            self._ended = True
        elif not self.is_here():
            thread.join(timeout + LAST_RETRY_SECONDS)  # time to count what the disk refused to the last
        return self._ended and not any(outlet.lost for outlet in self.outlets)

    def retire(self, patience: float = 0.0) -> None:
        """Take no further records, for `stop` to end the thread: from now on it leaves the switches alone."""
        if not self.stopping:
            self._until = clocks.seconds() + patience
            self.stopping = True

    def write_here(self) -> bool:
        """Write in the caller's thread; returns whether all is on disk."""
        self._write()
        flushed = [outlet.flush(None) for outlet in self.outlets]
        return all(flushed) and not self.store.waiting

    def close_here(self, patience: float) -> bool:
        """Let go of the files; what they have not taken after so many seconds is lost, and counted.

        Returns whether nothing was.
        """
        self._close(clocks.seconds() + patience)
        return not self.store.lost

    def pause(self, timeout: float) -> None:
        """Before a fork: let the thread write what was recorded and end, waiting for it that long (seconds) at most.

        So the forked child inherits nothing half done, and Python 3.12 and later do not warn of a fork beside a thread.
        """
        self._forking.add(threading.get_ident())
        until = clocks.seconds() + timeout
        thread = self._thread
        if thread is not None and not self.is_here():
            self.wake()
            join_wholly(thread, timeout)
        for outlet in self.outlets[1:]:
            outlet.pause(max(0.0, until - clocks.seconds()))

    def resume(self) -> None:
        """After the fork, in the parent, with the buffer's lock held: go on at once where there is something to do."""
        self._forking.discard(threading.get_ident())
        for outlet in self.outlets[1:]:
            outlet.resume()
        if self._buffer.rows or self._requests or self.store.waiting:
            self.start()

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent."""
        for outlet in self.outlets:
            outlet.abandon()

    def _ask(self) -> _Request | None:
        request = _Request()
        self._requests.append(request)
        self.wake()
        if self._ended and request in self._take_requests():
            return None
        return request

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._look_for_followers()
        while not self.stopping:
            self._sleep()
            requests = self._take_requests()
            self._try_to_write(now=bool(requests) or bool(self._forking))
            self._look_for_followers()
            self._answer(requests)  # from here to the next sleep nothing lets go of the interpreter's lock
            if self._forking and self._pauses():
                return
        self._try_to_write(now=True)
        self._close(self._until)
        self._ended = True
        self._answer(self._take_requests())

    def _pauses(self) -> bool:
        """End the thread for a fork, unless that is over; from now on a record starts another."""
        self._switches.rest()
        with self._buffer.lock:
            if not self._forking or self._requests:
                return False
            self._thread = None
            return True

    def _sleep(self) -> None:
        """For the flush interval, or until there are many records; where all is quiet, until there is one before that.

        Not at all if someone asks.
        """
        if self._is_wanted():
            return
        if self._waits.are_over and not self.store.waiting and self._is_idle():
            self._token.acquire()
            self._waits.broke_off()
            if self._is_wanted():
                return
        with self._buffer.lock:
            if self.stopping:
                return  # the next record is to wake another writer
            wait = self._waits.begin(self._waits.few and not self.store.waiting and not self._followed)
            self._switches.work(min(self._waits.expected, self._full()))
            self._dozes = True
        if not self._is_wanted() and len(self._buffer) <= BATCH and not self._token.acquire(timeout=wait):
            self._waits.timed_out()
        with self._buffer.lock:
            self._dozes = False

    def _look_for_followers(self) -> None:
        """See whether somebody follows the store, where that matters; where somebody does, once a second."""
        now = clocks.seconds()
        if self._waits.few and not (self._followed and now < self._asked_followed + FOLLOWED_SECONDS):
            self._followed, self._asked_followed = is_followed(self._directory), now

    def _is_wanted(self) -> bool:
        """Whether somebody waits for the thread: for a flush, for its end, or to fork."""
        return bool(self._requests or self._forking or self.stopping)

    def _is_idle(self) -> bool:
        """Whether there is no record; from before the look on, the next one wakes the thread."""
        self._switches.rest()
        return not self._buffer.rows

    def _take_requests(self) -> list[_Request]:
        requests = self._requests[:]
        del self._requests[: len(requests)]
        return requests

    def _answer(self, requests: list[_Request]) -> None:
        for request in requests:
            request.answer(self.store.waiting == 0)

    def _try_to_write(self, *, now: bool) -> None:
        try:
            self._write(now=now)
        except BaseException as error:  # noqa: BLE001 - the writer outlives whatever goes wrong in it
            self._losses.trouble("writer", error)

    def _write(self, *, now: bool = True) -> None:
        """Write what is in the buffer; `now` even if the disk failed a moment ago."""
        left = len(self._buffer)
        self._waits.looked(left)
        if not left or self.store.waiting:
            self._hand_on([], now)
        while left > 0:
            size = BATCH if left < 16 * BATCH else 4 * BATCH
            self._hand_on(self._preparation.finish(self._take(size)), now)
            left -= size
        if self.store.failing:
            self._losses.keep_outside(self._directory)
        elif not self.stopping and (health := self._losses.take()) is not None:
            self._hand_on(self._preparation.finish(self._preparation.claim([health])), now)
            if not self.store.waiting:
                self._losses.remove_outside()

    def _take(self, size: int) -> list[Row]:
        """The next rows, `size` at most, claimed: from now on these are the writer's own."""
        with self._buffer.lock:
            return [] if self.stopping else self._preparation.claim(self._buffer.take(size))

    def _hand_on(self, rows: list[Row], now: bool) -> None:
        for outlet in self.outlets:
            outlet.take(rows, now)

    def _close(self, until: float = 0.0) -> None:
        for outlet in self.outlets:
            outlet.close(until)


def _left(deadline: float) -> float:
    return max(0.0, deadline - clocks.seconds())
