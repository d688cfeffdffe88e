"""Async functions: the span covers the await, tasks keep apart, cancellation passes."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import types
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelledError
from typing import Any

import anyio
import pytest

from instrument import (
    current_query,
    graphql_span,
    query_span,
    suppress,
    tool_span,
    track_graphql,
    track_query,
    track_tool,
)
from instrument.records import QueryRecord
from instrument.testing import capture


async def turns(count: int) -> None:
    """Let other tasks have their turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@track_tool("leaf")
async def leaf(label: str, pauses: int = 1) -> str:
    await turns(pauses)
    return label


@track_tool("branch")
async def branch(label: str, width: int = 3) -> list[str]:
    await turns(1)
    return list(await asyncio.gather(*(leaf(f"{label}.{i}", i) for i in range(width))))


def tree(query: QueryRecord) -> list[tuple[str, str | None]]:
    """Each call's name with its parent's."""
    return [(call.name, None if call.parent is None else query.calls[call.parent].name) for call in query.calls]


def test_the_span_covers_the_await() -> None:
    seen: dict[str, Any] = {}

    @track_query(agent="a")
    async def ask(user_input: str) -> str:
        await turns(2)
        seen["id"] = current_query().query_id
        return await leaf(user_input)

    with capture() as captured:
        coroutine = ask("hi")
        assert captured.queries == []
        assert asyncio.run(coroutine) == "hi"
    (query,) = captured.queries
    assert seen["id"] == query.query_id
    assert tree(query) == [("leaf", None)]
    assert query.calls[0].duration_ms is not None
    assert query.duration_ms > query.calls[0].duration_ms


def test_an_async_function_that_is_never_awaited_leaves_no_record() -> None:
    with capture() as captured:
        track_query(leaf)("x").close()
        track_tool(leaf)("x").close()
    assert captured.queries == []
    assert captured.calls == []


def test_gathered_tasks_keep_the_right_parent() -> None:
    @track_query(agent="a")
    async def ask(number: int) -> None:
        with tool_span("outer"):
            await asyncio.gather(branch("x"), branch("y"), leaf("z"))
        await leaf("after")

    async def main() -> None:
        await asyncio.gather(*(ask(n) for n in range(50)))

    with capture() as captured:
        asyncio.run(main())
    assert sorted(query.user_input for query in captured.queries) == sorted(str(n) for n in range(50))
    for query in captured.queries:
        assert query.parent_id is None
        pairs = tree(query)
        assert sorted(pairs, key=str) == sorted(
            [("outer", None), ("leaf", None), *[("branch", "outer")] * 2, ("leaf", "outer"), *[("leaf", "branch")] * 6],
            key=str,
        )
        branches = [place for place, call in enumerate(query.calls) if call.name == "branch"]
        assert [sum(call.parent == place for call in query.calls) for place in branches] == [3, 3]
        assert [call.start_ms for call in query.calls] == sorted(call.start_ms for call in query.calls)


def test_hundreds_of_tasks_lose_no_record_and_mix_none_up() -> None:
    @track_query(agent="a")
    async def ask(number: int) -> str:
        with current_query_checked():
            await turns(number % 5)
            await leaf(f"{number}")
            await asyncio.gather(*(named(f"{number}-{i}") for i in range(3)))
        return "x" * number

    async def named(label: str) -> None:
        with graphql_span(label):
            await turns(2)

    class current_query_checked:
        def __enter__(self) -> None:
            self.before = current_query().query_id

        def __exit__(self, *_: object) -> None:
            assert current_query().query_id == self.before

    async def main() -> None:
        await asyncio.gather(*(ask(n) for n in range(400)))

    with capture() as captured:
        asyncio.run(main())
    assert len({query.query_id for query in captured.queries}) == 400
    for query in captured.queries:
        number = query.user_input
        assert query.result_size_bytes == int(number)
        assert sorted(call.name for call in query.calls) == [f"{number}-0", f"{number}-1", f"{number}-2", "leaf"]
        assert all(call.parent is None for call in query.calls)


def test_a_task_group_inside_a_query_belongs_to_it() -> None:
    @track_query(agent="a")
    async def ask() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(branch("x", 1))
            group.create_task(leaf("y"))

    with capture() as captured:
        asyncio.run(ask())
    assert sorted(tree(captured.queries[0]), key=str) == [("branch", None), ("leaf", "branch"), ("leaf", None)]


def test_separate_tasks_are_separate_queries() -> None:
    async def main() -> None:
        with query_span("first", agent="a"):
            pass
        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(track_query(agent="a")(leaf)(str(n)))

    with capture() as captured:
        asyncio.run(main())
    assert [query.parent_id for query in captured.queries] == [None] * 6


def test_a_task_started_by_a_synchronous_tool_belongs_to_what_encloses_the_tool() -> None:
    tasks = []

    @track_tool("starter")
    def starter() -> None:
        tasks.append(asyncio.get_running_loop().create_task(leaf("later")))

    @track_query(agent="a")
    async def ask() -> None:
        with tool_span("around"):
            starter()
            await tasks[0]

    with capture() as captured:
        asyncio.run(ask())
    assert tree(captured.queries[0]) == [("around", None), ("starter", "around"), ("leaf", "around")]


# -- cancellation -----------------------------------------------------------------------------------------------------


def test_cancellation_is_recorded_and_raised_again_wherever_it_strikes() -> None:
    @track_graphql("deep")
    async def deep() -> None:
        await turns(3)

    @track_tool("middle")
    async def middle() -> None:
        await turns(2)
        await deep()
        await turns(2)

    @track_query(agent="a")
    async def ask() -> None:
        await turns(2)
        await middle()
        await turns(2)

    async def cancelled_after(steps: int) -> bool:
        task = asyncio.create_task(ask())
        await turns(steps)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    for steps in range(1, 15):
        with capture() as captured:
            was_cancelled = asyncio.run(cancelled_after(steps))
        (query,) = captured.queries if captured.queries else (None,)
        if query is None:
            assert steps == 1  # cancelled before its first step: it never began
            continue
        assert query.status == ("cancelled" if was_cancelled else "ok")
        assert query.success is not was_cancelled
        assert query.error_type == ("CancelledError" if was_cancelled else None)
        assert all(call.duration_ms is not None for call in query.calls)
        open_calls = [call.status for call in query.calls if call.status != "ok"]
        assert set(open_calls) <= {"cancelled"}


def test_a_timeout_inside_works_and_the_query_goes_on() -> None:
    @track_tool("slow")
    async def slow() -> None:
        await asyncio.Event().wait()

    @track_query(agent="a")
    async def ask() -> str:
        try:
            async with asyncio.timeout(0.001):
                await slow()
        except TimeoutError:
            return "gave up"
        return "answered"

    with capture() as captured:
        assert asyncio.run(ask()) == "gave up"
    (query,) = captured.queries
    assert query.status == "ok"
    assert [(call.status, call.error_type) for call in query.calls] == [("cancelled", "CancelledError")]


def test_a_timeout_around_a_query_cancels_it_and_a_timeout_in_it_that_leaves_fails_it() -> None:
    @track_query(agent="a")
    async def ask(seconds: float | None) -> None:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ask(None)
        with pytest.raises(TimeoutError):
            await ask(0.001)

    with capture() as captured:
        asyncio.run(main())
    assert [(query.status, query.error_type) for query in captured.queries] == [
        ("cancelled", "CancelledError"),
        ("error", "TimeoutError"),
    ]


def test_anyio_cancel_scopes_work_inside_tools_and_streams() -> None:
    @track_tool("slow")
    async def slow() -> str:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        return "moved on"

    @track_query(agent="a")
    async def stream() -> Any:
        with anyio.move_on_after(0.001) as scope:
            yield "a"
            await anyio.sleep_forever()
        yield f"{scope.cancelled_caught}"

    async def main() -> list[str]:
        async with anyio.create_task_group() as group:
            group.start_soon(slow)
        return [await slow(), *[chunk async for chunk in stream()]]

    with capture() as captured:
        assert anyio.run(main) == ["moved on", "a", "True"]
    assert captured.queries[0].status == "ok"
    assert [call.status for call in captured.calls] == ["ok", "ok"]


def test_the_same_task_runs_before_during_and_after() -> None:
    tasks = []

    async def note() -> None:
        tasks.append(asyncio.current_task())

    @track_tool
    async def tool() -> None:
        await note()

    @track_query(agent="a")
    async def ask() -> Any:
        await tool()
        yield 1
        await tool()

    async def main() -> None:
        await note()
        async for _ in ask():
            await note()

    asyncio.run(main())
    assert len(set(tasks)) == 1


def test_a_cancelled_future_of_a_pool_is_an_ordinary_error() -> None:
    with capture() as captured, pytest.raises(FutureCancelledError), tool_span("pool"):
        raise FutureCancelledError
    assert captured.calls[0].status == "error"


# -- spans ------------------------------------------------------------------------------------------------------------


def test_spans_work_with_async_with_as_with_with() -> None:
    async def main() -> None:
        async with query_span("hi", agent="a", team="red") as query:
            query.add_entities("bills")
            async with tool_span("tool") as tool, graphql_span("op"):
                tool.fail("no")
            async with suppress():
                await leaf("unseen")
        with pytest.raises(ValueError, match="no"):
            async with query_span("bad"), tool_span("tool"):
                raise ValueError("no")

    with capture() as captured:
        asyncio.run(main())
    good, bad = captured.queries
    assert (good.status, good.attributes, good.entities_detected) == ("ok", {"team": "red"}, ["bills"])
    assert [(call.kind, call.status, call.parent) for call in good.calls] == [
        ("tool", "error", None),
        ("graphql", "ok", 0),
    ]
    assert (bad.status, bad.error_message, bad.calls[0].status) == ("error", "no", "error")


def test_a_coroutine_stepped_in_another_context_each_time_ends_as_any_other(caplog: pytest.LogCaptureFixture) -> None:
    @track_query(agent="a")
    async def ask() -> str:
        await asyncio.sleep(0)
        with tool_span("t"):
            await asyncio.sleep(0)
        await leaf("x")
        return "done"

    with capture() as captured:
        coroutine = ask()
        result = None
        while result is None:
            try:
                contextvars.copy_context().run(coroutine.send, None)
            except StopIteration as stop:
                result = stop.value
    assert (result, caplog.text) == ("done", "")
    (query,) = captured.queries
    assert (query.status, query.result_size_bytes) == ("ok", 4)
    assert current_query().query_id == ""


def test_a_coroutine_dropped_half_way_ends_its_span_as_closed() -> None:
    @track_query(agent="a")
    async def ask() -> None:
        await leaf("x", 5)

    with capture() as captured:
        coroutine = ask()
        coroutine.send(None)
        del coroutine
    assert captured.queries[0].status == "closed"
    assert captured.queries[0].calls[0].status == "closed"
    assert current_query().query_id == ""


def test_async_partials_methods_and_callable_objects_are_awaited_inside_their_span() -> None:
    class Bot:
        @track_tool
        async def method(self) -> str:
            return await leaf("m")

        async def __call__(self, text: str) -> str:
            return await leaf(text)

    makers: list[Callable[[], Any]] = [
        Bot().method,
        lambda: track_tool("object")(Bot())("x"),
        lambda: track_tool("partial")(functools.partial(leaf, "x"))(),
        lambda: track_tool("bound")(Bot().method)(),
    ]

    async def main() -> None:
        async with query_span("q", agent="a"):
            for make in makers:
                await make()

    with capture() as captured:
        asyncio.run(main())
    assert tree(captured.queries[0]) == [
        ("Bot.method", None),
        ("leaf", "Bot.method"),
        ("object", None),
        ("leaf", "object"),
        ("partial", None),
        ("leaf", "partial"),
        ("bound", None),
        ("Bot.method", "bound"),
        ("leaf", "Bot.method"),
    ]


def test_a_generator_that_is_awaited_is_awaited_and_no_stream() -> None:
    @track_tool("old")
    @types.coroutine
    def old(text: str) -> Any:
        yield from asyncio.sleep(0).__await__()
        return text

    async def main() -> str:
        async with query_span("q", agent="a"):
            return await old("x")

    with capture() as captured:
        assert asyncio.run(main()) == "x"
    assert tree(captured.queries[0]) == [("old", None)]
