"""PydanticAI itself, with its own models for tests."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tool_calls import calls_of, models

pytest.importorskip("pydantic_ai", reason="needs pydantic-ai")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, InstrumentationSettings, ModelRetry, RunContext, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from instrument import graphql_span, install, track_query, track_tool, uninstall
from instrument.collecting.collector import collector
from instrument.recording.scope import NOBODY, current
from instrument.records import QueryRecord
from instrument.testing import Captured, capture


@pytest.fixture(autouse=True)
def hooked(loops: None) -> Iterator[None]:
    install("pydantic_ai")
    yield
    uninstall("pydantic_ai")
    assert Agent._instrument_default is False


@pytest.fixture
def exported() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """An application's own OpenTelemetry, and what it exports."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


class Request:
    """Something of a request's own."""


@track_tool
def own(country: str) -> str:
    return country.upper()


def an_agent(model: Any = None, name: str = "support") -> Agent[None, str]:
    """An agent whose model calls both of its tools once, and then answers."""
    agent = Agent(model or TestModel(custom_output_text="Asha"), name=name, system_prompt="You find customers.")

    @agent.tool_plain
    def look_up(country: str) -> str:
        return own(country)

    @agent.tool_plain
    async def ask(country: str) -> str:
        with graphql_span("query Customers"):
            await asyncio.sleep(0.001)
        return country

    return agent


def only(captured: Captured) -> QueryRecord:
    assert captured.calls == []
    assert collector.losses.problems == {}
    assert current.get() is NOBODY
    (query,) = captured.queries
    return query


def parents(query: QueryRecord) -> dict[str, str | None]:
    return {call.name: None if call.parent is None else calls_of(query)[call.parent].name for call in calls_of(query)}


async def _streamed(agent: Agent[None, str], text: str) -> str:
    async with agent.run_stream(text) as result:
        return "".join([chunk async for chunk in result.stream_text(delta=True)])


async def _iterated(agent: Agent[None, str], text: str) -> str:
    async with agent.iter(text) as run:
        async for _ in run:
            pass
    return run.result.output


WAYS: dict[str, Callable[[Agent[None, str], str], str]] = {
    "sync": lambda agent, text: agent.run_sync(text).output,
    "async": lambda agent, text: asyncio.run(agent.run(text)).output,
    "streamed": lambda agent, text: asyncio.run(_streamed(agent, text)),
    "iterated": lambda agent, text: asyncio.run(_iterated(agent, text)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_a_query_with_its_tools_tokens_and_answer(way: str) -> None:
    with capture() as captured:
        assert WAYS[way](an_agent(), "who is in India?") == "Asha"
    query = only(captured)
    assert (query.agent_type, query.user_input, query.status) == ("support", "who is in India?", "ok")
    assert parents(query) == {"look_up": None, "ask": None, "own": "look_up", "query Customers": "ask"}
    assert (query.tool_calls, query.graphql_queries, query.model) == (3, 1, "test")
    assert query.result_size_bytes == len("Asha")


def test_tokens_are_those_that_the_run_itself_reports_and_stand_on_its_model_calls() -> None:
    with capture() as captured:
        result = an_agent().run_sync("who?")
    query = only(captured)
    assert sum(call.input_tokens or 0 for call in models(query)) == query.input_tokens
    assert {(call.name, call.provider, call.parent, call.success) for call in models(query)} == {
        ("test", "test", None, True)
    }
    assert len(models(query)) == query.model_calls == result.usage.requests
    assert (query.input_tokens, query.output_tokens) == (result.usage.input_tokens, result.usage.output_tokens)
    assert query.input_tokens > 0


def test_the_input_is_the_last_question_whatever_was_said_before() -> None:
    before = an_agent().run_sync("an earlier question").all_messages()
    with capture() as captured:
        an_agent().run_sync("the question", message_history=before)
    assert only(captured).user_input == "the question"


def test_a_failing_tool_is_a_failed_call_by_its_own_reason_and_an_exception_counts_once() -> None:
    agent: Agent[None, str] = Agent(TestModel(), name="a", retries=1)

    @agent.tool_plain
    def again(x: str) -> str:
        raise ModelRetry("another way, please")

    fatal: Agent[None, str] = Agent(TestModel(), name="b")

    @fatal.tool_plain
    def broken(x: str) -> str:
        raise LookupError("nowhere")

    with capture() as captured:
        with pytest.raises(UnexpectedModelBehavior):
            agent.run_sync("x")
        with pytest.raises(LookupError):
            fatal.run_sync("x")
    retried, failed = captured.queries
    assert [call.error_type for call in calls_of(retried)] == ["ModelRetry", "UnexpectedModelBehavior"]
    assert (retried.error_type, retried.passed_on) == ("UnexpectedModelBehavior", True)
    assert [call.error_type for call in calls_of(failed)] == ["LookupError"]
    assert (failed.error_type, failed.error_message, failed.passed_on) == ("LookupError", "nowhere", True)


def test_a_call_with_arguments_that_do_not_fit_is_a_failed_call() -> None:
    turns = iter([[ToolCallPart("count", {"most": "many"})], [ToolCallPart("count", {"most": 3})], [TextPart("done")]])

    def scripted(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=next(turns))

    agent: Agent[None, str] = Agent(FunctionModel(scripted), name="a")

    @agent.tool_plain
    def count(most: int) -> int:
        return most

    with capture() as captured:
        agent.run_sync("x")
    assert [(call.name, call.success) for call in calls_of(only(captured))] == [("count", False), ("count", True)]


def test_an_agent_that_a_tool_asks_has_its_tools_under_that_tools_call() -> None:
    outer: Agent[None, str] = Agent(TestModel(), name="outer")

    @outer.tool
    async def delegate(context: RunContext[None]) -> str:
        return (await an_agent(name="inner").run("from inside", usage=context.usage)).output

    with capture() as captured:
        result = outer.run_sync("x")
    query = only(captured)
    assert parents(query) == {
        "delegate": None,
        "look_up": "delegate",
        "ask": "delegate",
        "own": "look_up",
        "query Customers": "ask",
    }
    assert query.attributes == {"agents": "outer > inner"}
    assert query.input_tokens == result.usage.input_tokens
    assert query.user_input == "x"


def test_a_run_joins_the_query_that_is_open() -> None:
    @track_query(agent="mine")
    async def answer(user_input: str) -> str:
        own("before")
        done = await an_agent().run(user_input)
        own("after")
        return done.output

    with capture() as captured:
        asyncio.run(answer("who?"))
    query = only(captured)
    assert (query.agent_type, query.tool_calls, calls_of(query)[0].parent, calls_of(query)[-1].parent) == (
        "mine",
        5,
        None,
        None,
    )
    assert query.input_tokens > 0


def test_a_run_that_is_cancelled_is_recorded_as_cancelled_with_its_tool() -> None:
    agent: Agent[None, str] = Agent(TestModel(), name="a")
    begun = asyncio.Event()

    @agent.tool_plain
    async def wait() -> str:
        begun.set()
        await asyncio.sleep(30)
        return ""

    async def main() -> None:
        run = asyncio.create_task(agent.run("x"))
        await begun.wait()
        run.cancel()
        await run

    with capture() as captured, pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    query = only(captured)
    assert query.status == "cancelled"
    assert [(call.name, call.status) for call in calls_of(query)] == [("wait", "cancelled")]


def test_a_stream_that_is_left_early_is_one_query_that_ends() -> None:
    async def chunks(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for word in ("two ", "unpaid ", "bills "):
            yield word

    async def main() -> None:
        agent: Agent[None, str] = Agent(FunctionModel(stream_function=chunks), name="a")
        async with agent.run_stream("x") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                break
        own("after")

    with capture() as captured:
        asyncio.run(main())
    assert len(captured.queries) == 1
    assert captured.queries[0].tool_calls == 0
    assert [call.name for call in captured.calls] == ["own"]


def test_eight_runs_at_once_are_eight_queries_with_their_own_calls() -> None:
    async def main() -> None:
        await asyncio.gather(*(an_agent(name=str(number)).run(str(number)) for number in range(8)))

    with capture() as captured:
        asyncio.run(main())
    assert sorted((query.agent_type, query.user_input, query.tool_calls) for query in captured.queries) == [
        (str(number), str(number), 3) for number in range(8)
    ]
    assert captured.calls == []


def test_an_applications_own_opentelemetry_sees_nothing_of_ours(
    exported: tuple[TracerProvider, InMemorySpanExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, exporter = exported
    reader = InMemoryMetricReader()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([reader]))
    tracer = provider.get_tracer("application")
    agent: Agent[None, str] = Agent(TestModel(), name="a")

    @agent.tool_plain
    def work() -> str:
        with tracer.start_as_current_span("inside"):
            return "done"

    with capture() as captured, tracer.start_as_current_span("around"):
        agent.run_sync("x")
    inside, around = exporter.get_finished_spans()
    assert inside.parent == around.context
    assert (dict(around.attributes), around.events) == ({}, ())
    assert reader.get_metrics_data() is None
    assert only(captured).tool_calls == 1


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with the opentelemetry integration"])
@pytest.mark.parametrize("version", [5, 6])
def test_an_application_that_traces_its_agents_itself_keeps_its_spans_and_is_recorded_once(
    exported: tuple[TracerProvider, InMemorySpanExporter], both: bool, version: Any
) -> None:
    provider, exporter = exported
    if both:
        install("opentelemetry")
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider, version=version))
    try:
        with capture() as captured:
            result = an_agent().run_sync("who?")
    finally:
        Agent.instrument_all(False)
    assert [span.name for span in exporter.get_finished_spans()][-1] == "invoke_agent support"
    query = only(captured)
    assert (query.agent_type, query.user_input, query.tool_calls, query.model) == ("support", "who?", 3, "test")
    assert parents(query) == {"look_up": None, "ask": None, "own": "look_up", "query Customers": "ask"}
    assert (query.input_tokens, query.output_tokens) == (result.usage.input_tokens, result.usage.output_tokens)


def test_an_application_that_switches_tracing_off_for_all_is_still_recorded() -> None:
    Agent.instrument_all()
    Agent.instrument_all(False)
    with capture() as captured:
        an_agent().run_sync("who?")
    assert only(captured).tool_calls == 3


def test_after_uninstall_nothing_is_recorded() -> None:
    uninstall("pydantic_ai")
    with capture() as captured:
        Agent(TestModel(), name="a").run_sync("who?")
    assert captured.queries == []


def test_nothing_of_a_run_is_held_after_it() -> None:
    held: list[weakref.ref[Request]] = []
    agent: Agent[Request, str] = Agent(TestModel(), name="a", deps_type=Request)

    @agent.tool
    def look(context: RunContext[Request]) -> str:
        held.append(weakref.ref(context.deps))
        return ""

    with capture() as captured:
        agent.run_sync("x", deps=Request())
    gc.collect()
    assert only(captured).tool_calls == 1
    assert held[0]() is None
