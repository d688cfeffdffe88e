"""OpenAI Agents itself, with a model of our own that says what is written for it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest
from tool_calls import calls_of, models

agents = pytest.importorskip("agents", reason="needs openai-agents")

from agents import (  # noqa: E402
    Agent,
    ModelResponse,
    RunConfig,
    Runner,
    Usage,
    function_tool,
    generation_span,
    set_trace_processors,
    trace,
)
from agents.models.interface import Model  # noqa: E402
from agents.tracing import TracingProcessor, get_trace_provider  # noqa: E402
from openai.types.responses import (  # noqa: E402
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails  # noqa: E402

from instrument import graphql_span, install, query_span, track_query, track_tool, uninstall  # noqa: E402
from instrument.recording.scope import NOBODY, current  # noqa: E402
from instrument.records import QueryRecord  # noqa: E402
from instrument.testing import Captured, capture  # noqa: E402

Turn = list[tuple[str, str]] | str | BaseException


@pytest.fixture(autouse=True)
def offline(loops: None) -> Iterator[None]:
    """Without the SDK's own exporter, which would ask the network."""
    set_trace_processors([])
    install("openai_agents")
    yield
    uninstall("openai_agents")
    assert get_trace_provider()._multi_processor._processors == ()


class Scripted(Model):
    """Says what is written for it, one turn after the other: an answer, calls of tools with their arguments, an error.

    As the SDK's own models do, it tells of each turn in a span of its own.
    """

    def __init__(self, *turns: Turn, tells: bool = True) -> None:
        self.turns = list(turns)
        self.tells = tells

    def _output(self) -> list[Any]:
        turn = self.turns.pop(0)
        if isinstance(turn, BaseException):
            raise turn
        if isinstance(turn, str):
            text = ResponseOutputText(text=turn, type="output_text", annotations=[])
            return [ResponseOutputMessage(id="1", content=[text], role="assistant", status="completed", type="message")]
        return [
            ResponseFunctionToolCall(
                name=name, arguments=arguments, call_id=f"{len(self.turns)}-{place}", type="function_call"
            )
            for place, (name, arguments) in enumerate(turn)
        ]

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        await asyncio.sleep(0)
        if not self.tells:
            return ModelResponse(self._output(), Usage(1, 10, output_tokens=5, total_tokens=15), None)
        with generation_span(model="scripted-1") as span:
            output = self._output()
            span.span_data.input = [{"role": "user", "content": input}] if isinstance(input, str) else input
            span.span_data.output = [one.model_dump() for one in output]
            span.span_data.usage = {"input_tokens": 10, "output_tokens": 5}
            return ModelResponse(output, Usage(1, 10, output_tokens=5, total_tokens=15), None)

    async def stream_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        output = (await self.get_response(system_instructions, input)).output
        response = Response(
            id="1",
            created_at=0,
            model="scripted-1",
            object="response",
            output=output,
            tool_choice="auto",
            tools=[],
            parallel_tool_calls=True,
            usage=ResponseUsage(
                input_tokens=10,
                output_tokens=5,
                total_tokens=15,
                input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
                output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            ),
        )
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)


@track_tool
def own_function(country: str) -> str:
    return country.upper()


@function_tool
def look_up(country: str) -> str:
    """Look customers up."""
    return own_function(country)


@function_tool
async def ask(country: str) -> str:
    """Ask the server."""
    with graphql_span("query Customers"):
        await asyncio.sleep(0.001)
    return country


@function_tool
def broken(country: str) -> str:
    """Fail."""
    raise LookupError(country)


@function_tool(failure_error_function=None)
def fatal(country: str) -> str:
    """Fail, and let the run fail."""
    raise LookupError(country)


INDIA = '{"country": "India"}'


def an_agent(*turns: Turn, name: str = "support", tools: Any = (look_up, ask, broken, fatal), **more: Any) -> Any:
    return Agent(name=name, model=Scripted(*turns), tools=list(tools), **more)


def shape(query: QueryRecord) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in calls_of(query)]


def only(captured: Captured) -> QueryRecord:
    assert captured.calls == []
    (query,) = captured.queries
    return query


async def _awaited(agent: Any, text: str) -> str:
    return str((await Runner.run(agent, text)).final_output)


async def _streamed(agent: Any, text: str) -> str:
    result = Runner.run_streamed(agent, text)
    async for _ in result.stream_events():
        assert current.get() is NOBODY  # what the reader does between two events is outside
    return str(result.final_output)


WAYS: list[Callable[[Any, str], str]] = [
    lambda agent, text: str(Runner.run_sync(agent, text).final_output),
    lambda agent, text: asyncio.run(_awaited(agent, text)),
    lambda agent, text: asyncio.run(_streamed(agent, text)),
]


@pytest.mark.parametrize("run", WAYS, ids=["sync", "async", "streamed"])
def test_a_run_is_a_query_with_its_tools_tokens_and_answer(run: Callable[[Any, str], str]) -> None:
    agent = an_agent([("look_up", INDIA), ("ask", INDIA)], "Asha")
    with capture() as captured:
        assert run(agent, "who is in India?") == "Asha"
    query = only(captured)
    assert (query.agent_type, query.user_input, query.status) == ("support", "who is in India?", "ok")
    assert sorted(call.name for call in calls_of(query)) == ["ask", "look_up", "own_function", "query Customers"]
    parents = {
        call.name: None if call.parent is None else calls_of(query)[call.parent].name for call in calls_of(query)
    }
    assert parents == {"look_up": None, "ask": None, "own_function": "look_up", "query Customers": "ask"}
    assert (query.input_tokens, query.output_tokens, query.model) == (20, 10, "scripted-1")
    assert query.tool_calls == 3
    assert query.graphql_queries == 1
    assert [(call.name, call.input_tokens, call.parent, call.status) for call in models(query)] == [
        ("scripted-1", 10, None, "ok")
    ] * 2
    assert current.get() is NOBODY


def test_tokens_count_once_where_the_model_tells_of_none_but_turn_and_run_do() -> None:
    agent = Agent(name="support", model=Scripted([("look_up", INDIA)], "Asha", tells=False), tools=[look_up])
    with capture() as captured:
        Runner.run_sync(agent, "who?")
    query = only(captured)
    assert (query.input_tokens, query.output_tokens, query.user_input) == (20, 10, "who?")


def test_a_tool_that_fails_is_a_failed_call_of_a_query_that_succeeds() -> None:
    with capture() as captured:
        Runner.run_sync(an_agent([("broken", INDIA)], "sorry"), "who?")
    query = only(captured)
    assert query.success
    assert [(call.name, call.success, call.error_type) for call in calls_of(query)] == [("broken", False, "ToolError")]


@pytest.mark.parametrize("run", WAYS, ids=["sync", "async", "streamed"])
def test_an_exception_that_leaves_the_run_fails_the_query(run: Callable[[Any, str], str]) -> None:
    with capture() as captured, pytest.raises(agents.exceptions.UserError):
        run(an_agent([("fatal", INDIA)], "never said"), "who?")
    query = only(captured)
    assert (query.success, query.error_type) == (False, "UserError")
    assert [(call.name, call.success) for call in calls_of(query)] == [("fatal", False)]


def test_a_model_that_fails_and_too_many_turns_fail_the_query() -> None:
    with capture() as captured:
        with pytest.raises(ConnectionError):
            Runner.run_sync(an_agent(ConnectionError("no model")), "who?")
        with pytest.raises(agents.MaxTurnsExceeded):
            Runner.run_sync(an_agent([("look_up", INDIA)], [("look_up", INDIA)]), "who?", max_turns=1)
    assert [query.error_type for query in captured.queries] == ["ConnectionError", "MaxTurnsExceeded"]


def test_an_exception_that_the_application_was_already_handling_is_not_the_runs() -> None:
    with capture() as captured:
        try:
            raise ValueError("before")
        except ValueError:
            Runner.run_sync(an_agent([("look_up", INDIA)], "Asha"), "who?")
    assert only(captured).success
    assert all(call.success for call in calls_of(only(captured)))


def test_after_a_handoff_it_is_still_the_same_query_and_both_agents_are_named() -> None:
    refunds = an_agent([("look_up", INDIA)], "refunded", name="refunds")
    triage = an_agent([("transfer_to_refunds", "{}")], name="triage", handoffs=[refunds])
    with capture() as captured:
        assert Runner.run_sync(triage, "my money back").final_output == "refunded"
    query = only(captured)
    assert (query.agent_type, query.attributes) == ("triage", {"agents": "triage > refunds"})
    assert shape(query) == [("look_up", None), ("own_function", 0)]


def test_an_agent_that_is_a_tool_has_its_tools_under_its_call() -> None:
    finder = an_agent([("look_up", INDIA)], "Asha", name="finder")
    asked = finder.as_tool("find", "Find customers.")
    with capture() as captured:
        Runner.run_sync(an_agent([("find", '{"input": "India"}')], "Asha", tools=[asked]), "who?")
    query = only(captured)
    assert shape(query) == [("find", None), ("look_up", 0), ("own_function", 1)]
    assert query.input_tokens == 40


def test_a_run_joins_the_query_that_is_open() -> None:
    @track_query(agent="mine")
    async def answer(user_input: str) -> str:
        own_function("before")
        with query_span("inner", agent="other"):
            pass
        done = await Runner.run(an_agent([("look_up", INDIA)], "Asha"), user_input)
        own_function("after")
        return str(done.final_output)

    with capture() as captured:
        asyncio.run(answer("who?"))
    inner, query = captured.queries
    assert inner.parent_id == query.query_id
    assert query.agent_type == "mine"
    assert shape(query) == [("own_function", None), ("look_up", None), ("own_function", 1), ("own_function", None)]
    assert query.input_tokens == 20


def test_each_run_in_a_trace_is_a_query() -> None:
    with capture() as captured, trace("two runs"):
        Runner.run_sync(an_agent("one", name="first"), "a")
        Runner.run_sync(an_agent("two", name="second"), "b")
    assert [(query.agent_type, query.user_input) for query in captured.queries] == [("first", "a"), ("second", "b")]


def test_a_run_that_is_cancelled_is_recorded_as_cancelled_with_its_tool() -> None:
    begun = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Wait."""
        begun.set()
        await asyncio.sleep(30)
        return ""

    async def main() -> None:
        run = asyncio.create_task(Runner.run(an_agent([("wait", "{}")], tools=[wait]), "who?"))
        await begun.wait()
        run.cancel()
        await run

    with capture() as captured, pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    query = only(captured)
    assert query.status == "cancelled"
    assert [(call.name, call.status) for call in calls_of(query)] == [("wait", "cancelled")]


def test_eight_runs_at_once_are_eight_queries_with_their_own_calls() -> None:
    async def main() -> None:
        runs = [
            Runner.run(an_agent([("look_up", INDIA), ("ask", INDIA)] * (place + 1), "done"), str(place))
            for place in range(8)
        ]
        await asyncio.gather(*runs)

    with capture() as captured:
        asyncio.run(main())
    assert {query.user_input: query.tool_calls for query in captured.queries} == {
        str(place): 3 * (place + 1) for place in range(8)
    }
    assert captured.calls == []


def test_processors_that_the_application_sets_do_not_put_ours_out_and_are_not_put_out() -> None:
    class Own(TracingProcessor):
        ended: ClassVar[list[str]] = []

        def on_trace_start(self, trace: Any) -> None: ...
        def on_trace_end(self, trace: Any) -> None:
            self.ended.append(trace.name)

        def on_span_start(self, span: Any) -> None: ...
        def on_span_end(self, span: Any) -> None: ...
        def shutdown(self) -> None: ...
        def force_flush(self) -> None: ...

    set_trace_processors([Own()])
    with capture() as captured:
        Runner.run_sync(an_agent("done"), "who?", run_config=RunConfig(workflow_name="mine"))
    assert Own.ended == ["mine"]
    assert only(captured).name == "mine"
    uninstall("openai_agents")
    assert [type(one) for one in get_trace_provider()._multi_processor._processors] == [Own]
    set_trace_processors([])


def test_after_uninstall_nothing_is_recorded() -> None:
    uninstall("openai_agents")
    with capture() as captured:
        Runner.run_sync(an_agent("done"), "who?")
    assert captured.queries == []


def test_nothing_of_a_run_is_held_after_it() -> None:
    class Answer(str):
        __slots__ = ("__weakref__",)

    held: list[weakref.ref[Any]] = []

    @function_tool
    def give() -> str:
        """Give."""
        answer = Answer("something")
        held.append(weakref.ref(answer))
        return answer

    with capture() as captured:
        Runner.run_sync(an_agent([("give", "{}")], "done", tools=[give]), "who?")
    gc.collect()
    assert only(captured).tool_calls == 1
    assert held[0]() is None
