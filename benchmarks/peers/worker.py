"""One round of the comparison, in a process of its own: `python -m benchmarks.peers.worker`.

Undecorated functions and every contender take turns in slices of some hundred queries; each one's flush belongs to its
slice. Prints JSON: CPU ns a query of every slice, and what was kept. Knows nothing beyond the contenders it is told.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from typing import Any

from benchmarks.between import other_work
from benchmarks.peers.contender import Contender
from benchmarks.subject import fresh_call, undecorated

PLAIN = "undecorated"


def main() -> None:
    """Run the round that standard input describes."""
    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="agent-instrument-peers-") as folder, asyncio.Runner() as runner:
        contenders = {name: import_module(f"benchmarks.peers.{name}").start(folder) for name in asked["contenders"]}
        contenders[PLAIN] = Contender(undecorated(), lambda: None, lambda: 0, 0, "", "")
        turns = Turns(contenders, runner, asked)
        turns.run()
        print("\n" + json.dumps({"slices": turns.slices, "kept": turns.kept(), "about": about(contenders)}))
        sys.stdout.flush()
    os._exit(0)  # some peers' threads would hold up the exit for the network they do not have


def about(contenders: dict[str, Contender]) -> dict[str, Any]:
    """What each contender keeps, and its version."""
    return {
        name: {"keeps": one.keeps, "version": _version(one.distribution)}
        for name, one in contenders.items()
        if name != PLAIN
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "this checkout"


class Turns:
    """The contenders' slices, in random order round after round: `slices[kind][contender]` are ns a query."""

    def __init__(self, contenders: dict[str, Contender], runner: asyncio.Runner, asked: dict[str, Any]) -> None:
        self.contenders = contenders
        self.asked = asked
        self.slices: dict[str, dict[str, list[float]]] = {}
        self.queries = dict.fromkeys(contenders, 0)
        self._runner = runner

    def run(self) -> None:
        """Every kind of slice that was asked for."""
        for kind in self.asked["kinds"]:
            word, temperature = kind.split()
            calls = {name: fresh_call(one.kit, asynchronous=word == "async") for name, one in self.contenders.items()}
            runs = {
                name: self._slice(name, call, word == "async", temperature == "cold") for name, call in calls.items()
            }
            self.slices[kind] = self._rounds(runs)

    def kept(self) -> dict[str, list[int]]:
        """What arrived of each contender's records, and what should have."""
        return {
            name: [one.kept(), one.a_query * self.queries[name]]
            for name, one in self.contenders.items()
            if name != PLAIN
        }

    def _rounds(self, runs: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
        order, names = random.Random(self.asked["seed"]), list(runs)
        taken: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            runs[name]()  # warm up
        deadline = time.monotonic() + self.asked["seconds"]
        while len(taken[PLAIN]) < self.asked["fewest"] or time.monotonic() < deadline:
            order.shuffle(names)
            for name in names:
                gc.collect()
                taken[name].append(runs[name]())
        return taken

    def _slice(self, name: str, call: Callable[[], Any], asynchronous: bool, cold: bool) -> Callable[[], float]:
        queries, flush = self.asked["queries"], self.contenders[name].flush
        several = (_cold_async if cold else _hot_async) if asynchronous else (_cold if cold else _hot)

        def run() -> float:
            self.queries[name] += queries
            everything, main = time.process_time_ns(), time.thread_time_ns()
            made: Any = several(call, queries)
            spent: int = self._runner.run(made) if asynchronous else made
            between = time.thread_time_ns()
            flush()
            now = time.thread_time_ns()
            others = time.process_time_ns() - everything - (now - main)
            return (spent + now - between + max(others, 0)) / queries

        return run


def _hot(call: Callable[[], Any], queries: int) -> int:
    begin = time.thread_time_ns()
    for _ in repeat(None, queries):
        call()
    return time.thread_time_ns() - begin


def _cold(call: Callable[[], Any], queries: int) -> int:
    clock, spent = time.thread_time_ns, 0
    for _ in repeat(None, queries):
        other_work()
        begin = clock()
        call()
        spent += clock() - begin
    return spent


async def _hot_async(call: Callable[[], Any], queries: int) -> int:
    begin = time.thread_time_ns()
    for _ in repeat(None, queries):
        await call()
    return time.thread_time_ns() - begin


async def _cold_async(call: Callable[[], Any], queries: int) -> int:
    clock, spent = time.thread_time_ns, 0
    for _ in repeat(None, queries):
        other_work()
        begin = clock()
        await call()
        spent += clock() - begin
    return spent


if __name__ == "__main__":
    main()
