"""A framework that asks a model through a client which is recorded, too: each call and each token counts once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="needs openai")

import openai
from model_server import SAID, TOKENS, ModelServer, serving

from instrument import install
from instrument.collecting.collector import collector
from instrument.testing import capture


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as found:
        yield found


def of_openai_agents(server: ModelServer) -> Callable[[], Any]:
    agents = pytest.importorskip("agents", reason="needs openai-agents")
    install("openai_agents", "openai", "httpx", "httpx2")
    client = openai.AsyncOpenAI(base_url=server.url, api_key="none")
    agents.set_trace_processors([])  # its own would send traces to its maker
    agent = agents.Agent(name="support", model=agents.OpenAIChatCompletionsModel("small", client))
    return lambda: asyncio.run(agents.Runner.run(agent, "where is Asha?")).final_output


def of_pydantic_ai(server: ModelServer) -> Callable[[], Any]:
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="needs pydantic-ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    install("pydantic_ai", "openai", "httpx", "httpx2")
    model = OpenAIChatModel("small", provider=OpenAIProvider(base_url=server.url, api_key="none"))
    return lambda: pydantic_ai.Agent(model, name="support").run_sync("where is Asha?").output


def of_crewai(server: ModelServer) -> Callable[[], Any]:
    crewai = pytest.importorskip("crewai", reason="needs crewai")
    install("crewai", "openai", "httpx", "httpx2")
    model = crewai.LLM(model="openai/small", base_url=server.url, api_key="none")
    agent = crewai.Agent(role="support", goal="Answer", backstory="Years at the desk", llm=model)
    return lambda: agent.kickoff("where is Asha?").raw


FRAMEWORKS = {"openai_agents": of_openai_agents, "pydantic_ai": of_pydantic_ai, "crewai": of_crewai}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.filterwarnings("default")
def test_a_framework_s_model_call_and_its_client_s_request_are_one(
    server: ModelServer, loops: None, framework: str
) -> None:
    ask = FRAMEWORKS[framework](server)
    with capture() as captured:
        assert ask() == SAID
    assert collector.losses.problems == {}
    [query] = captured.queries
    calls = [call for call in query.calls if call.kind == "model"]
    assert len(calls) == query.model_calls == len(server.asked) == 1
    assert captured.calls == []
    assert (query.input_tokens, query.output_tokens) == TOKENS[:2]
    assert (calls[0].input_tokens, calls[0].output_tokens, calls[0].model) == (*TOKENS[:2], "small-2026")
    del ask
    gc.collect()  # frameworks leave sockets and loops open, which would be the next test's to be warned of
