"""How long the writer's thread waits between two looks at the buffer, and whether it has to fight for the lock.

A thread that waits for the interpreter's lock is woken whenever another lets go of it. An event loop lets go at each
look for events, and takes the lock back before a sleeping core has woken. Beside a loop with 1,000 queries a second the
writer was woken 3,000 times a second in vain, at 12 µs each. It had the lock after 0.14 s (median) to 1.7 s, and needs
it three times a flush.

So where the thread comes late, the application's thread hands the lock over: the record that makes the batch due waits
until that is written, for `HAND_OVER_SECONDS` at most. It is mostly much less, and the application's thread would stand
still anyway while the batch is encoded. The writer then took 3 to 5 µs a query, as beside a synchronous program.
"""

from __future__ import annotations

from instrument import clocks

QUIET = 3
QUIET_SECONDS = 0.6
"""Looks at the buffer that find nothing, or their seconds together, until the thread sleeps till a record wakes it.

Being woken costs the application's thread 30 µs and this one 100, at the rate of one query in 100 ms twice a flush.
"""

FEW = 128
STRETCH = 5
LONGEST_STRETCH = 1.0
"""Where fewer records than `FEW` come in a flush interval, the thread looks `STRETCH` times less often.

Never less often than every `LONGEST_STRETCH` seconds, unless the interval itself is longer, and not where somebody
follows the store. Each look beside a busy thread costs 60 to 200 µs: with the interval of 200 ms the thread took 23 µs
a query of 10 ms and 110 µs a query of 100 ms, with one of a second 6 and 24.
"""

LATE_SECONDS = 0.02
"""A thread that looks so much later than it wanted to did not get the lock: a busy thread gives it up within 5 ms."""

HAND_OVER_SECONDS = 0.005
"""How long the application's thread waits for the writer, at most: as long as a thread may keep the lock anyway."""

HAND_OVERS, MOST_HAND_OVERS = 64, 1024
"""After so many the thread looks by itself once more, to see whether it still comes late.

A look that comes late costs the writer 25 to 50 µs a query until the application's thread sees it. So that thread asks
at the end of the wait, and each late look doubles the hand-overs before the next. Both together brought the writer from
6 to 13 µs a query of 1 ms to 4.
"""

AT_ONCE = 8
"""Records beyond a quarter more than expected that may come before somebody looks whether the writer is late.

A look takes 2 µs. With 64 beyond twice as many as expected, a writer that came late for the first time took up to 42 µs
a query for half a second, before anybody looked.
"""


class Waits:
    """The writer's waits, with a flush interval in seconds."""

    def __init__(self, interval: float) -> None:
        self.longest = max(interval, min(STRETCH * interval, LONGEST_STRETCH))
        self.fights = False
        self._interval = interval
        self._quiet = QUIET
        self._wait = interval
        self._due = self._hand_over_at = 0.0
        self._looked = clocks.seconds()
        self._rate = 0.0
        self._handed = 0
        self._most = HAND_OVERS
        self._looks_anew = False

    # -- the writer's thread -----------------------------------------------------------------------------------

    def looked(self, count: int) -> None:
        """Note a look that found `count` records; one that found none right after another says nothing."""
        now = clocks.seconds()
        if not count and now - self._looked < self._interval / 4:
            return
        self._rate = count / max(now - self._looked, 0.001)
        self._looked = now
        self._quiet = 0 if count else self._quiet + 1

    @property
    def few(self) -> bool:
        """Whether so few records come that they may wait longer."""
        return self._rate * self._interval < FEW

    @property
    def are_over(self) -> bool:
        """Whether the thread is to sleep until a record wakes it.

        Where it fights for the lock, also right after a record that came alone: to look again would cost it more.
        """
        alone = self.fights and self._rate * self.longest <= 1
        return alone or self._quiet >= max(1, min(QUIET, round(QUIET_SECONDS / self._wait)))

    def begin(self, stretched: bool) -> float:
        """Begin a wait; returns its seconds."""
        self._wait = self.longest if stretched else self._interval
        now = clocks.seconds()
        self._due = now + self._wait
        self._hand_over_at = now + self._wait / 2 if self.fights else self._due + LATE_SECONDS
        return self._wait

    @property
    def expected(self) -> int:
        """How many records may come in the wait that begins before somebody asks `is_due`."""
        if self.fights or self._looks_anew:
            return int((0.7 if self.fights else 1.0) * self._rate * self._wait) + 1
        return int(1.25 * self._rate * self._wait) + AT_ONCE

    def timed_out(self) -> None:
        """Note that the thread has waited to the end, and has the lock now."""
        self._set(clocks.seconds() > self._due + LATE_SECONDS)
        if not self.fights:
            self._most, self._looks_anew = HAND_OVERS, False

    def broke_off(self) -> None:
        """Note that the wait was not to the end: by that, nothing is known."""
        self._quiet = 0

    # -- the application's threads -----------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether the records that wait are to be handed over now."""
        return clocks.seconds() >= self._hand_over_at

    def further(self, count: int) -> int:
        """To how many records the buffer may grow, from `count`, before somebody asks again."""
        left = self._hand_over_at - clocks.seconds()
        return count + max(1, count // 4, int(self._rate * left))

    def handed_over(self, done: bool) -> None:
        """Note a hand-over, and whether it was over in time."""
        self._handed += 1
        looks_anew = self._handed >= self._most
        self._set(done and not looks_anew)
        self._looks_anew = self._looks_anew or looks_anew

    def _set(self, fights: bool) -> None:
        if fights == self.fights:
            return
        self.fights, self._handed = fights, 0
        if fights and self._looks_anew:  # it looked by itself, and came late again
            self._most, self._looks_anew = min(2 * self._most, MOST_HAND_OVERS), False
