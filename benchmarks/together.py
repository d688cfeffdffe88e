"""Long queries, side by side: each runs in a thread of its own, and they take turns every half a millisecond or so.

Compared one after the other, queries of 100 ms would differ by how fast the core happened to be: by a tenth, on a
shared machine. Taking turns within their queries, all of them live through the same weather. What a turn costs, all
pay alike; only one runs at a time, so each thread's own clock is the CPU time of its query.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from instrument_cli.overhead import nothing

Agent = tuple[Callable[[], Any], ModuleType]
"""One query as a function, and the module that is its own."""


class _Ring:
    """Who may run: one of several, passed on to the next who is not done."""

    def __init__(self, size: int) -> None:
        self._gates = [threading.Lock() for _ in range(size)]
        self._done = [False] * size
        for gate in self._gates[1:]:
            gate.acquire()

    def enter(self, place: int) -> None:
        self._gates[place].acquire()

    def pass_on(self, place: int) -> None:
        following = self._next(place)
        if following != place:
            self._gates[following].release()
            self._gates[place].acquire()

    def leave(self, place: int) -> None:
        self._done[place] = True
        following = self._next(place)
        if following != place:
            self._gates[following].release()

    def _next(self, place: int) -> int:
        size = len(self._gates)
        around = ((place + step) % size for step in range(1, size))
        return next((other for other in around if not self._done[other]), place)


def round_together(
    agents: dict[str, Agent],
    asynchronous: bool,
    order: random.Random,
    before: Callable[[], None] = nothing,
) -> dict[str, int]:
    """One query of each agent, taking turns in random order; gives each one's CPU time in ns."""
    names = list(agents)
    order.shuffle(names)
    ring, spent = _Ring(len(names)), dict[str, int]()

    def run(place: int, name: str) -> None:
        call, module = agents[name]
        module.pause = lambda: ring.pass_on(place)  # type: ignore[attr-defined]
        ring.enter(place)
        try:
            before()
            spent[name] = asyncio.run(_timed_async(call)) if asynchronous else _timed(call)
        finally:
            ring.leave(place)
            module.pause = nothing  # type: ignore[attr-defined]

    threads = [threading.Thread(target=run, args=(place, name)) for place, name in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spent


def _timed(call: Callable[[], Any]) -> int:
    begin = time.thread_time_ns()
    call()
    return time.thread_time_ns() - begin


async def _timed_async(call: Callable[[], Any]) -> int:
    begin = time.thread_time_ns()
    await call()
    return time.thread_time_ns() - begin
