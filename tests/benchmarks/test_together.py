from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from benchmarks.together import Agent, round_together


def agents(log: list[str], turns: dict[str, int], asynchronous: bool = False) -> dict[str, Agent]:
    def agent(name: str, count: int) -> Agent:
        module = ModuleType(name)

        def call() -> None:
            for _ in range(count):
                log.append(name)
                module.pause()

        async def call_async() -> None:
            call()

        made: Callable[[], Any] = call_async if asynchronous else call
        return made, module

    return {name: agent(name, count) for name, count in turns.items()}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_queries_take_turns_until_the_last_is_done(asynchronous: bool) -> None:
    log: list[str] = []
    spent = round_together(agents(log, {"a": 3, "b": 3, "c": 5}, asynchronous), asynchronous, random.Random(1))
    assert [sorted(log[place : place + 3]) for place in (0, 3, 6)] == [["a", "b", "c"]] * 3
    assert log[9:] == ["c", "c"]
    assert set(spent) == {"a", "b", "c"}
    assert all(ns > 0 for ns in spent.values())


def test_one_alone_is_never_held_up() -> None:
    log: list[str] = []
    assert set(round_together(agents(log, {"a": 4}), False, random.Random(1))) == {"a"}
    assert log == ["a"] * 4
