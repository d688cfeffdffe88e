"""LiteLLM against a local server that answers as OpenAI's does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("litellm", reason="needs litellm")

import litellm
from model_server import SAID, TOKENS, serving

from instrument import configure, install, query_span
from instrument.collecting.collector import collector
from instrument.records import CallRecord
from instrument.testing import Captured, capture

pytestmark = pytest.mark.filterwarnings("default")  # LiteLLM's own imports warn


@pytest.fixture
def asked() -> Iterator[dict[str, Any]]:
    """What every call is given; the client underneath is recorded, too, where it is not inside."""
    install("litellm", "openai")
    with serving() as server:
        yield {"model": "openai/small", "api_base": server.url, "api_key": "none", "num_retries": 0, "timeout": 20}


MESSAGES = [{"role": "user", "content": "where is Asha?"}]
USAGE = {"include_usage": True}


def tokens(call: CallRecord) -> tuple[int | None, ...]:
    return call.input_tokens, call.output_tokens, call.cached_tokens, call.reasoning_tokens


def calls(captured: Captured) -> list[CallRecord]:
    assert collector.losses.problems == {}
    assert captured.calls == []
    [query] = captured.queries
    assert {call.kind for call in query.calls} == {"model"}
    assert query.input_tokens == (sum(call.input_tokens or 0 for call in query.calls) or None)
    return query.calls


def test_each_call_of_its_functions_is_one_model_call(asked: dict[str, Any]) -> None:
    with capture() as captured, query_span("q", agent="a"):
        answer = litellm.completion(messages=MESSAGES, **asked)
        assert answer.choices[0].message.content == SAID
        litellm.embedding(input=["Asha"], **asked)
        litellm.responses(input="where is Asha?", **asked)
    found = calls(captured)
    assert [tokens(call)[:2] for call in found] == [(12, 5), (4, None), (12, 5)]
    assert [call.name for call in found] == ["openai/small"] * 3
    assert found[0].provider == "openai"
    assert tokens(found[0]) == TOKENS


def test_streams_are_followed_to_their_end(asked: dict[str, Any]) -> None:
    with capture() as captured, query_span("q", agent="a"):
        chunks = list(litellm.completion(messages=MESSAGES, stream=True, stream_options=USAGE, **asked))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
        list(litellm.responses(input="where?", stream=True, **asked))
    found = calls(captured)
    assert [tokens(call)[:2] for call in found] == [(12, 5)] * 2
    assert all(0 < (call.first_chunk_ms or 0) <= (call.duration_ms or 0) for call in found)


def test_asynchronous_calls_and_streams_are_the_same(asked: dict[str, Any]) -> None:
    async def ask() -> None:
        await litellm.acompletion(messages=MESSAGES, **asked)
        await litellm.aembedding(input=["Asha"], **asked)
        async for _ in await litellm.acompletion(messages=MESSAGES, stream=True, stream_options=USAGE, **asked):
            pass

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(ask())
    assert [tokens(call)[:2] for call in calls(captured)] == [(12, 5), (4, None), (12, 5)]


def test_a_known_price_is_the_cost(asked: dict[str, Any]) -> None:
    litellm.register_model(
        {
            "openai/priced": {
                "input_cost_per_token": 0.01,
                "output_cost_per_token": 0.02,
                "litellm_provider": "openai",
                "mode": "chat",
            }
        }
    )
    with capture() as captured, query_span("q", agent="a"):
        litellm.completion(messages=MESSAGES, **asked | {"model": "openai/priced"})
    [call] = calls(captured)
    assert call.cost_usd
    assert captured.queries[0].cost_usd == call.cost_usd


@pytest.mark.parametrize("model", ["rude", "broken"])
def test_an_error_passes_and_fails_the_call(asked: dict[str, Any], model: str) -> None:
    with capture() as captured, query_span("q", agent="a"), pytest.raises(Exception, match="litellm") as raised:
        litellm.completion(messages=MESSAGES, **asked | {"model": f"openai/{model}"})
    assert [call.error_type for call in calls(captured)] == [type(raised.value).__name__]


def test_texts_are_kept_where_the_setting_says_so(asked: dict[str, Any]) -> None:
    configure(capture_model_content=True)
    with capture() as captured, query_span("q", agent="a"):
        litellm.completion(messages=MESSAGES, **asked)
    [call] = calls(captured)
    assert (call.output, "where is Asha?" in (call.input or "")) == (SAID, True)
