"""What type checkers must understand: a decorated function keeps its own signature. Checked, never run."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import assert_type

from instrument import (
    configure,
    current_model_call,
    current_query,
    flush,
    graphql_span,
    model_span,
    propagate,
    query_span,
    record_selection,
    shutdown,
    suppress,
    tool_span,
    track_complexity,
    track_entities,
    track_graphql,
    track_model,
    track_query,
    track_selection,
    track_tool,
)
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.testing import capture


@track_query
def bare(user_input: str, *, limit: int = 3) -> list[str]:
    return [user_input] * limit


@track_query("crew", input="question", name="asked")
def called(style: int, question: str) -> bytes:
    return question.encode()


@track_query(agent="crew")
async def awaited(user_input: str) -> int:
    return len(user_input)


@track_query()
def streamed(user_input: str) -> Iterator[str]:
    yield user_input


@track_query(agent=None)
async def astreamed(user_input: str) -> AsyncIterator[str]:
    yield user_input


@track_tool
def tool(number: int, /) -> float:
    return number / 2


@track_tool("lookup")
def named_tool(*numbers: int, **more: str) -> dict[str, int]:
    return dict.fromkeys(more, len(numbers))


@track_tool()
async def async_tool(flag: bool) -> None: ...


@track_graphql
def bare_graphql(query: str, variables: dict[str, int]) -> dict[str, object]:
    return {query: variables}


@track_graphql("Customers")
def named_graphql(query: str) -> str:
    return query


@track_graphql(document="body")
async def async_graphql(url: str, body: str) -> str:
    return url + body


@track_model
def bare_model(prompt: str) -> dict[str, int]:
    return {prompt: 1}


@track_model("small-1", provider="local")
async def named_model(prompt: str, *, limit: int = 3) -> AsyncIterator[str]:
    yield prompt * limit


class Agent:
    @track_query(agent="crew")
    def ask(self, user_input: str) -> str:
        return user_input

    @track_tool
    async def find(self, country: str) -> list[int]:
        return [len(country)]

    @classmethod
    @track_tool
    def made(cls, name: str) -> Agent:
        return cls()

    @staticmethod
    @track_tool("free")
    def free(number: int) -> int:
        return number

    @track_selection
    def choose(self, user_input: str) -> tuple[str, float]:
        return user_input, self.score(user_input)

    @track_entities
    def found(self, text: str) -> list[str]:
        return [text]

    @track_complexity
    def score(self, text: str) -> float:
        return len(text)


async def use() -> None:
    assert_type(bare("a", limit=2), list[str])
    assert_type(called(1, question="b"), bytes)
    assert_type(await awaited("c"), int)
    assert_type(streamed("d"), Iterator[str])
    assert_type(astreamed("e"), AsyncIterator[str])
    assert_type(tool(1), float)
    assert_type(named_tool(1, 2, a="b"), dict[str, int])
    assert_type(await async_tool(flag=True), None)
    assert_type(bare_graphql("q", {}), dict[str, object])
    assert_type(named_graphql("q"), str)
    assert_type(await async_graphql("u", body="b"), str)

    assert_type(bare_model("q"), dict[str, int])
    assert_type(named_model("q", limit=2), AsyncIterator[str])

    agent = Agent()
    assert_type(agent.ask("x"), str)
    assert_type(await agent.find(country="India"), list[int])
    assert_type(Agent.made("x"), Agent)
    assert_type(agent.free(1), int)
    assert_type(agent.choose("x"), tuple[str, float])
    assert_type(agent.found("x"), list[str])
    assert_type(agent.score("x"), float)

    assert_type(track_tool(functools.partial(agent.ask, "x")), "functools.partial[str]")
    assert_type(track_tool("x")(agent.ask)("y"), str)


async def use_spans() -> None:
    with query_span("hi", agent="crew", team="red", size=3) as query:
        assert_type(query, query_span)
        assert_type(query.query_id, str)
        query.add_entities("a", "b")
        query.set_attributes(number=1, text="t")
        query.record_metric("m", 1.5)
        query.record_tokens(1, 2, model="m")
        query.select("crew", complexity_score=0.5, reason="why")
        query.set_result(object())
        query.fail(ValueError())
        query.fail("no")
    async with query_span(), tool_span("t") as span, graphql_span("query Q") as operation, suppress():
        assert_type(span, tool_span)
        operation.fail("no")
    async with model_span("small-1", provider="local") as call:
        assert_type(call, model_span)
        call.record_tokens(1, 2, cached=3, reasoning=4)
        call.record_cost(0.5)
        call.first_chunk()
    current_model_call().record_tokens(1, 2)
    assert_type(bool(current_model_call()), bool)
    with suppress():
        pass
    current_query().add_entities("a")
    assert_type(bool(current_query()), bool)
    assert_type(record_selection("crew", complexity_score=0.1, reason="why"), None)


def use_process() -> None:
    configure(directory="monitoring", sample_rate=0.5)
    assert_type(flush(timeout=1.0), bool)
    assert_type(shutdown(), bool)
    carried: Callable[[str, int], bytes] = propagate(lambda text, number: text.encode() * number)
    assert_type(carried("x", 1), bytes)
    assert_type(propagate(named_graphql)("q"), str)


def use_capture() -> None:
    with capture() as captured:
        pass
    assert_type(captured.queries, list[QueryRecord])
    assert_type(captured.calls, list[CallRecord])
    assert_type(captured.selections, list[SelectionRecord])
