"""The marks that `metrics bench` puts into decorated functions: they change nothing but the time, and go again."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

import pytest
from instrument_cli.function_cost import function_cost
from instrument_cli.marking import marked

import instrument
from instrument import track_query, track_tool
from instrument.testing import capture


@track_tool
def look_up(key: str, *more: str, loud: bool = False) -> str:
    if key == "none":
        raise KeyError(key)
    return (key + "".join(more)).upper() if loud else key


@track_query(agent="shop")
def answer(text: str) -> str:
    return text + look_up("a", "b", loud=True)


@track_query(agent="shop")
async def answer_async(text: str) -> str:
    await asyncio.sleep(0)
    return text + look_up("a")


class Agent:
    @track_query(agent="shop")
    def ask(self, text: str = "?") -> str:
        return text + look_up("c")


cached: Any = track_tool(functools.partial(look_up.__wrapped__, "d"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("recorded", [True, False])
def test_marked_functions_answer_as_before(recorded: bool) -> None:
    with capture() as captured, marked() as marks:
        marks.recorded = recorded
        assert answer("x") == "xAB"
        assert Agent().ask() == "?c"
        assert asyncio.run(answer_async("x")) == "xa"
        assert cached() == "d"
        with pytest.raises(KeyError, match="none"):
            look_up("none")
        instrument.flush()
        assert marks.calls == 8
    assert len(captured.queries) == (3 if recorded else 0)
    assert len(captured.calls) == (2 if recorded else 0)


def test_afterwards_functions_are_as_before() -> None:
    code, function = answer.__code__, answer.__wrapped__  # type: ignore[attr-defined]
    with marked():
        assert answer.__code__ is not code
    assert answer.__code__ is code
    assert answer.__wrapped__ is function  # type: ignore[attr-defined]
    with capture() as captured:
        answer("x")
    assert [call.name for call in captured.queries[0].calls] == ["look_up"]


def spin(nanoseconds: int) -> None:
    until = time.thread_time_ns() + nanoseconds
    while time.thread_time_ns() < until:
        pass


@track_query(agent="shop")
def short(text: str = "x") -> str:
    spin(100_000)
    return text


@track_query(agent="shop")
def long(text: str = "x") -> str:
    spin(3_000_000)
    return text


def test_what_a_function_does_itself_is_no_cost_of_recording() -> None:
    with capture():
        found = [function_cost(each, 0.5) for each in (short, long)]
    for one in found:
        assert one is not None
        assert one.is_marked
        assert 0 < one.parts.outside.mean < 100_000
    assert found[1] is not None
    assert found[1].parts.plain_ns > 3_000_000


def test_spans_have_no_marks_so_whole_calls_are_compared() -> None:
    def blocks() -> None:
        with instrument.query_span("x", agent="shop"):
            spin(10_000)

    with capture():
        found = function_cost(blocks, 0.2)
    assert found is not None
    assert not found.is_marked
    assert found.parts.outside == (0, 0, 0)
    assert found.ns.mean > found.parts.bodies.mean
