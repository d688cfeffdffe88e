"""OpenTelemetry's own SDK: spans by the GenAI conventions and OpenInference, as instrumentations emit them."""

# ruff: noqa: SIM117 - spans stand inside each other, as they are
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tool_calls import calls_of, models

pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from instrument import install, query_span, tool_span, track_graphql, track_query, track_tool, uninstall
from instrument.collecting.collector import collector
from instrument.recording.scope import NOBODY, current
from instrument.records import QueryRecord
from instrument.testing import Captured, capture

ASKED = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "who is in India?"}]}])
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small"}
USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}


def tool(name: str) -> dict[str, str]:
    return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}


@pytest.fixture
def tracer() -> Iterator[Any]:
    install("opentelemetry")
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider.get_tracer("tests")
    provider.shutdown()


@track_tool
def own() -> None:
    """A function of the application's."""


def only(captured: Captured) -> QueryRecord:
    assert captured.calls == []
    assert collector.losses.problems == {}
    assert current.get() is NOBODY
    (query,) = captured.queries
    return query


def shape(query: QueryRecord) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in calls_of(query)]


def test_an_agents_span_is_a_query_with_its_tools_tokens_and_answer(tracer: Any) -> None:
    with capture() as captured, tracer.start_as_current_span("POST /ask"):
        with tracer.start_as_current_span("invoke_agent support", attributes=AGENT) as agent:
            agent.set_attribute("gen_ai.input.messages", ASKED)
            with tracer.start_as_current_span("chat small", attributes=CHAT) as chat:
                chat.set_attributes(USAGE | {"gen_ai.response.model": "small-1", "gen_ai.usage.cost": 0.25})
            with tracer.start_as_current_span("execute_tool look_up", attributes=tool("look_up")):
                own()
                with tracer.start_as_current_span("work of the application's"):
                    track_graphql(lambda query: {})("query Customers { id }")
            agent.set_attributes(USAGE | {"gen_ai.output.messages": "Asha"})
    query = only(captured)
    assert (query.agent_type, query.name, query.user_input) == ("support", "invoke_agent support", "who is in India?")
    assert shape(query) == [("look_up", None), ("own", 0), ("query Customers", 0)]
    assert (query.input_tokens, query.output_tokens, query.model) == (10, 5, "small-1")
    assert (query.metrics, query.result_size_bytes) == ({"cost_usd": 0.25}, 4)
    [call] = models(query)
    assert (call.model, call.input_tokens, call.cost_usd, call.parent) == ("small-1", 10, 0.25, None)
    assert query.cost_usd == 0.25


def test_openinference_spans_are_the_same_and_the_outermost_chain_is_the_query(tracer: Any) -> None:
    kind = "openinference.span.kind"
    with capture() as captured:
        with tracer.start_as_current_span("Crew.kickoff", attributes={kind: "CHAIN", "input.value": "who?"}):
            for agent in ("finder", "writer"):
                with tracer.start_as_current_span("run", attributes={kind: "AGENT", "agent.name": agent}):
                    with tracer.start_as_current_span("find", attributes={kind: "TOOL", "tool.name": f"of {agent}"}):
                        with tracer.start_as_current_span("rows", attributes={kind: "RETRIEVER"}):
                            pass
                    with tracer.start_as_current_span("model", attributes={kind: "LLM"}) as model:
                        model.set_attributes({"llm.token_count.prompt": 3, "llm.token_count.completion": 2})
    query = only(captured)
    assert (query.agent_type, query.user_input) == ("Crew.kickoff", "who?")
    assert query.attributes == {"agents": "Crew.kickoff > finder > writer"}
    assert shape(query) == [("of finder", None), ("rows", 0), ("of writer", None), ("rows", 2)]
    assert (query.input_tokens, query.output_tokens) == (6, 4)
    assert [(call.name, call.model, call.input_tokens) for call in models(query)] == [("model", None, 3)] * 2


def test_names_are_without_the_ids_of_runs(tracer: Any) -> None:
    kind = "openinference.span.kind"
    with capture() as captured:
        for run in ("f259a445-96fa-4b49-be98-b5527338e31b", "0" * 32):
            with tracer.start_as_current_span(f"Crew_{run}.kickoff", attributes={kind: "CHAIN"}):
                with tracer.start_as_current_span("find.run", attributes={kind: "TOOL"}):
                    pass
    assert [query.agent_type for query in captured.queries] == ["Crew.kickoff"] * 2
    assert [call.name for query in captured.queries for call in calls_of(query)] == ["find", "find"]


def test_graphql_spans_are_graphql_calls(tracer: Any) -> None:
    about = {"graphql.operation.type": "query", "graphql.operation.name": "Customers"}
    with capture() as captured, tracer.start_as_current_span("invoke_agent a"):
        with tracer.start_as_current_span("POST", attributes=about):
            pass
        with tracer.start_as_current_span("POST", attributes={"graphql.document": "mutation Pay { pay }"}):
            pass
    query = only(captured)
    assert [(call.kind, call.name) for call in calls_of(query)] == [
        ("graphql", "query Customers"),
        ("graphql", "mutation Pay"),
    ]


def test_a_span_that_says_late_what_it_is_is_still_a_call_from_its_beginning(tracer: Any) -> None:
    with capture() as captured, tracer.start_as_current_span("invoke_agent a"):
        with tracer.start_as_current_span("find") as span:
            own()
            span.set_attributes({"traceloop.span.kind": "tool", "traceloop.entity.name": "look_up"})
        with tracer.start_as_current_span("ask") as span:
            span.set_attributes(CHAT | USAGE)
    query = only(captured)
    assert shape(query) == [("look_up", None), ("own", None)]
    assert calls_of(query)[0].duration_ms > calls_of(query)[1].duration_ms
    assert query.input_tokens == 10


def test_errors_are_those_of_the_spans_and_one_exception_counts_once(tracer: Any) -> None:
    with capture() as captured, contextlib.suppress(KeyError), tracer.start_as_current_span("invoke_agent a"):
        with contextlib.suppress(ValueError), tracer.start_as_current_span("execute_tool caught"):
            raise ValueError("caught")
        with tracer.start_as_current_span("execute_tool told") as span:
            span.set_status(Status(StatusCode.ERROR, "no such country"))
        with tracer.start_as_current_span("execute_tool named") as span:
            span.set_attribute("error.type", "shop.errors.NotFound")
        with tracer.start_as_current_span("execute_tool fatal"):
            raise KeyError("fatal")
    query = only(captured)
    assert (query.error_type, query.error_message, query.passed_on) == ("KeyError", "'fatal'", True)
    assert [(call.name, call.error_type) for call in calls_of(query)] == [
        ("caught", "ValueError"),
        ("told", "Error"),
        ("named", "NotFound"),
        ("fatal", "KeyError"),
    ]


def test_what_is_cancelled_or_closed_is_recorded_so(tracer: Any) -> None:
    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a"), tracer.start_as_current_span("execute_tool wait"):
            await asyncio.sleep(30)

    async def main() -> None:
        async with asyncio.timeout(0.01):
            await agent()

    def stream() -> Iterator[int]:
        with tracer.start_as_current_span("invoke_agent b"):
            yield 1
            yield 2

    with capture() as captured:
        with pytest.raises(TimeoutError):
            asyncio.run(main())
        read = stream()
        next(read)
        read.close()
    first, second = captured.queries
    assert (first.status, calls_of(first)[0].status) == ("cancelled", "cancelled")
    assert second.status == "closed"
    assert current.get() is NOBODY


def test_an_agent_joins_the_query_that_is_open_and_its_tools_are_once_in_it(tracer: Any) -> None:
    @track_query(agent="mine")
    def answer(user_input: str) -> None:
        own()
        with tracer.start_as_current_span("invoke_agent support", attributes=AGENT | USAGE):
            with tool_span("look_up"), tracer.start_as_current_span("execute_tool look_up"):
                own()
        own()

    with capture() as captured:
        answer("who?")
    query = only(captured)
    assert shape(query) == [("own", None), ("look_up", None), ("own", 1), ("own", None)]
    assert (query.agent_type, query.input_tokens) == ("mine", 10)


def test_spans_with_explicit_parents_belong_to_them_on_whatever_thread_they_begin(tracer: Any) -> None:
    with capture() as captured, ThreadPoolExecutor(4) as pool:
        agents = [tracer.start_span(f"invoke_agent {number}") for number in range(8)]

        def work(number: int) -> None:
            within = trace.set_span_in_context(agents[number])
            for _ in range(number):
                outer = tracer.start_span("execute_tool outer", context=within)
                inner = tracer.start_span("execute_tool inner", context=trace.set_span_in_context(outer))
                own()
                inner.end()
                outer.end()

        list(pool.map(work, range(8)))
        for agent in agents:
            agent.end()
    assert captured.calls == []
    for query in captured.queries:
        parents = [None if call.parent is None else calls_of(query)[call.parent].name for call in calls_of(query)]
        expected = [("outer", None), ("inner", "outer"), ("own", "inner")]
        assert list(zip([call.name for call in calls_of(query)], parents, strict=True)) == expected * int(
            query.agent_type
        )
    own_here = current.get()
    assert own_here[:5] == NOBODY[:5]


def test_eight_at_once_in_tasks_are_eight_queries(tracer: Any) -> None:
    async def one(number: int) -> None:
        with tracer.start_as_current_span(f"invoke_agent {number}"):
            for _ in range(number):
                with tracer.start_as_current_span("execute_tool t"):
                    await asyncio.sleep(0)
                    own()

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(8)))

    with capture() as captured:
        asyncio.run(main())
    assert {query.agent_type: query.tool_calls for query in captured.queries} == {str(n): 2 * n for n in range(8)}


def test_the_provider_that_was_set_before_install_is_heard_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    install("opentelemetry")
    with capture() as captured, provider.get_tracer("tests").start_as_current_span("invoke_agent early"):
        pass
    assert only(captured).agent_type == "early"


def test_the_applications_own_exporter_gets_what_it_would_have_got(tracer: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with capture(), provider.get_tracer("tests").start_as_current_span("invoke_agent a", attributes=AGENT):
        with provider.get_tracer("tests").start_as_current_span("execute_tool t"):
            pass
    inner, outer = exporter.get_finished_spans()
    assert inner.parent == outer.context
    assert dict(outer.attributes) == AGENT


def test_after_uninstall_nothing_is_recorded_and_installed_again_once(tracer: Any) -> None:
    uninstall("opentelemetry")
    with capture() as captured:
        with tracer.start_as_current_span("invoke_agent a"):
            pass
        install("opentelemetry")
        with tracer.start_as_current_span("invoke_agent b"), tracer.start_as_current_span("execute_tool t"):
            pass
    assert [(query.agent_type, query.tool_calls) for query in captured.queries] == [("b", 1)]


def test_spans_of_others_are_nothing_and_odd_ones_do_no_harm(tracer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with capture() as captured, caplog.at_level(logging.WARNING):
        with tracer.start_as_current_span("GET /"), tracer.start_as_current_span("SELECT"):
            pass
        ended = tracer.start_span("invoke_agent a", attributes={"gen_ai.input.messages": "[" * 5000})
        ended.end()
        ended.end()
    assert [(query.agent_type, query.status) for query in captured.queries] == [("a", "ok")]
    assert collector.losses.problems == {}
    assert [record.message for record in caplog.records] == ["Calling end() on an ended span."]


def test_a_query_inside_a_tool_of_an_agent_is_a_query_of_its_own(tracer: Any) -> None:
    with capture() as captured, tracer.start_as_current_span("invoke_agent a"):
        with tracer.start_as_current_span("execute_tool ask"), query_span("inner", agent="inner"):
            own()
    inner, outer = captured.queries
    assert inner.parent_id == outer.query_id
    assert (shape(inner), shape(outer)) == ([("own", None)], [("ask", None)])
