"""What shippers have in common: they gather records into batches, and send each until the other side takes it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from instrument.errors import InstrumentError, RefusedError
from instrument.store.tail import Following

GATHERED_SECONDS = 1.0
"""How long a batch waits for more while it follows."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two tries of the same request: the pause doubles from the first to the longest."""

TRIES = 5
"""How often a request is tried when it does not follow; some ten seconds in all."""

T = TypeVar("T")
R = TypeVar("R")


class StoppedError(Exception):
    """The delivery was told to stop before a request was taken; the request comes again another time."""


class Delivery:
    """How one shipper sends: what is there now, or with `follow` also what comes, until `stop` is set.

    `say` is given a line about what stands in the way; `again` counts the requests that had to be repeated.
    """

    def __init__(self, stop: threading.Event | None, say: Callable[[str], None], *, follow: bool) -> None:
        self.stop = stop or threading.Event()
        self.say = say
        self.follow = follow
        self.again = 0

    @property
    def wait(self) -> float:
        """How many seconds the shipper's follower waits for more."""
        return GATHERED_SECONDS if self.follow else 0

    def batches(self, following: Following[T], most: int) -> Iterator[list[T]]:
        """Give records in lists of about `most`: what is there at once, what comes within a second together.

        With `follow` an empty list says that nothing is left for now. The follower's cursor stands behind the list.
        """
        while not self.stop.is_set():
            for gathered in self._gathered(following, most):
                if self.stop.is_set():
                    return
                yield gathered
            if not self.follow:
                return
            yield []

    def _gathered(self, following: Following[T], most: int) -> Iterator[list[T]]:
        gathered: list[T] = []
        deadline = time.monotonic() + GATHERED_SECONDS
        for records in following.batches():
            gathered += records
            if len(gathered) >= most or time.monotonic() > deadline or self.stop.is_set():
                yield gathered
                gathered, deadline = [], time.monotonic() + GATHERED_SECONDS
        if gathered:
            yield gathered

    def tried(self, send: Callable[[], R], *, whatever_fails: bool = False) -> R:
        """Send a request until it is taken, with growing pauses: `TRIES` times, or for ever with `follow`.

        An error that may pass is said once; with `whatever_fails`, every error of this package or of the system is
        taken for such a one. Raises any other error, and StoppedError once `stop` is set.
        """
        pause, said, tries = FIRST_PAUSE, "", 0
        while not self.stop.is_set():
            try:
                return send()
            except (InstrumentError, OSError) as error:
                tries += 1
                passes, wait = whatever_fails, 0.0
                if isinstance(error, RefusedError):
                    passes, wait = passes or error.later, error.wait
                if not passes or (not self.follow and (tries >= TRIES or wait > LONGEST_PAUSE)):
                    raise
                if str(error) != said:
                    said = str(error)
                    self.say(f"{said}; trying again, nothing is lost")
                self.again += 1
                self.stop.wait(max(wait, pause * random.uniform(0.7, 1.3)))
                pause = min(pause * 2, LONGEST_PAUSE)
        raise StoppedError

    def until_stopped(self) -> suppress:
        """A context that ends without an error when the delivery is told to stop."""
        return suppress(StoppedError)
