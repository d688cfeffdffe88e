"""Runs told of by callbacks, whichever framework does: where they belong, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tool_calls import calls_of, models

from instrument import model_span, query_span, suppress, tool_span, track_query, track_tool
from instrument.collecting.collector import collector
from instrument.integrations import _reported
from instrument.integrations._reported import RunTracker, quietly
from instrument.integrations._runs import Run
from instrument.interchange.semconv import Failure, Tokens
from instrument.recording.queries import OpenQuery
from instrument.recording.scope import NOBODY, ROW, current
from instrument.records import QueryRecord
from instrument.rows.live import LiveQuery
from instrument.testing import capture


@track_tool
def own() -> None:
    """A function of the application's."""


def shape(query: QueryRecord) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in calls_of(query)]


def elsewhere(function: Any, *args: Any, **kwargs: Any) -> None:
    """Call a function on another thread, which knows nothing of the context at hand."""
    thread = threading.Thread(target=function, args=args, kwargs=kwargs)
    thread.start()
    thread.join()


def in_a_copy(function: Any, *args: Any, **kwargs: Any) -> None:
    """Call a function in a copy of the context, as asynchronous callbacks do."""
    contextvars.copy_context().run(function, *args, **kwargs)


def test_what_the_application_does_inside_a_run_is_inside_it_and_after_it_is_not() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "agent", "a")
        own()
        reported.begin(2, 1, "tool", "t")
        own()
        reported.end(2)
        own()
        reported.end(1)
        assert current.get() is NOBODY
        own()
    (query,) = captured.queries
    assert shape(query) == [("own", None), ("t", None), ("own", 1), ("own", None)]
    assert [call.name for call in captured.calls] == ["own"]


@pytest.mark.parametrize("way", [elsewhere, in_a_copy])
def test_ends_told_elsewhere_leave_no_scope_that_means_anything_behind(way: Any) -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "agent", "a")
        reported.begin(2, 1, "tool", "t")
        way(reported.end, 2)
        own()
        way(reported.end, 1)
        own()
        with query_span("next", agent="next"):
            own()
    told, following = captured.queries
    assert shape(told) == [("t", None), ("own", None)]
    assert following.parent_id is None
    assert shape(following) == [("own", None)]
    assert [call.name for call in captured.calls] == ["own"]


@pytest.mark.parametrize("way", [elsewhere, in_a_copy])
def test_begins_told_elsewhere_belong_to_the_parent_they_name(way: Any) -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "agent", "a", entered=False)
        way(reported.begin, 2, 1, "tool", "t")
        way(reported.begin, 3, 2, "graphql", "query C")
        for key in (3, 2, 1):
            way(reported.end, key)
    (query,) = captured.queries
    assert shape(query) == [("t", None), ("query C", 0)]


def test_a_call_of_the_applications_own_between_two_runs_is_between_them() -> None:
    reported = RunTracker("test")
    with capture() as captured, query_span("", agent="mine"), tool_span("around"):
        reported.begin(1, None, "agent", "a", entered=False)
        reported.begin(2, 1, "tool", "t")
        with tool_span("between"):
            reported.begin(3, 2, "tool", "inner")
            reported.end(3)
        reported.begin(4, 2, "tool", "beside")
        reported.end(4)
        reported.end(2)
        reported.end(1)
    assert shape(captured.queries[0]) == [
        ("around", None),
        ("t", 0),
        ("between", 1),
        ("inner", 2),
        ("beside", 1),
    ]


def test_a_call_around_the_outermost_run_does_not_come_between_those_inside() -> None:
    reported = RunTracker("test")
    with capture() as captured, query_span("", agent="mine"), tool_span("around"):
        reported.begin(1, None, "agent", "a", entered=False)
        reported.begin(2, 1, "tool", "t", entered=False)
        reported.begin(3, 2, "tool", "inner", entered=False)
        for key in (3, 2, 1):
            reported.end(key)
    assert shape(captured.queries[0]) == [("around", None), ("t", 0), ("inner", 1)]


def test_runs_that_overlap_in_one_context_stay_apart() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin("a", None, "agent", "a")
        reported.begin("b", None, "agent", "b")
        reported.begin("at", "a", "tool", "of a")
        reported.begin("bt", "b", "tool", "of b")
        for key in ("a", "at", "bt", "b"):
            reported.end(key)
        assert current.get()[ROW] is None
    assert {query.agent_type: shape(query) for query in captured.queries} == {
        "a": [("of a", None)],
        "b": [("of b", None)],
    }


def test_an_agent_in_a_query_that_has_one_is_part_of_it_and_one_without_takes_it() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        with query_span("asked", agent="mine"):
            reported.begin(1, None, "agent", "inner")
            reported.end(1, ValueError("inside"))
        with query_span("asked"):
            reported.begin(2, None, "agent", "taker")
            reported.end(2)
    assert [(query.agent_type, query.success, query.attributes) for query in captured.queries] == [
        ("mine", True, {"agents": "mine > inner"}),
        ("taker", True, {}),
    ]


def test_an_exception_is_counted_once_however_far_it_goes() -> None:
    reported = RunTracker("test")
    error, failure = KeyError("x"), Failure("KeyError", "x")
    with capture() as captured:
        for told in (error, failure):
            reported.begin(1, None, "agent", "a")
            reported.begin(2, 1, "tool", "t")
            reported.end(2, told)
            reported.end(1, told)
        reported.begin(1, None, "agent", "a")
        reported.begin(2, 1, "tool", "t")
        reported.end(2, failure)
        reported.end(1, Failure("Error", "of its own"))
    assert [(query.error_type, query.passed_on) for query in captured.queries] == [
        ("KeyError", True),
        ("KeyError", True),
        ("Error", False),
    ]
    assert all(
        (call.error_type, call.passed_on) == ("KeyError", False) for q in captured.queries for call in calls_of(q)
    )


@pytest.mark.parametrize("name", ["CancelledError", "GeneratorExit", "\0", "\udc80", "x" * 10_000, ""])
def test_any_name_of_a_failure_can_be_told(name: str) -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "agent", "a")
        reported.end(1, Failure(name, None))
    status = {"CancelledError": "cancelled", "GeneratorExit": "closed"}.get(name, "error")
    assert captured.queries[0].status == status
    assert collector.losses.problems == {}


def test_tokens_and_cost_count_once_however_many_tell_of_them() -> None:
    one, other = RunTracker("one"), RunTracker("other")
    with capture() as captured:
        one.begin(1, None, "agent", "a")
        for key in (2, 3):
            one.begin(key, 1, "llm", "small")
            other.begin(key, None, "llm", "small")  # the model's own library, told of by another framework
            other.end(key, tokens=Tokens(10, 5), cost=0.5)
            one.end(key, tokens=Tokens(10, 5), cost=0.5)
        one.end(1, tokens=Tokens(20, 10), cost=1.0, model="small")
        other.begin(4, None, "agent", "b")
        other.end(4, tokens=Tokens(7, None), model="large")
    first, second = captured.queries
    assert (first.input_tokens, first.output_tokens, first.metrics, first.model) == (20, 10, {"cost_usd": 1.0}, "small")
    assert (second.input_tokens, second.output_tokens, second.model) == (7, 0, "large")


def test_a_model_s_run_is_a_call_with_its_model_tokens_and_first_chunk() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "agent", "a")
        reported.begin(2, 1, "llm", "small", provider="local")
        own()
        reported.answers(2)
        reported.end(2, tokens=Tokens(10, 5, 8, 1), cost=0.5, model="small-2026")
        reported.begin(3, 1, "llm", "")
        reported.end(3, ConnectionError("no"), model="large")
        reported.end(1)
    (query,) = captured.queries
    [first, second] = models(query)
    assert (first.name, first.model, first.provider, first.cost_usd) == ("small", "small-2026", "local", 0.5)
    assert (first.input_tokens, first.output_tokens, first.cached_tokens, first.reasoning_tokens) == (10, 5, 8, 1)
    assert 0 <= first.first_chunk_ms <= first.duration_ms
    assert (second.name, second.status, second.error_type) == ("large", "error", "ConnectionError")
    assert shape(query) == [("own", None)]
    assert (query.input_tokens, query.cached_tokens, query.model_calls, query.cost_usd) == (10, 8, 2, 0.5)


def test_tokens_of_an_agent_without_model_calls_are_added_to_those_of_model_calls_beside_it() -> None:
    reported = RunTracker("test")
    with capture() as captured, query_span("", agent="mine"):
        reported.begin(1, None, "agent", "a")
        reported.end(1, tokens=Tokens(50, 5))
        with model_span("small") as call:
            call.record_tokens(20, 2)
    assert (captured.queries[0].input_tokens, captured.queries[0].output_tokens) == (70, 7)


def test_what_two_frameworks_tell_of_is_recorded_once() -> None:
    one, other = RunTracker("one"), RunTracker("other")
    with capture() as captured:
        one.begin(1, None, "agent", "a")
        other.begin(1, None, "agent", "a")
        one.begin(2, 1, "tool", "t")
        other.begin(2, 1, "tool", "t")
        own()
        other.begin(3, 2, "tool", "t")  # and again: it calls itself
        other.end(3)
        one.end(2)
        other.end(2)
        one.end(1)
        other.end(1)
    (query,) = captured.queries
    assert shape(query) == [("t", None), ("own", 0), ("t", 0)]
    assert current.get()[ROW] is None


def test_a_tool_told_of_inside_the_applications_own_of_that_name_is_that_one() -> None:
    reported = RunTracker("test")
    with capture() as captured, query_span("", agent="mine"):
        with tool_span("look up"):
            reported.begin(1, None, "tool", "look up")
            own()
            reported.end(1)
        reported.begin(2, None, "tool", "look up")
        with tool_span("look up"):
            pass
        reported.end(2)
    assert shape(captured.queries[0]) == [("look up", None), ("own", 0), ("look up", None), ("look up", 2)]


def test_what_is_open_when_the_outermost_run_ends_is_finished_with_it() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        for ending in (None, asyncio.CancelledError()):
            reported.begin(1, None, "agent", "a")
            reported.begin(2, 1, "tool", "outer")
            reported.begin(3, 2, "tool", "inner")
            reported.end(1, ending)
            reported.end(3)
            assert reported.runs == {}
            assert current.get()[ROW] is None
    assert [[(call.status, call.duration_ms is None) for call in calls_of(query)] for query in captured.queries] == [
        [("abandoned", False)] * 2,
        [("cancelled", False)] * 2,
    ]
    assert [query.status for query in captured.queries] == ["ok", "cancelled"]


def test_what_never_ends_is_given_up_oldest_first_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reported, "MOST", 10)
    reported = RunTracker("test")
    with capture() as captured:
        for key in range(50):
            reported.begin(key, None, "agent", str(key), entered=False)
            reported.begin(-key - 1, key, "tool", "t", entered=False)
        assert len(reported.runs) <= 10
    assert [query.status for query in captured.queries] == ["abandoned"] * len(captured.queries)
    assert [query.agent_type for query in captured.queries] == [str(key) for key in range(len(captured.queries))]
    assert len(captured.queries) == collector.losses.problems["test: runs of which no end was told"] >= 45


def test_tool_and_model_calls_without_a_query_are_calls_of_their_own_and_steps_are_nothing() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        reported.begin(1, None, "tool", "t")
        own()
        reported.end(1, ValueError("why"))
        reported.begin(2, None, "llm", "m")
        reported.end(2, tokens=Tokens(1, 1))
        reported.begin(3, None, "step", "s")
        assert reported.runs == {}
    assert captured.queries == []
    assert {(call.name, call.error_type, call.error_message) for call in captured.calls} == {
        ("t", "ValueError", "why"),
        ("own", None, None),
        ("m", None, None),
    }
    assert [call.input_tokens for call in captured.calls if call.kind == "model"] == [1]


def test_suppressed_and_stopped_nothing_new_is_taken_in_and_what_is_open_is_finished() -> None:
    reported = RunTracker("test")
    with capture() as captured:
        with suppress():
            reported.begin(0, None, "agent", "no")
            reported.end(0)
        reported.begin(1, None, "agent", "yes")
        reported.stop()
        reported.begin(2, 1, "tool", "t")
        reported.end(2)
        reported.end(1)
        reported.begin(3, None, "agent", "no")
        reported.end(3)
    assert [(query.agent_type, query.tool_calls) for query in captured.queries] == [("yes", 1)]


def test_what_fails_in_a_callback_is_counted_and_goes_no_further() -> None:
    @quietly
    def callback() -> None:
        raise RuntimeError("ours")

    callback()
    assert sum(collector.losses.problems.values()) == 1


def test_threads_that_tell_of_hundreds_of_queries_at_once_mix_none_up() -> None:
    reported = RunTracker("test")

    def one(number: int) -> None:
        chance = random.Random(number)
        reported.begin(number, None, "agent", str(number), entered=chance.random() < 0.5)
        with ThreadPoolExecutor(3) as pool:
            for place in range(chance.randrange(6)):
                key = (number, place)
                pool.submit(reported.begin, key, number, "tool", str(number)).result()
                pool.submit(reported.end, key)
        reported.end(number)

    with capture() as captured:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, range(300)))
        assert reported.runs == {}
    assert len(captured.queries) == 300
    for query in captured.queries:
        expected = random.Random(int(query.agent_type))
        expected.random()
        assert [call.name for call in calls_of(query)] == [query.agent_type] * expected.randrange(6)
        assert all(call.duration_ms is not None for call in calls_of(query))


def test_tasks_that_tell_of_their_own_runs_at_once_mix_none_up() -> None:
    reported = RunTracker("test")

    @track_query(agent="outer")
    async def one(number: int) -> None:
        reported.begin(number, None, "agent", "inner")
        for place in range(3):
            reported.begin((number, place), number, "tool", str(number))
            await asyncio.sleep(0)
            own()
            await asyncio.to_thread(reported.end, (number, place))
            own()
        reported.end(number)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(50)))

    with capture() as captured:
        asyncio.run(main())
    for query in captured.queries:
        number = query.user_input
        assert shape(query) == [step for place in (0, 3, 6) for step in ((number, None), ("own", place), ("own", None))]


def test_after_a_hundred_thousand_runs_nothing_is_held() -> None:
    reported = RunTracker("test")

    def some(count: int) -> None:
        for key in range(count):
            reported.begin(key, None, "agent", "a")
            for inner, way in ((-1, lambda end, *args: end(*args)), (-2, in_a_copy)):
                reported.begin(inner, key, "tool", "t")
                way(reported.end, inner)
            reported.begin(-3, key, "llm", "m")  # of which no end is told
            (in_a_copy if key % 2 else lambda end, *args: end(*args))(reported.end, key)
            collector.buffer.clear()

    def held() -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, (Run, OpenQuery, LiveQuery))]

    some(100)
    gc.collect()
    earlier = held()  # by other tests
    before = sys.getallocatedblocks()
    some(25_000)
    gc.collect()
    assert reported.runs == {}
    assert sys.getallocatedblocks() - before < 1_000
    left = [one for one in held() if all(one is not other for other in earlier)]
    assert len(left) <= 2  # the scope at hand
