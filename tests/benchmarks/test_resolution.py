"""The measurement finds a cost that is known, whatever the bodies take."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from instrument_cli.overhead import Parts, Spent, parts, take_turns

from benchmarks.overhead.measuring import marked

DELAY_NS = 10_000

LIMIT_SECONDS = 120
"""After so long the interval is as it is."""

FEWEST = 36
"""Pairs: of fewer, an interval is narrow by chance too often."""


def spin(until: int) -> None:
    """Use up CPU: the time of this thread alone counts, so other programs make no difference."""
    clock = time.thread_time_ns
    while clock() < until:
        pass


def delaying(wait: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A decorator that spins for so many ns of CPU."""

    def decorate(function: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(function)
        def wrapper() -> None:
            clock = time.thread_time_ns
            until = clock() + wait
            while clock() < until:
                pass
            function()

        return wrapper

    return decorate


plainly = delaying(0)
"""The same frames without the delay: after long bodies other programs have emptied the caches, which both pay alike."""


def loop_ns(function: Callable[[], None]) -> float:
    """CPU time of a call in a loop, without any marks: the least of several."""
    spent = []
    for _ in range(20):
        begin = time.thread_time_ns()
        for _ in range(200):
            function()
        spent.append((time.thread_time_ns() - begin) / 200)
    return min(spent)


def empty() -> None:
    pass


@pytest.fixture(scope="module")
def delayed() -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A decorator that costs 10 µs a call more than `plainly`, its last look at the clock included."""
    beyond = loop_ns(delaying(DELAY_NS)(empty)) - loop_ns(plainly(empty)) - DELAY_NS
    return delaying(round(DELAY_NS - beyond))


def query(decorate: Callable[[Any], Any], milliseconds: float) -> Callable[[], Spent]:
    """A function whose body takes so many ms of CPU.

    Right before it is measured it runs once with an empty body, since other programs have emptied the caches meanwhile.
    """
    marks = SimpleNamespace(bodies=[0])
    length = [0]

    @decorate
    def answer() -> None:
        begin = marks.clock()
        spin(time.thread_time_ns() + length[0])
        marks.bodies[0] += marks.clock() - begin

    def warm() -> None:
        length[0] = 0
        answer()
        length[0] = round(milliseconds * 1e6)

    return marked(answer, marks, warm, None)


def found_at(milliseconds: float, delayed: Callable[[Any], Any]) -> Parts:
    """What the method finds, with as many queries as an interval of less than half a µs needs."""
    queries = {"plain": query(plainly, milliseconds), "delayed": query(delayed, milliseconds)}

    def is_narrow(taken: dict[str, list[Spent]]) -> bool:
        outside = parts(taken["delayed"], taken["plain"]).outside
        return len(taken["plain"]) >= FEWEST and outside.high - outside.mean < 400

    taken = take_turns(queries, 0, lambda: None).slices
    began = time.monotonic()
    while not is_narrow(taken) and time.monotonic() - began < LIMIT_SECONDS:
        for name, more in take_turns(queries, 5, lambda: None, is_narrow).slices.items():
            taken[name] += more
    return parts(taken["delayed"], taken["plain"])


@pytest.mark.parametrize("milliseconds", [1, 10, 100])
def test_a_delay_of_10_microseconds_is_found_whatever_the_bodies_take(
    milliseconds: float, delayed: Callable[[Any], Any]
) -> None:
    found = found_at(milliseconds, delayed)
    assert found.outside.mean == pytest.approx(DELAY_NS, abs=1000)
    assert found.plain_ns == pytest.approx(milliseconds * 1e6, rel=0.2)


def test_a_delay_inside_a_body_is_no_cost_outside() -> None:
    queries = {"short": query(plainly, 0.5), "long": query(plainly, 0.6)}
    taken = take_turns(queries, 0.5, lambda: None).slices
    found = parts(taken["long"], taken["short"])
    assert found.bodies.mean == pytest.approx(100_000, rel=0.1)
    assert abs(found.outside.mean) < 1000
