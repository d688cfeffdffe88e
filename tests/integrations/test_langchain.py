"""LangChain and LangGraph themselves, with their own fake models."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from tool_calls import calls_of, models

pytest.importorskip("langchain", reason="needs langchain")
pytest.importorskip("langgraph", reason="needs langgraph")

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, tool
from langchain_core.tracers import context as hooks
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from instrument import graphql_span, install, query_span, tool_span, track_query, track_tool, uninstall
from instrument.collecting.collector import collector
from instrument.recording.scope import NOBODY, ROW, current
from instrument.records import QueryRecord
from instrument.testing import Captured, capture


@pytest.fixture(autouse=True)
def hooked() -> Iterator[None]:
    before = list(hooks._configure_hooks)
    install("langchain")
    yield
    uninstall("langchain")
    assert hooks._configure_hooks == before


@track_tool
def own(country: str) -> str:
    return country.upper()


@tool
def look_up(country: str) -> str:
    """Look customers up."""
    return own(country)


@tool
async def ask(country: str) -> str:
    """Ask the server."""
    with graphql_span("query Customers"):
        await asyncio.sleep(0.001)
    return own(country)


@tool
def broken(country: str) -> str:
    """Fail."""
    raise LookupError(country)


def refused(country: str) -> str:
    """Fail, and say so to the model."""
    raise ToolException("not that one")


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


def asks(*names: str) -> AIMessage:
    calls = [{"name": name, "args": {"country": "India"}, "id": str(place)} for place, name in enumerate(names)]
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return AIMessage("", tool_calls=calls, usage_metadata=usage)


def says(text: str) -> AIMessage:
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return AIMessage(text, usage_metadata=usage, response_metadata={"model_name": "scripted-1"})


def an_agent(*turns: AIMessage, tools: Any = (look_up, broken), name: str = "support", **more: Any) -> Any:
    model = Scripted(responses=list(turns) or [asks("look_up", "look_up"), says("Asha")])
    return create_agent(model, list(tools), name=name, **more)


def asked(text: str = "who is in India?") -> dict[str, Any]:
    return {"messages": [HumanMessage("before"), AIMessage("yes?"), HumanMessage(text)]}


def only(captured: Captured) -> QueryRecord:
    assert captured.calls == []
    assert collector.losses.problems == {}
    (query,) = captured.queries
    return query


def shape(query: QueryRecord) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in calls_of(query)]


def invoked(agent: Any) -> str:
    return str(agent.invoke(asked())["messages"][-1].content)


def streamed(agent: Any) -> str:
    for chunk in agent.stream(asked(), stream_mode="values"):
        assert current.get()[ROW] is None  # what the reader does between two chunks is outside
    return str(chunk["messages"][-1].content)


def awaited(agent: Any) -> str:
    async def main() -> str:
        return str((await agent.ainvoke(asked()))["messages"][-1].content)

    return asyncio.run(main())


def streamed_async(agent: Any) -> str:
    async def main() -> str:
        async for chunk in agent.astream(asked(), stream_mode="values"):
            assert current.get()[ROW] is None
        return str(chunk["messages"][-1].content)

    return asyncio.run(main())


def told_of(agent: Any) -> str:
    async def main() -> str:
        events = [event async for event in agent.astream_events(asked(), version="v2")]
        return str(events[-1]["data"]["output"]["messages"][-1].content)

    return asyncio.run(main())


WAYS: list[Callable[[Any], str]] = [invoked, streamed, awaited, streamed_async, told_of]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_agent_is_a_query_with_its_tools_tokens_and_answer(way: Callable[[Any], str]) -> None:
    with capture() as captured:
        assert way(an_agent()) == "Asha"
    query = only(captured)
    assert (query.agent_type, query.user_input, query.status) == ("support", "who is in India?", "ok")
    names = [
        call.name if call.parent is None else (calls_of(query)[call.parent].name, call.name) for call in calls_of(query)
    ]
    assert sorted(map(str, names)) == sorted(map(str, ["look_up", ("look_up", "own")] * 2))
    assert (query.input_tokens, query.output_tokens, query.model) == (20, 10, "scripted-1")
    assert [(call.model, call.input_tokens, call.parent, call.status) for call in models(query)] == [
        (None, 10, None, "ok"),
        ("scripted-1", 10, None, "ok"),
    ]
    assert query.result_size_bytes == len("Asha")
    assert current.get() is NOBODY


def test_an_asynchronous_tool_holds_what_it_calls_and_nothing_stays_behind() -> None:
    async def main() -> None:
        await an_agent(asks("ask"), says("Asha"), tools=[ask]).ainvoke(asked())
        own("after")
        with query_span("next", agent="next"):
            own("next")

    with capture() as captured:
        asyncio.run(main())
    first, following = captured.queries
    assert shape(first) == [("ask", None), ("query Customers", 0), ("own", 0)]
    assert (following.parent_id, shape(following)) == (None, [("own", None)])
    assert [call.name for call in captured.calls] == ["own"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_exception_that_leaves_the_agent_fails_query_and_call_and_counts_once(way: Callable[[Any], str]) -> None:
    with capture() as captured, pytest.raises(LookupError):
        way(an_agent(asks("broken"), says("never")))
    query = only(captured)
    assert (query.error_type, query.error_message, query.passed_on) == ("LookupError", "India", True)
    assert [(call.name, call.error_type, call.passed_on) for call in calls_of(query)] == [
        ("broken", "LookupError", False)
    ]


def test_a_tool_that_tells_the_model_of_its_failure_failed() -> None:
    telling = tool(refused)
    telling.handle_tool_error = True
    with capture() as captured:
        an_agent(asks("refused"), says("sorry"), tools=[telling]).invoke(asked())
    query = only(captured)
    assert query.success
    assert [(call.name, call.error_type) for call in calls_of(query)] == [("refused", "ToolException")]


def test_a_tool_that_is_tried_again_is_a_call_each_time() -> None:
    tries = itertools.count()

    @tool
    def flaky(country: str) -> str:
        """Fail at first."""
        if next(tries) < 2:
            raise ConnectionError
        return country

    node = flaky.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    with capture() as captured, query_span("", agent="mine"):
        assert node.invoke({"country": "India"}) == "India"
    assert [call.success for call in calls_of(only(captured))] == [False, False, True]


class State(TypedDict, total=False):
    question: str
    found: Annotated[list[str], operator.add]


def a_graph(*nodes: Any, name: str = "graph", **more: Any) -> Any:
    """All nodes at once, between beginning and end."""
    graph = StateGraph(State)
    for place, node in enumerate(nodes):
        graph.add_node(f"node {place}", node)
        graph.add_edge(START, f"node {place}")
        graph.add_edge(f"node {place}", END)
    return graph.compile(name=name, **more)


def test_what_a_node_does_is_inside_and_nodes_at_once_keep_their_calls_apart() -> None:
    def finds(state: State) -> State:
        with tool_span("in a node"):
            return {"found": [look_up.invoke({"country": "India"})]}

    with capture() as captured:
        assert a_graph(finds, finds, finds).invoke({"question": "who?"})["found"] == ["INDIA"] * 3
    query = only(captured)
    assert query.user_input == "who?"
    assert query.tool_calls == 9
    for call in calls_of(query):
        around = None if call.parent is None else calls_of(query)[call.parent].name
        assert (call.name, around) in [("in a node", None), ("look_up", "in a node"), ("own", "look_up")]


def test_a_graph_in_a_graph_and_an_agent_in_a_tool_are_part_of_the_query() -> None:
    inner = an_agent(name="inner")

    @tool
    def delegate(country: str) -> str:
        """Ask the other one."""
        return str(inner.invoke(asked("from inside"))["messages"][-1].content)

    outer = an_agent(asks("delegate"), says("Asha"), tools=[delegate], name="outer")
    with capture() as captured:
        a_graph(lambda state: {"found": [invoked(outer)]}, name="whole").invoke({"question": "who?"})
    query = only(captured)
    assert (query.agent_type, query.user_input) == ("whole", "who?")
    assert query.attributes == {"agents": "whole > outer > inner"}
    assert shape(query)[0] == ("delegate", None)
    assert {call.name: call.parent for call in calls_of(query)}["look_up"] == 0
    assert query.input_tokens == 40


def test_a_graph_that_waits_for_a_human_ends_well_and_goes_on_as_a_query_of_its_own() -> None:
    @tool
    def approve(country: str) -> str:
        """Ask a human."""
        return str(interrupt("may I?"))

    agent = an_agent(asks("approve"), says("done"), tools=[approve], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    with capture() as captured:
        agent.invoke(asked(), config)
        agent.invoke(Command(resume="yes"), config)
    assert [(query.success, [call.status for call in calls_of(query)]) for query in captured.queries] == [
        (True, ["closed"]),
        (True, ["ok"]),
    ]


def test_an_agent_joins_the_query_that_is_open() -> None:
    @track_query(agent="mine")
    async def answer(user_input: str) -> str:
        own("before")
        with tool_span("around"):
            result = await an_agent().ainvoke(asked())
        own("after")
        return str(result["messages"][-1].content)

    with capture() as captured:
        asyncio.run(answer("who?"))
    query = only(captured)
    parents = [None if call.parent is None else calls_of(query)[call.parent].name for call in calls_of(query)]
    assert [call.name for call in calls_of(query)][:2] == ["own", "around"]
    assert sorted(zip([call.name for call in calls_of(query)], map(str, parents), strict=True)) == [
        ("around", "None"),
        ("look_up", "around"),
        ("look_up", "around"),
        ("own", "None"),
        ("own", "None"),
        ("own", "look_up"),
        ("own", "look_up"),
    ]
    assert (query.agent_type, query.input_tokens) == ("mine", 20)


def test_a_model_alone_is_a_call_of_the_open_query_and_a_call_of_its_own_without_one() -> None:
    model = GenericFakeChatModel(messages=iter([says("one"), says("two"), says("three")]))
    with capture() as captured:
        model.invoke("outside")
        with query_span("", agent="mine"):
            model.invoke("inside")
            assert "".join(chunk.content for chunk in model.stream("inside")) == "three"
            assert current.get()[ROW] is not None
    (query,) = captured.queries
    assert query.input_tokens == 10  # this fake model forgets its usage when it streams
    assert [(call.kind, call.input_tokens) for call in query.calls] == [("model", 10), ("model", None)]
    assert query.calls[1].first_chunk_ms is not None
    assert [(call.kind, call.input_tokens) for call in captured.calls] == [("model", 10)]


def test_a_chain_is_a_query_and_a_prompt_or_parser_alone_is_none() -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "where is {name}?")])
    chain = prompt | GenericFakeChatModel(messages=iter([says("India"), says("India")])) | StrOutputParser()
    with capture() as captured:
        prompt.invoke({"name": "Asha"})
        StrOutputParser().invoke("text")
        assert chain.invoke({"name": "Asha"}) == "India"
        for _ in chain.stream({"name": "Asha"}):
            own("outside")
    assert [(query.agent_type, query.tool_calls) for query in captured.queries] == [("RunnableSequence", 0)] * 2
    assert [call.name for call in captured.calls] == ["own"] * (len(captured.calls))


def test_a_retriever_is_a_tool() -> None:
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            own(query)
            return [Document(query)]

    with capture() as captured, query_span("", agent="mine"):
        Shelf().invoke("x")
        asyncio.run(Shelf().ainvoke("x"))
    assert shape(only(captured)) == [("Shelf", None), ("own", 0), ("Shelf", None), ("own", 2)]


def test_an_agent_that_is_cancelled_is_recorded_as_cancelled_with_its_tool() -> None:
    begun = asyncio.Event()

    @tool
    async def wait(country: str) -> str:
        """Wait."""
        begun.set()
        await asyncio.sleep(30)
        return ""

    async def main() -> None:
        run = asyncio.create_task(an_agent(asks("wait"), tools=[wait]).ainvoke(asked()))
        await begun.wait()
        run.cancel()
        await run

    with capture() as captured, pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    query = only(captured)
    assert query.status == "cancelled"
    assert [(call.name, call.status) for call in calls_of(query)] == [("wait", "cancelled")]


def test_a_stream_that_is_left_early_is_one_query_that_ends() -> None:
    with capture() as captured:
        for _ in an_agent().stream(asked()):
            break
        gc.collect()
        own("after")
    assert [(query.agent_type, query.status) for query in captured.queries] == [("support", "closed")]
    assert [call.name for call in captured.calls] == ["own"]


def test_eight_agents_at_once_are_eight_queries_with_their_own_calls() -> None:
    async def main() -> None:
        agents = [an_agent(asks(*["look_up"] * number), says("done"), name=str(number)) for number in range(1, 9)]
        await asyncio.gather(*(agent.ainvoke(asked(str(place))) for place, agent in enumerate(agents)))

    with capture() as captured:
        asyncio.run(main())
        a_graph(lambda state: {"found": [own(state["question"])]}).batch([{"question": str(n)} for n in range(8)])
    assert sorted(query.tool_calls for query in captured.queries[:8]) == [2 * number for number in range(1, 9)]
    assert [query.tool_calls for query in captured.queries[8:]] == [1] * 8
    assert captured.calls == []


def test_callbacks_of_the_applications_own_are_called_as_before() -> None:
    class Own(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tools = 0

        def on_tool_end(self, output: Any, **_: Any) -> None:
            self.tools += 1

    handler = Own()
    with capture() as captured:
        an_agent().invoke(asked(), {"callbacks": [handler]})
    assert handler.tools == 2
    assert only(captured).tool_calls == 4


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_tokens_that_the_models_own_library_traces_as_well_count_once(way: Callable[[Any], str]) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
    install("opentelemetry")
    tracer = sdk.TracerProvider(shutdown_on_exit=False).get_tracer("tests")

    class Traced(Scripted):
        def _generate(self, *told: Any, **options: Any) -> Any:
            about = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
            with tracer.start_as_current_span("chat scripted-1", attributes=about):
                return super()._generate(*told, **options)

    with capture() as captured:
        way(create_agent(Traced(responses=[asks("look_up"), says("Asha")]), [look_up], name="support"))
    query = only(captured)
    assert (query.input_tokens, query.output_tokens) == (20, 10)
    assert shape(query) == [("look_up", None), ("own", 0)]


def test_after_uninstall_nothing_is_recorded() -> None:
    uninstall("langchain")
    with capture() as captured:
        an_agent(asks("broken"), says("x"), tools=[tool("broken", lambda country: country, description="x")])
        RunnableLambda(lambda text: text).invoke("x")
    assert captured.queries == []


def test_nothing_of_a_request_is_held_after_it() -> None:
    class Request:
        pass

    held: list[weakref.ref[Request]] = []

    def node(state: State) -> State:
        request = Request()
        held.append(weakref.ref(request))
        raise LookupError(request)

    async def main() -> None:
        for _ in range(3):
            with contextlib.suppress(LookupError):
                await a_graph(node).ainvoke({"question": "x"})
        gc.collect()
        assert [reference() for reference in held] == [None] * 3

    with capture() as captured:
        asyncio.run(main())
    assert len(captured.queries) == 3
