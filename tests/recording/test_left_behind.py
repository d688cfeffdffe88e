"""What is held open in generators leaves nothing current, in whatever order and place it is closed."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from instrument import graphql_span, propagate, query_span, suppress, tool_span, track_query, track_tool
from instrument.recording.scope import NOBODY, current, scope_here
from instrument.testing import Captured, capture

SPANS: dict[str, Callable[[str], Any]] = {
    "query_span": lambda text: query_span(text, agent="a"),
    "tool_span": tool_span,
    "graphql_span": graphql_span,
    "suppress": lambda text: suppress(),
}
every_span = pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)


@track_tool
def tool() -> None:
    pass


@track_query(agent="later")
def later() -> None:
    tool()


def held(span: Callable[[str], Any], text: str) -> Iterator[int]:
    with span(text):
        yield from range(3)


async def held_async(span: Callable[[str], Any], text: str) -> AsyncIterator[int]:
    async with span(text):
        for number in range(3):
            yield number


def assert_nothing_is_current(captured: Captured) -> None:
    for _ in range(3):
        later()
    tool()
    assert scope_here() is NOBODY
    assert current.get() is NOBODY
    queries = [query for query in captured.queries if query.agent_type == "later"][-3:]
    assert [(query.parent_id, query.tool_calls) for query in queries] == [(None, 1)] * 3
    assert [call.name for call in captured.calls][-1:] == ["tool"]
    assert not any(call.late for query in captured.queries for call in query.calls if call.name == "tool")


@every_span
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("way", ["close", "exhaust", "throw", "collect"])
def test_generators_closed_in_any_order_leave_nothing_current(
    span: Callable[[str], Any], order: tuple[int, ...], way: str
) -> None:
    with capture() as captured:
        streams: list[Any] = [held(span, str(number)) for number in range(3)]
        for stream in streams:
            next(stream)
        for place in order:
            stream, streams[place] = streams[place], None
            if way == "close":
                stream.close()
            elif way == "exhaust":
                list(stream)
            elif way == "throw":
                with pytest.raises(KeyError):
                    stream.throw(KeyError("x"))
            del stream
        assert_nothing_is_current(captured)


@every_span
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_async_generators_closed_in_any_order_leave_nothing_current(
    span: Callable[[str], Any], order: tuple[int, ...]
) -> None:
    async def main() -> None:
        streams = [held_async(span, str(number)) for number in range(3)]
        for stream in streams:
            await anext(stream)
        for place in order:
            await streams[place].aclose()  # type: ignore[attr-defined]
        assert_nothing_is_current(captured)

    with capture() as captured:
        asyncio.run(main())


@every_span
def test_a_generator_finished_on_another_thread_leaves_nothing_current_on_the_first(span: Callable[[str], Any]) -> None:
    with capture() as captured, ThreadPoolExecutor(1) as pool:
        stream = held(span, "x")
        next(stream)
        pool.submit(list, stream).result()
        assert_nothing_is_current(captured)


@every_span
def test_a_generator_closed_in_a_task_leaves_nothing_current_in_task_or_parent(span: Callable[[str], Any]) -> None:
    async def main() -> None:
        stream = held_async(span, "x")
        await anext(stream)

        async def closing() -> None:
            await stream.aclose()  # type: ignore[attr-defined]
            assert_nothing_is_current(captured)

        await asyncio.create_task(closing())
        assert_nothing_is_current(captured)
        await asyncio.create_task(asyncio.to_thread(assert_nothing_is_current, captured))

    with capture() as captured:
        asyncio.run(main())


@every_span
def test_generators_in_a_cycle_that_is_collected_leave_nothing_current(span: Callable[[str], Any]) -> None:
    class Node:
        pass

    with capture() as captured:
        node: Any = Node()
        node.streams, node.itself = [held(span, "one"), held(span, "two")], node
        for stream in node.streams:
            next(stream)
        del node, stream
        gc.collect()
        assert_nothing_is_current(captured)


def test_a_span_that_ends_under_another_s_call_leaves_nothing_current() -> None:
    @track_tool
    async def closes(stream: Any) -> None:
        await asyncio.sleep(0)
        stream.close()

    async def main() -> None:
        stream = held(SPANS["query_span"], "x")
        next(stream)
        await closes(stream)
        assert_nothing_is_current(captured)

    with capture() as captured:
        asyncio.run(main())


def test_inside_a_query_calls_are_again_under_what_is_around_the_generators() -> None:
    with capture() as captured, query_span("x", agent="a"), tool_span("around"):
        one, two = held(tool_span, "one"), held(graphql_span, "two")
        next(one), next(two)
        tool()
        one.close()  # type: ignore[attr-defined]
        two.close()  # type: ignore[attr-defined]
        tool()
    calls = captured.queries[0].calls
    assert [(call.name, None if call.parent is None else calls[call.parent].name) for call in calls] == [
        ("around", None),
        ("one", "around"),
        ("two", "one"),
        ("tool", "two"),
        ("tool", "around"),
    ]


def test_an_ended_query_is_nobody_s_parent_not_even_in_a_task_it_started() -> None:
    @track_query(agent="starts")
    async def starts() -> Any:
        return asyncio.create_task(lasting())

    async def lasting() -> None:
        await asyncio.sleep(0.01)
        later()
        tool()

    async def main() -> None:
        await (await starts())

    with capture() as captured:
        asyncio.run(main())
    first, second = captured.queries
    assert (first.agent_type, second.agent_type, second.parent_id) == ("starts", "later", None)
    assert [(call.name, call.late) for call in first.calls] == [("tool", True)]


# -- a thread that has inherited its context, as all do where `sys.flags.thread_inherit_context` is set ---------------


class Worker(threading.Thread):
    """A pool's worker that keeps the context of whoever started it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._work: list[tuple[Callable[[], Any], threading.Event]] = []
        self._there = threading.Semaphore(0)
        self._inherited = contextvars.copy_context()
        self.start()

    def run(self) -> None:
        self._inherited.run(self._serve)

    def _serve(self) -> None:
        while self._there.acquire(timeout=30):
            function, done = self._work.pop()
            function()
            done.set()

    def do(self, function: Callable[[], Any]) -> None:
        done = threading.Event()
        self._work.append((function, done))
        self._there.release()
        assert done.wait(30)


@track_tool
async def starting_in_a_tool() -> Worker:
    worker = Worker()
    worker.do(tool)
    return worker


@pytest.mark.parametrize("start", ["decorated", "span", "async tool"])
def test_a_worker_that_inherited_an_ended_query_records_for_whoever_comes(start: str) -> None:
    @track_query(agent="starter")
    def decorated() -> Worker:
        worker = Worker()
        worker.do(tool)
        return worker

    @track_query(agent="starter")
    async def waiting() -> Worker:
        return await starting_in_a_tool()

    def span() -> Worker:
        with query_span("x", agent="starter"):
            return decorated.__wrapped__()  # type: ignore[attr-defined,no-any-return]

    with capture() as captured:
        worker = {"decorated": decorated, "span": span, "async tool": lambda: asyncio.run(waiting())}[start]()
        worker.do(tool)
        worker.do(later)
        with query_span("carrier", agent="carrier"):
            carried = propagate(tool)
            worker.do(carried)
        worker.do(carried)
        worker.do(tool)
    queries = {query.agent_type: query for query in captured.queries}
    assert queries["starter"].calls[-1].name == "tool"
    assert not any(call.late for call in queries["starter"].calls)
    assert queries["later"].parent_id is None
    assert [(call.name, call.late) for call in queries["carrier"].calls] == [("tool", False), ("tool", True)]
    assert [call.name for call in captured.calls] == ["tool", "tool"]


def test_a_worker_that_an_ended_call_started_records_into_the_query_that_is_still_open() -> None:
    @track_query(agent="starter")
    async def waiting() -> None:
        worker = await starting_in_a_tool()
        worker.do(tool)

    with capture() as captured:
        asyncio.run(waiting())
    (query,) = captured.queries
    assert [call.name for call in query.calls] == ["starting_in_a_tool", "tool", "tool"]
    assert not any(call.late for call in query.calls)
    assert captured.calls == []
