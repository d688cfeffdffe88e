"""Anthropic's client against a local server that answers as Anthropic's does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("anthropic", reason="needs anthropic")

import anthropic
from model_server import SAID, ModelServer, serving

from instrument import configure, install, query_span, track_model
from instrument.collecting.collector import collector
from instrument.records import CallRecord, QueryRecord
from instrument.testing import Captured, capture

TOKENS = (12, 5, 8)
ASKED: Any = {"model": "small", "max_tokens": 10, "messages": [{"role": "user", "content": "where is Asha?"}]}
TOOLS: Any = [{"name": "find", "input_schema": {"type": "object", "properties": {}}}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as found:
        yield found


@pytest.fixture
def client(server: ModelServer) -> Iterator[Any]:
    install("anthropic")
    with anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=3) as found:
        yield found


@pytest.fixture
def aclient(server: ModelServer) -> Any:
    install("anthropic")
    return anthropic.AsyncAnthropic(base_url=server.root, api_key="none", max_retries=3)


def tokens(record: CallRecord | QueryRecord) -> tuple[int | None, ...]:
    return record.input_tokens, record.output_tokens, record.cached_tokens


def calls(captured: Captured) -> list[CallRecord]:
    assert collector.losses.problems == {}
    assert captured.calls == []
    [query] = captured.queries
    assert {(call.kind, call.provider) for call in query.calls} == {("model", "127.0.0.1")}
    return query.calls


def test_messages_are_model_calls_with_all_their_tokens_in_every_form(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        client.messages.create(**ASKED)
        client.messages.create(**ASKED, tools=TOOLS)
        raw = client.messages.with_raw_response.create(**ASKED)
        assert raw.parse().content[0].text == SAID
        list(client.messages.create(**ASKED, stream=True))
        with client.messages.stream(**ASKED) as stream:
            assert "".join(stream.text_stream) == SAID
    found = calls(captured)
    assert [tokens(call) for call in found] == [TOKENS] * 5
    assert {(call.name, call.model, call.status) for call in found} == {("small", "small-2026", "ok")}
    assert [call.first_chunk_ms is not None for call in found] == [False, False, False, True, True]
    assert captured.queries[0].input_tokens == 5 * 12


def test_the_asynchronous_client_is_the_same(aclient: Any) -> None:
    async def ask() -> None:
        async with aclient:
            await aclient.messages.create(**ASKED)
            async for _ in await aclient.messages.create(**ASKED, stream=True):
                pass
            async with aclient.messages.stream(**ASKED) as stream:
                assert [text async for text in stream.text_stream] == [SAID]

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(ask())
    assert [tokens(call) for call in calls(captured)] == [TOKENS] * 3


@pytest.mark.parametrize("how", ["break", "close", "drop"])
def test_a_stream_that_is_left_is_closed(client: Any, how: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        stream = client.messages.create(**ASKED, stream=True)
        if how != "drop":
            next(stream)
        if how == "close":
            stream.close()
        del stream
        gc.collect()
    assert [call.status for call in calls(captured)] == ["closed"]


def test_retries_belong_to_their_request_and_errors_fail_it(client: Any, server: ModelServer) -> None:
    with capture() as captured, query_span("q", agent="a"):
        client.messages.create(**ASKED | {"model": "busy"})
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**ASKED | {"model": "rude"})
        with pytest.raises(anthropic.APIStatusError):
            client.messages.create(**ASKED | {"model": "broken"})
        with pytest.raises(Exception, match="peer closed connection"):
            list(client.messages.create(**ASKED | {"model": "torn"}, stream=True))
    assert [call.error_type is None for call in calls(captured)] == [True, False, False, False]
    assert len([model for _, model in server.asked if model == "busy"]) == 3


def test_counting_tokens_asks_no_model(client: Any) -> None:
    with capture() as captured, query_span("q", agent="a"), pytest.raises(anthropic.APIError):
        client.messages.count_tokens(model="rude", messages=ASKED["messages"])
    assert captured.queries[0].calls == []


def test_inside_another_model_call_it_is_that_call(client: Any) -> None:
    @track_model("mine")
    def ask() -> Any:
        return client.messages.create(**ASKED)

    with capture() as captured, query_span("q", agent="a"):
        ask()
    [call] = captured.queries[0].calls
    assert (call.name, tokens(call), captured.queries[0].input_tokens) == ("mine", TOKENS, 12)


def test_texts_are_kept_where_the_setting_says_so(client: Any) -> None:
    configure(capture_model_content=True)
    with capture() as captured, query_span("q", agent="a"):
        client.messages.create(**ASKED)
        list(client.messages.create(**ASKED, stream=True))
    assert [call.output for call in calls(captured)] == [SAID] * 2
    assert "where is Asha?" in (calls(captured)[0].input or "")
