"""What is measured, and what is found of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from instrument_cli.overhead import Cost, Interval, Pace, Parts

LENGTHS = (1, 10, 100)
"""CPU ms of the queries that do something."""


class Case(NamedTuple):
    """One workload: the CPU time of a query in ms (0: no work at all), its kind, and what lies between two queries."""

    milliseconds: float
    asynchronous: bool
    cold: bool

    @property
    def temperature(self) -> str:
        """How warm the caches are."""
        return "cold" if self.cold else "hot"

    @property
    def kind(self) -> str:
        """What its functions are."""
        return "async" if self.asynchronous else "sync"

    @property
    def name(self) -> str:
        """The case in words."""
        work = f"{self.milliseconds:g} ms" if self.milliseconds else "no work"
        return f"{work}, {self.kind}, {self.temperature}"


class Shares(NamedTuple):
    """What recording costs a query that does something, in ns, part by part.

    `cost` is what is promised of: outside the bodies, the writer and collections of garbage together. `control` is what
    the same method finds for decorators that are switched off, which are nothing. `by_hand` is what it finds for the
    yardstick, where that is measured.
    """

    parts: Parts
    pace: Pace
    collections: float
    control: Parts
    by_hand: Interval | None

    @property
    def cost(self) -> Interval:
        """All but what happens inside the bodies."""
        return self.parts.outside.plus(self.pace.writer).shifted(self.collections)

    @property
    def percent(self) -> Interval:
        """The same, of the CPU time of the query without recording."""
        return self.cost.scaled(100 / self.parts.plain_ns)

    @property
    def to_by_hand(self) -> Interval | None:
        """The same as a share of what the yardstick costs."""
        return None if self.by_hand is None else self.cost.over(self.by_hand)


class Measured(NamedTuple):
    """A case with what recording costs it: `loop` where its queries do nothing, else `shares`."""

    case: Case
    loop: Cost | None
    shares: Shares | None
    queries: int
    stored: int


def cases() -> Iterator[Case]:
    """What is measured."""
    for milliseconds in (0, *LENGTHS):
        for cold in (False, True):
            for asynchronous in (False, True):
                yield Case(milliseconds, asynchronous, cold)
