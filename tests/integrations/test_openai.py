"""OpenAI's client against a local server that answers as OpenAI's does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="needs openai")

import openai
from model_server import SAID, TOKENS, ModelServer, serving

from instrument import configure, install, model_span, query_span, suppress, tool_span, track_model, uninstall
from instrument.collecting.collector import collector
from instrument.records import CallRecord, QueryRecord
from instrument.testing import Captured, capture

ASKED: Any = [{"role": "user", "content": "where is Asha?"}]
TOOLS: Any = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as found:
        yield found


@pytest.fixture
def client(server: ModelServer) -> Iterator[Any]:
    install("openai")
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=3) as found:
        yield found


@pytest.fixture
def aclient(server: ModelServer) -> Any:
    install("openai")
    return openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=3)


def tokens(record: CallRecord | QueryRecord) -> tuple[int | None, ...]:
    return record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens


def only(captured: Captured) -> CallRecord:
    assert collector.losses.problems == {}
    [query] = captured.queries
    [call] = query.calls
    assert (call.kind, call.provider, captured.calls) == ("model", "127.0.0.1", [])
    assert tokens(query) == tokens(call)
    return call


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "small", "messages": ASKED, **more})


WAYS: dict[str, Callable[[Any], Any]] = {
    "chat": chat,
    "chat with tools": lambda client: chat(client, tools=TOOLS),
    "parsed": lambda client: client.chat.completions.parse(model="small", messages=ASKED),
    "responses": lambda client: client.responses.create(model="small", input="where is Asha?"),
    "raw": lambda client: (
        chat(client.with_raw_response)
        if False
        else client.chat.completions.with_raw_response.create(model="small", messages=ASKED)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_request_is_a_model_call_with_its_tokens(client: Any, way: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        answer = WAYS[way](client)
    call = only(captured)
    assert (call.name, call.model, call.status, tokens(call)) == ("small", "small-2026", "ok", TOKENS)
    if way == "raw":
        assert answer.parse().choices[0].message.content == SAID


@pytest.mark.parametrize("way", list(WAYS))
def test_an_asynchronous_request_is_the_same(aclient: Any, way: str) -> None:
    async def ask() -> None:
        async with aclient:
            await WAYS[way](aclient)

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(ask())
    assert (only(captured).model, tokens(only(captured))) == ("small-2026", TOKENS)


def test_embeddings_are_model_calls_with_input_tokens_alone(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        client.embeddings.create(model="embed", input="Asha")
    assert (only(captured).model, tokens(only(captured))) == ("embed-2026", (4, None, None, None))


USAGE: Any = {"include_usage": True}


def test_a_stream_s_call_ends_with_the_stream_and_has_its_first_chunk(client: Any) -> None:
    with capture() as captured:
        with query_span("q", agent="a"):
            stream = chat(client, stream=True, stream_options=USAGE)
            for _ in stream:
                with tool_span("between"):
                    pass
        [query] = captured.queries
    [call, *between] = query.calls
    assert (call.kind, call.status, call.model, tokens(call)) == ("model", "ok", "small-2026", TOKENS)
    assert 0 < (call.first_chunk_ms or 0) <= (call.duration_ms or 0)
    assert {each.parent for each in between} == {None}
    assert query.first_chunk_ms is None


def test_streams_in_all_their_forms_are_followed(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        with chat(client, stream=True, stream_options=USAGE) as stream:
            list(stream)
        with client.chat.completions.stream(model="small", messages=ASKED, stream_options=USAGE) as events:
            assert events.get_final_completion().choices[0].message.content == SAID
        list(client.responses.create(model="small", input="where?", stream=True))
        with client.responses.stream(model="small", input="where?") as responses:
            responses.until_done()
        raw = client.chat.completions.with_raw_response.create(
            model="small", messages=ASKED, stream=True, stream_options=USAGE
        )
        list(raw.parse())
        with client.chat.completions.with_streaming_response.create(model="small", messages=ASKED) as response:
            response.read()
    [query] = captured.queries
    gc.collect()
    *followed, unread = query.calls
    assert [tokens(call) for call in followed] == [TOKENS] * 5
    assert [call.status for call in followed] == ["ok"] * 5
    assert unread.kind == "model"
    assert collector.losses.problems == {}


def test_asynchronous_streams_are_followed_too(aclient: Any) -> None:
    async def ask() -> None:
        async with aclient:
            async for _ in await chat(aclient, stream=True, stream_options=USAGE):
                pass
            async for _ in await aclient.responses.create(model="small", input="where?", stream=True):
                pass

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(ask())
    assert [tokens(call) for call in captured.queries[0].calls] == [TOKENS] * 2
    assert all(call.first_chunk_ms for call in captured.queries[0].calls)


def test_a_stream_without_usage_has_no_tokens(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        list(chat(client, stream=True))
    assert (tokens(only(captured)), only(captured).model) == ((None,) * 4, "small-2026")


@pytest.mark.parametrize("how", ["break", "close", "drop"])
def test_a_stream_that_is_left_is_closed(client: Any, how: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        stream = chat(client, stream=True)
        if how != "drop":
            next(stream)
        if how == "close":
            stream.close()
        del stream
        gc.collect()
    assert only(captured).status == "closed"


def test_a_stream_that_breaks_off_is_a_failed_call(client: Any) -> None:
    with (
        capture() as captured,
        query_span("q", agent="a"),
        pytest.raises(Exception, match=r"Connection error|peer closed") as raised,
    ):
        list(chat(client, model="torn", stream=True))
    assert (only(captured).status, only(captured).error_type) == ("error", type(raised.value).__name__)


def test_retries_belong_to_their_request(client: Any, server: ModelServer) -> None:
    with capture() as captured, query_span("q", agent="a"):
        chat(client, model="busy")
    assert (only(captured).status, len(server.asked)) == ("ok", 3)


@pytest.mark.parametrize(("model", "error"), [("broken", "InternalServerError"), ("rude", "BadRequestError")])
def test_an_error_passes_and_fails_the_call(client: Any, model: str, error: str) -> None:
    with capture() as captured, query_span("q", agent="a"), pytest.raises(getattr(openai, error)):
        chat(client, model=model)
    assert (only(captured).status, only(captured).error_type) == ("error", error)


def test_a_server_that_is_not_there_fails_the_call() -> None:
    install("openai")
    client = openai.OpenAI(base_url="http://127.0.0.1:9", api_key="none", max_retries=0)
    with client, capture() as captured, query_span("q", agent="a"), pytest.raises(openai.APIConnectionError):
        chat(client)
    assert only(captured).error_type == "APIConnectionError"


def test_a_cancelled_request_is_cancelled(aclient: Any) -> None:
    async def ask() -> None:
        async with aclient:
            task = asyncio.ensure_future(chat(aclient))
            await asyncio.sleep(0)
            task.cancel()
            await task

    with capture() as captured, query_span("q", agent="a"), pytest.raises(asyncio.CancelledError):
        asyncio.run(ask())
    assert only(captured).status == "cancelled"


def test_inside_another_model_call_it_is_that_call_and_gives_it_its_tokens(client: Any) -> None:
    @track_model("mine", provider="local")
    def ask() -> Any:
        return chat(client, stream=True, stream_options=USAGE)

    with capture() as captured, query_span("q", agent="a"):
        with model_span("outer") as outer:
            chat(client)
            chat(client)
            outer.record_cost(0.5)
        list(ask())
    [first, second] = captured.queries[0].calls
    assert (first.name, first.model, tokens(first)) == ("outer", "small-2026", (24, 10, 16, 6))
    assert (second.name, second.provider) == ("mine", "local")
    assert captured.queries[0].model_calls == 2


def test_a_tool_between_makes_it_a_call_of_its_own(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"), model_span("outer"), tool_span("tool"):
        chat(client)
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [
        ("outer", None),
        ("tool", 0),
        ("small", 1),
    ]


def test_without_a_query_it_is_a_call_of_its_own_and_suppressed_or_taken_out_it_is_none(client: Any) -> None:
    with capture() as captured:
        chat(client)
        with suppress():
            chat(client)
        with model_span("outer"):
            chat(client)
        uninstall("openai")
        chat(client)
    assert [(call.name, tokens(call)) for call in captured.calls] == [("small", TOKENS), ("outer", TOKENS)]


def test_what_asks_no_model_is_left_alone(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"), pytest.raises(openai.APIStatusError):
        client.models.list()
    assert captured.queries[0].calls == []


def test_texts_are_kept_where_the_setting_says_so(client: Any) -> None:
    configure(capture_model_content=True, redact=("email",))
    with capture() as captured, query_span("q", agent="a"):
        chat(client, messages=[{"role": "user", "content": "ana@example.com"}])
        list(chat(client, stream=True))
        client.responses.create(model="small", input="where?")
    calls = captured.queries[0].calls
    assert [call.output for call in calls] == [SAID] * 3
    assert "[redacted]" in (calls[0].input or "")
    assert calls[2].input == "where?"
