"""Calls to models: decorated, as a block of code, streamed; their tokens, cost, first chunk and texts."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from instrument import (
    configure,
    current_model_call,
    current_query,
    model_span,
    propagate,
    query_span,
    suppress,
    tool_span,
    track_model,
    track_query,
    track_tool,
)
from instrument.collecting.collector import collector
from instrument.records import CallRecord, QueryRecord
from instrument.testing import Captured, capture

CHAT = {
    "model": "small-1-2026",
    "usage": {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 3},
    },
}


def tokens(record: CallRecord | QueryRecord) -> tuple[int | None, ...]:
    return record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens


def only_call(captured: Captured) -> CallRecord:
    [query] = captured.queries
    [call] = query.calls
    return call


@track_model("small-1", provider="local")
def ask(answer: Any) -> Any:
    return answer


@track_model
async def ask_async(answer: Any) -> Any:
    await asyncio.sleep(0)
    return answer


def test_a_decorated_function_is_a_model_call_and_its_answer_is_the_identical_object() -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert ask(CHAT) is CHAT
        assert asyncio.run(ask_async(CHAT)) is CHAT
    [query] = captured.queries
    assert [(call.kind, call.name, call.provider) for call in query.calls] == [
        ("model", "small-1", "local"),
        ("model", "ask_async", None),
    ]
    assert [tokens(call) for call in query.calls] == [(12, 5, 8, 3)] * 2
    assert {call.model for call in query.calls} == {"small-1-2026"}
    assert tokens(query) == (24, 10, 16, 6)
    assert (query.model_calls, query.tool_calls, query.model) == (2, 0, "small-1-2026")


def test_the_bare_and_the_called_form_do_the_same_and_unknown_options_are_type_errors() -> None:
    with capture() as captured:
        track_model(len)("ab")
        track_model()(len)("ab")
    assert [(call.kind, call.name) for call in captured.calls] == [("model", "len")] * 2
    with pytest.raises(TypeError):
        track_model(modle="x")  # type: ignore[call-overload]


def test_methods_partials_and_copies_keep_name_and_provider() -> None:
    tracked = track_model("small-1", provider="local")(functools.partial(len, "ab"))
    with capture() as captured:
        for each in (tracked, copy.copy(tracked), pickle.loads(pickle.dumps(tracked))):
            assert each() == 2
    assert [(call.name, call.provider) for call in captured.calls] == [("small-1", "local")] * 3


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, (5, 2, None, None)),
        (
            {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5},
            (100, 2, 90, None),
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 2,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 1},
            },
            (9, 2, 4, 1),
        ),
        ({"prompt_tokens": 9, "total_tokens": 9}, (9, None, None, None)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None,) * 4),
        ({"input_tokens": "many", "output_tokens": 1.5}, (None,) * 4),
        (None, (None,) * 4),
        ([1, 2], (None,) * 4),
    ],
)
def test_usage_is_read_from_dicts_and_objects_alike(usage: Any, expected: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        ask({"usage": usage})
        ask(SimpleNamespace(usage=SimpleNamespace(**usage) if isinstance(usage, dict) else usage))
    assert [tokens(call) for call in captured.queries[0].calls] == [expected] * 2


class Unreadable:
    @property
    def usage(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("answer", [MagicMock(), Unreadable(), object(), "text", 7, None, b"x"])
def test_an_answer_that_says_nothing_costs_nothing(answer: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert ask(answer) is answer
    call = only_call(captured)
    assert (tokens(call), call.model, call.success) == ((None,) * 4, "small-1", True)


def test_what_is_recorded_inside_counts_before_what_the_answer_says() -> None:
    @track_model("small-1")
    def told() -> Any:
        current_model_call().record_tokens(1, 2, cached=1)
        current_model_call().record_cost(0.5)
        return CHAT

    with capture() as captured, query_span("q", agent="a"):
        told()
    call = only_call(captured)
    assert (tokens(call), call.cost_usd) == ((1, 2, 1, None), 0.5)
    assert captured.queries[0].cost_usd == 0.5


def test_a_block_is_a_model_call_and_says_what_it_is_told() -> None:
    with capture() as captured, query_span("q", agent="a"), model_span("small-1", provider="local") as call:
        assert call
        time.sleep(0.002)
        call.first_chunk()
        call.first_chunk()
        call.record_tokens(10, 4)
        call.record_tokens(20, 8, cached=5, reasoning=2)
        call.record_cost(0.25)
        call.record_model("small-1-2026")
    record = only_call(captured)
    assert (record.kind, record.name, record.model, record.provider) == ("model", "small-1", "small-1-2026", "local")
    assert (tokens(record), record.cost_usd) == ((20, 8, 5, 2), 0.25)
    assert record.first_chunk_ms is not None
    assert record.duration_ms is not None
    assert 2 <= record.first_chunk_ms <= record.duration_ms


def test_after_its_end_and_without_one_everything_is_accepted_and_nothing_happens() -> None:
    nothing = current_model_call()
    assert not nothing
    with capture() as captured:
        with query_span("q", agent="a"), model_span("small-1") as call:
            pass
        for each in (call, nothing):
            each.record_tokens(1, 1)
            each.record_cost(1)
            each.first_chunk()
            each.record_model("x")
            each.record_content("a", "b")
        with suppress(), model_span("quiet") as call:
            call.record_tokens(1, 1)
    assert tokens(only_call(captured)) == (None,) * 4


def test_wrong_figures_are_counted_as_trouble_and_never_raised() -> None:
    with capture() as captured, query_span("q", agent="a"), model_span("small-1") as call:
        call.record_tokens("many", 2)  # type: ignore[arg-type]
        call.record_tokens(2**70, 2)
        call.record_cost("dear")  # type: ignore[arg-type]
    assert tokens(only_call(captured)) == (None,) * 4
    assert collector.losses.problems["record_tokens"] == 2


def test_tokens_recorded_for_the_query_itself_are_its_total() -> None:
    with capture() as captured, query_span("q", agent="a"):
        ask(CHAT)
        current_query().record_tokens(100, 50, "mine")
        current_query().record_metric("cost_usd", 2.0)
    [query] = captured.queries
    assert tokens(query) == (100, 50, None, None)
    assert (query.model, query.cost_usd) == ("mine", 2.0)


def test_model_calls_nest_with_tools_and_the_open_one_is_the_innermost() -> None:
    @track_tool
    def tool() -> None:
        assert not current_model_call()
        ask(CHAT)

    with capture() as captured, query_span("q", agent="a"), model_span("outer") as outer:
        tool()
        assert current_model_call()
        current_model_call().record_tokens(1, 1)
        assert outer
    [query] = captured.queries
    assert [(call.name, call.parent) for call in query.calls] == [("outer", None), ("tool", 0), ("small-1", 1)]
    assert query.input_tokens == 13


def test_a_call_outside_any_query_is_recorded_alone_with_all_it_knows() -> None:
    with capture() as captured:
        ask(CHAT)
        with model_span("small-1"):
            assert current_model_call()
    assert [tokens(call) for call in captured.calls] == [(12, 5, 8, 3), (None,) * 4]


CHUNKS = [{"delta": "a"}, {"delta": "b"}, CHAT]


@track_model("small-1")
def streamed() -> Iterator[Any]:
    time.sleep(0.002)
    yield from CHUNKS


@track_model("small-1")
async def streamed_async() -> AsyncIterator[Any]:
    for chunk in CHUNKS:
        yield chunk


@track_model("small-1")
def returned() -> Any:
    return iter_chunks()


def iter_chunks() -> Iterator[Any]:
    yield from CHUNKS


async def drained(stream: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in stream]


def test_a_stream_ends_its_call_and_gives_first_chunk_and_tokens() -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert list(streamed()) == CHUNKS
        assert asyncio.run(drained(streamed_async())) == CHUNKS
        assert list(returned()) == CHUNKS
    [query] = captured.queries
    assert [tokens(call) for call in query.calls] == [(12, 5, 8, 3)] * 3
    assert all(0 <= (call.first_chunk_ms or -1) <= (call.duration_ms or 0) for call in query.calls)
    assert (query.calls[0].first_chunk_ms or 0) >= 2
    assert query.first_chunk_ms is None


def test_a_stream_that_is_left_is_closed_with_what_was_seen() -> None:
    with capture() as captured, query_span("q", agent="a"):
        stream = streamed()
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    call = only_call(captured)
    assert (call.status, call.input_tokens) == ("closed", None)
    assert call.first_chunk_ms is not None


@pytest.mark.parametrize("of_anthropic", [True, False])
def test_events_of_streams_say_what_their_last_word_is(of_anthropic: bool) -> None:
    events = (
        [
            {"type": "message_start", "message": {"model": "c-1", "usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "content_block_delta", "delta": {"text": "hi"}},
            {"type": "message_delta", "usage": {"output_tokens": 7}},
        ]
        if of_anthropic
        else [
            {"type": "response.created", "response": {"model": "c-1", "usage": None}},
            {"type": "response.completed", "response": {"usage": {"input_tokens": 9, "output_tokens": 7}}},
        ]
    )

    @track_model
    def stream() -> Iterator[Any]:
        yield from events

    with capture() as captured, query_span("q", agent="a"):
        list(stream())
    assert (tokens(only_call(captured))[:2], only_call(captured).model) == ((9, 7), "c-1")


def test_an_exception_passes_and_marks_the_call_failed() -> None:
    @track_model("small-1")
    def refused() -> None:
        current_model_call().record_tokens(3, 0)
        raise TimeoutError("too slow")

    with capture() as captured, query_span("q", agent="a"), pytest.raises(TimeoutError):
        refused()
    call = only_call(captured)
    assert (call.status, call.error_type, call.input_tokens) == ("error", "TimeoutError", 3)


def test_calls_of_other_threads_and_late_ones_count_in_their_query() -> None:
    go = threading.Event()

    def slow() -> None:
        with model_span("late") as call:
            go.wait(5)
            call.record_tokens(7, 1)

    with capture() as captured:
        with query_span("q", agent="a"):
            thread = threading.Thread(target=propagate(slow))
            other = threading.Thread(target=propagate(lambda: ask(CHAT)))
            thread.start()
            other.start()
            other.join(5)
        assert captured.queries  # so that it is taken before the late call ends
        go.set()
        thread.join(5)
    [query] = captured.queries
    assert query.input_tokens == 19
    assert {call.name: call.late for call in query.calls} == {"late": True, "small-1": False}


def test_texts_are_kept_only_where_the_setting_says_so_and_then_redacted() -> None:
    def record() -> CallRecord:
        with capture() as captured, query_span("q", agent="a"), model_span("small-1") as call:
            call.record_content([{"role": "user", "content": "write to ana@example.com"}], "done " + "x" * 3000)
        return only_call(captured)

    assert (record().input, record().output) == (None, None)
    configure(capture_model_content=True, redact=("email",), max_input_chars=100)
    kept = record()
    assert kept.input is not None
    assert kept.output is not None
    assert "[redacted]" in kept.input
    assert "ana@" not in kept.input
    assert len(kept.output) == 100


def test_texts_of_calls_outside_queries_are_redacted_too() -> None:
    configure(capture_model_content=True, redact=("email",))
    with capture() as captured, model_span("small-1") as call:
        call.record_content("ana@example.com")
    assert captured.calls[0].input == "[redacted]"


def test_a_decorated_query_with_model_calls_is_recorded_as_ever() -> None:
    @track_query(agent="a")
    def query(user_input: str) -> str:
        ask(CHAT)
        with tool_span("t"):
            pass
        return "done"

    with capture() as captured:
        query("why?")
    [record] = captured.queries
    assert (record.input_tokens, record.tool_calls, record.result_size_bytes) == (12, 1, 4)
