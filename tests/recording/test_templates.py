"""The short way of the templates and the general way record the same."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument import current_query, query_span, track_graphql, track_query, track_tool
from instrument.recording import calls, fast_path, queries, scope, slow_path, streams
from instrument.recording.scope import NOBODY, current
from instrument.records import CallRecord, QueryRecord
from instrument.testing import capture

# A program is a tree: what each function does before it answers or fails.
Step = tuple[str, Any, list[Any]]
KINDS = [
    "query",
    "tool",
    "graphql",
    "async tool",
    "async query",
    "async graphql",
    "stream",
    "given back",
    "async stream",
]
RESULTS = ["text", "é", None, 3, b"bytes", {"a": 1}, {"errors": ["no"]}, {"errors": []}, [1], object]
ENDINGS = ["answer", "answer", "answer", "fail", "interrupt"]


def steps(depth: int) -> Any:
    below = st.just([]) if depth == 0 else st.lists(st.deferred(lambda: steps(depth - 1)), max_size=3)
    return st.tuples(st.sampled_from(KINDS), st.tuples(st.sampled_from(RESULTS), st.sampled_from(ENDINGS)), below)


class Failure(Exception): ...


def performed(step: Step) -> Any:
    """Run one function of the program, from sync code."""
    kind, (result, ending), below = step

    def body(text: Any) -> Any:
        current_query().add_entities(kind)
        for inner in below:
            performed(inner)
        if ending == "fail":
            raise Failure(kind)
        if ending == "interrupt":
            raise KeyboardInterrupt(kind)
        return result

    def generator(text: Any) -> Iterator[Any]:
        yield "chunk"
        yield body(text)

    async def awaits(text: Any) -> Any:
        await asyncio.sleep(0)
        return body(text)

    async def agenerator(text: Any) -> Any:
        yield "chunk"
        await asyncio.sleep(0)
        yield body(text)

    text = "query Q { a }"
    try:
        if kind.startswith("async "):
            decorate = {"query": track_query(agent="a"), "tool": track_tool, "graphql": track_graphql}
            if kind == "async stream":
                return driven(collected(track_query(agent="s")(agenerator)(text)))
            return driven(decorate[kind.removeprefix("async ")](awaits)(text))
        if kind == "stream":
            return list(track_tool(generator)(text))
        if kind == "given back":
            return list(track_tool(lambda text: generator(text))(text))
        return {"query": track_query(agent="a"), "tool": track_tool, "graphql": track_graphql}[kind](body)(text)
    except Failure:
        return None
    except KeyboardInterrupt:
        return None


async def collected(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


def driven(coroutine: Any) -> Any:
    """Run a coroutine to its end in this very context, as a task's own steps are."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def recorded(program: list[Step], run: Callable[[Callable[[], None]], None]) -> tuple[Any, Any]:
    """The records of a program, without times, ids and layout."""

    def whole() -> None:
        for agent in ("span", None):  # the one without an agent is joined by the first query inside
            with query_span("hi", agent=agent):
                for step in program:
                    performed(step)
        track_query(agent="top")(lambda text: [performed(step) for step in program] and None)("hi")
        for step in program:
            performed(step)

    with capture() as captured:
        run(whole)
    places = {query.query_id: place for place, query in enumerate(captured.queries)}
    return [essence(query, places) for query in captured.queries], [call_essence(call, []) for call in captured.calls]


def essence(query: QueryRecord, places: dict[str, int]) -> tuple[Any, ...]:
    return (
        (query.agent_type, query.name, query.user_input, query.status, query.error_type, query.error_message),
        (query.result_size_bytes, query.entities_detected, query.tool_calls, query.graphql_queries),
        None if query.parent_id is None else places[query.parent_id],
        query.first_chunk_ms is not None,
        [call_essence(call, query.calls) for call in query.calls],
    )


def call_essence(call: CallRecord, calls: list[CallRecord]) -> tuple[Any, ...]:
    above = None if call.parent is None else (call.parent, calls[call.parent].name)
    return (
        call.kind,
        call.name,
        call.status,
        call.success,
        call.error_type,
        call.late,
        call.duration_ms is None,
        above,
    )


def straight(program: Callable[[], None]) -> None:
    program()


def generally(program: Callable[[], None]) -> None:
    """No scope is one that the wrappers look for, so that every one of them goes the general way."""
    with pytest.MonkeyPatch.context() as patch:
        for place in (scope, queries, calls, streams):
            patch.setattr(place, "ident", lambda: threading.get_ident() + 2)
        token = current.set([*NOBODY])
        program()
        current.reset(token)


def inside(program: Callable[[], None]) -> None:
    with query_span("around", agent="around"):
        program()


def inside_elsewhere(program: Callable[[], None]) -> None:
    """In a copied context on another thread, where the scope is not the thread's own."""
    with query_span("around", agent="around"):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(program,))
        thread.start()
        thread.join()


@settings(max_examples=150, deadline=None)
@given(st.lists(steps(3), max_size=4))
def test_the_short_way_and_the_general_way_record_the_same(program: list[Step]) -> None:
    assert recorded(program, straight) == recorded(program, generally)
    assert current.get() is NOBODY


@settings(max_examples=80, deadline=None)
@given(st.lists(steps(3), max_size=4))
def test_a_thread_of_its_own_and_another_record_the_same(program: list[Step]) -> None:
    assert recorded(program, inside) == recorded(program, inside_elsewhere)
    assert current.get() is NOBODY


def test_the_general_way_is_gone_where_it_is_forced_and_not_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    whole = slow_path.begin

    def counting(site: Any, *args: Any, **kwargs: Any) -> Any:
        taken.append(site.kind)
        return whole(site, *args, **kwargs)

    monkeypatch.setitem(fast_path._namespace, "begin", counting)
    program: list[Step] = [("tool", ("text", "answer"), []), ("async graphql", ("text", "answer"), [])]

    def once() -> None:
        track_query(agent="top")(lambda text: [performed(step) for step in program] and None)("hi")

    straight(once)
    assert taken == []
    generally(once)
    assert taken == ["query", "tool", "graphql"]
    inside_elsewhere(once)
    assert taken == ["query", "tool", "graphql", "query"]
    inside_elsewhere(lambda: performed(program[0]))
    assert taken[4:] == ["tool"]
