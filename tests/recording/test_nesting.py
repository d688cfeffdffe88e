"""Nesting and context: whose a call is, in which query, under which call, on whatever thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from instrument import (
    configure,
    current_query,
    flush,
    graphql_span,
    propagate,
    query_span,
    record_selection,
    suppress,
    tool_span,
    track_query,
    track_tool,
)
from instrument.recording.scope import NOBODY, current
from instrument.records import QueryRecord
from instrument.testing import capture


@track_tool("work")
def work(inner: bool = True) -> str:
    if inner:
        with tool_span("detail"):
            pass
    return current_query().query_id


def tree(query: QueryRecord) -> list[tuple[str, str | None]]:
    """Each call's name with its parent's, in their order."""
    return [(call.name, None if call.parent is None else query.calls[call.parent].name) for call in query.calls]


def in_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def copied(function: Callable[[], Any]) -> Callable[[], Any]:
    """The function in a copy of this context, as frameworks send it to their threads."""
    context = contextvars.copy_context()
    return lambda: context.run(function)


# -- what belongs to what ---------------------------------------------------------------------------------------------


def test_a_call_belongs_to_its_query_however_deep() -> None:
    def deep(levels: int) -> None:
        if levels:
            with tool_span(f"s{levels}"):
                track_tool(f"t{levels}")(deep)(levels - 1)
        else:
            with graphql_span("end"):
                pass

    with capture() as captured, query_span("q", agent="a"):
        deep(3)
        work()
    names = [name for name, _ in tree(captured.queries[0])]
    assert names == ["s3", "t3", "s2", "t2", "s1", "t1", "end", "work", "detail"]
    assert [call.parent for call in captured.queries[0].calls] == [None, 0, 1, 2, 3, 4, 5, None, 7]
    assert (captured.queries[0].tool_calls, captured.queries[0].graphql_queries) == (8, 1)


def test_a_call_outside_any_query_is_recorded_on_its_own_and_loses_nothing() -> None:
    def failing() -> None:
        raise LookupError("gone")

    with capture() as captured:
        work()
        with pytest.raises(LookupError):
            track_tool("bad")(failing)()
    assert [call.name for call in captured.calls] == ["detail", "work", "bad"]
    good, bad = captured.calls[1:]
    assert (good.query_id, good.success, good.late) == (None, True, False)
    assert good.start_time is not None
    assert good.duration_ms is not None
    assert (bad.error_type, bad.error_message, bad.success) == ("LookupError", "gone", False)


def test_calls_outside_and_late_calls_are_told_apart() -> None:
    with capture() as captured:
        with query_span("q", agent="a"):
            inside = copied(work)
        inside()
        work()
    assert [call.name for call in captured.calls] == ["detail", "work"]
    assert [(call.name, call.late) for call in captured.queries[0].calls] == [("detail", True), ("work", True)]


def test_a_span_can_be_used_where_decorators_are_and_inside_them() -> None:
    @track_query(agent="a")
    def ask(text: str) -> None:
        with tool_span("span"):
            work()
        with graphql_span("op"):
            work(False)

    with capture() as captured:
        ask("q")
    assert tree(captured.queries[0]) == [
        ("span", None),
        ("work", "span"),
        ("detail", "work"),
        ("op", None),
        ("work", "op"),
    ]


# -- joining ----------------------------------------------------------------------------------------------------------


def test_a_query_without_an_agent_is_joined_by_the_first_tracked_query_inside() -> None:
    ask = track_query(agent="first")(lambda text: work())
    again = track_query(agent="second")(lambda text: "longer")
    with capture() as captured, query_span("outer") as query:
        assert ask("inner") == query.query_id
        again("next")
    child, record = captured.queries
    assert (record.agent_type, record.user_input, record.result_size_bytes) == ("first", "outer", 36)
    assert tree(record) == [("work", None), ("detail", "work")]
    assert (child.agent_type, child.parent_id, child.result_size_bytes) == ("second", record.query_id, 6)


def test_the_outer_input_stays_unless_it_was_empty() -> None:
    ask = track_query(agent="a")(lambda text: None)
    with capture() as captured:
        for outer in ("", "given"):
            with query_span(outer):
                ask("inner")
    assert [query.user_input for query in captured.queries] == ["inner", "given"]


def test_joining_reaches_through_calls_and_a_failed_joined_query_fails_only_what_it_leaves() -> None:
    @track_query(agent="a")
    def ask() -> None:
        raise ValueError("no")

    with capture() as captured:
        with query_span("q"), tool_span("t"), pytest.raises(ValueError, match="no"):
            ask()
        with pytest.raises(ValueError, match="no"), query_span("r"):
            ask()
    caught, left = captured.queries
    assert (caught.agent_type, caught.status, caught.calls[0].status) == ("a", "ok", "ok")
    assert (left.status, left.error_message) == ("error", "no")


def test_a_tracked_query_without_an_agent_does_not_join() -> None:
    with capture() as captured, query_span("outer"):
        track_query(lambda text: None)("inner")
    inner, outer = captured.queries
    assert (inner.parent_id, inner.agent_type, outer.agent_type) == (outer.query_id, "", "")


def test_of_several_threads_one_joins_and_the_others_become_children() -> None:
    start = threading.Barrier(8)

    @track_query(agent="worker")
    def ask(number: int) -> None:
        work(False)

    def run(number: int) -> None:
        start.wait()
        ask(number)

    with capture() as captured, query_span("outer") as outer, ThreadPoolExecutor(8) as pool:
        list(pool.map(propagate(run), range(8)))
    *children, record = captured.queries
    assert record.query_id == outer.query_id
    assert record.agent_type == "worker"
    assert [child.parent_id for child in children] == [record.query_id] * 7
    assert [len(query.calls) for query in captured.queries] == [1] * 8


def test_a_query_inside_a_query_that_has_an_agent_is_one_of_its_own() -> None:
    def ask(depth: int) -> None:
        work(False)
        if depth:
            track_query(agent=f"level {depth}")(ask)(depth - 1)

    with capture() as captured:
        with query_span("q", agent="top"):
            ask(2)
        with query_span("alone", agent="top"), query_span("span inside"):
            pass
    innermost, middle, top, span, _ = captured.queries
    assert (top.parent_id, middle.parent_id, innermost.parent_id) == (None, top.query_id, middle.query_id)
    assert [len(query.calls) for query in captured.queries[:3]] == [1, 1, 1]
    assert span.parent_id == captured.queries[4].query_id


# -- the open query ---------------------------------------------------------------------------------------------------


def use_everything(query: Any) -> None:
    query.add_entities("a", "b")
    query.set_attributes(x=1)
    query.record_metric("m", 1.0)
    query.record_tokens(1, 2, "model")
    query.select("agent", 0.5, "reason")
    query.set_result("result")
    query.fail(ValueError("no"))


def test_current_query_outside_a_query_accepts_everything_and_does_nothing() -> None:
    with capture() as captured:
        nothing = current_query()
        use_everything(nothing)
        assert (nothing.query_id, bool(nothing)) == ("", False)
        with suppress(), query_span("q"):
            use_everything(current_query())
    assert captured.queries == []
    assert captured.selections == []


def test_current_query_is_the_open_one_and_does_nothing_after_its_end() -> None:
    with capture() as captured:
        with query_span("q", agent="a") as span:
            seen = current_query()
            assert seen.query_id == span.query_id
            with tool_span("t"):
                current_query().add_entities("a", "a", "b")
                assert in_thread(propagate(lambda: current_query().query_id)) == span.query_id
            assert in_thread(lambda: current_query().query_id) == ""
        use_everything(seen)
        assert seen.query_id == span.query_id
        assert current_query().query_id == ""
    (query,) = captured.queries
    assert (query.query_id, query.status, query.attributes, query.entities_detected) == (
        span.query_id,
        "ok",
        {},
        ["a", "b"],
    )


def test_everything_told_to_a_query_is_on_its_record() -> None:
    with capture() as captured, query_span("q", agent="a", first=1) as query:
        use_everything(query)
        query.record_tokens(10, 20)
        query.set_attributes(x=2, y="text", z=None, w=[1])
    (record,) = captured.queries
    assert (record.entities_detected, record.metrics) == (["a", "b"], {"m": 1.0})
    assert record.attributes == {"first": 1, "x": 2, "y": "text", "z": None, "w": "[1]"}
    assert (record.input_tokens, record.output_tokens, record.model) == (11, 22, "model")
    assert record.selection is not None
    assert (record.selection.selected_agent, record.selection.complexity_score) == ("agent", 0.5)
    assert (record.result_size_bytes, record.status, record.error_type, record.error_message) == (
        6,
        "error",
        "ValueError",
        "no",
    )


def test_ending_twice_is_harmless() -> None:
    with capture() as captured:
        query, tool = query_span("q", agent="a"), tool_span("t")
        query.__enter__()
        tool.__enter__()
        for _ in range(2):
            tool.__exit__(None, None, None)
        for _ in range(2):
            query.__exit__(None, None, None)
        tool.__exit__(ValueError, ValueError(), None)
    (record,) = captured.queries
    assert [(call.name, call.status) for call in record.calls] == [("t", "ok")]
    assert current.get() is NOBODY


def test_a_query_takes_with_it_what_was_left_open_inside() -> None:
    def half() -> Any:
        with tool_span("never left"):
            yield 1

    for leave in (lambda: None, lambda: 1 / 0):
        for make in (lambda body: track_query(agent="a")(body)(), lambda body: spanned(body)):
            left = []

            def body(leave: Any = leave, left: Any = left) -> None:
                left.append(half())
                next(left[0])
                leave()

            with capture() as captured:
                with contextlib.suppress(ZeroDivisionError):
                    make(body)
                assert current.get() is NOBODY
                left[0].close()
                assert current.get() is NOBODY
            assert [(call.name, call.late) for call in captured.queries[0].calls] == [("never left", True)]


def spanned(body: Callable[[], None]) -> None:
    with query_span("q", agent="a"):
        body()


def test_suppress_switches_off_a_block_and_nothing_else() -> None:
    ask = track_query(agent="a")(lambda text: work())
    with capture() as captured:
        with suppress():
            ask("unseen")
            record_selection("unseen")
            work()
            with suppress(), query_span("unseen"), tool_span("unseen"):
                work()
            ask("unseen still")
        with query_span("seen", agent="b"):
            with suppress():
                work()
                ask("unseen")
            work(False)
        assert current.get() is NOBODY
    assert [query.user_input for query in captured.queries] == ["seen"]
    assert tree(captured.queries[0]) == [("work", None)]
    assert captured.calls == []
    assert captured.selections == []


# -- threads ----------------------------------------------------------------------------------------------------------


def test_calls_of_other_threads_are_merged_by_start_under_the_right_parents() -> None:
    with capture() as captured, query_span("q", agent="a"):
        work(False)
        in_thread(copied(work))
        with tool_span("span"):
            in_thread(copied(work))
            in_thread(propagate(work))
        with tool_span("span"):
            in_thread(propagate(lambda: in_thread(propagate(work))))
        work(False)
    query = captured.queries[0]
    assert tree(query) == [
        ("work", None),
        *[("work", None), ("detail", "work")],
        *[("span", None), ("work", "span"), ("detail", "work"), ("work", "span"), ("detail", "work")],
        *[("span", None), ("work", "span"), ("detail", "work")],
        ("work", None),
    ]
    starts = [call.start_ms for call in query.calls]
    assert starts == sorted(starts)
    for call in query.calls:
        if call.parent is not None:
            assert query.calls[call.parent].start_ms <= call.start_ms


def test_a_decorated_tool_hands_its_place_to_threads_by_propagate() -> None:
    @track_tool("outer")
    def outer() -> None:
        in_thread(propagate(work))

    with capture() as captured, query_span("q", agent="a"):
        outer()
    assert tree(captured.queries[0]) == [("outer", None), ("work", "outer"), ("detail", "work")]


def test_to_thread_and_run_in_executor_carry_the_query_and_the_call() -> None:
    @track_tool("outer")
    async def outer(how: str) -> None:
        if how == "to_thread":
            await asyncio.to_thread(work)
        else:
            with ThreadPoolExecutor(1) as pool:
                await asyncio.get_running_loop().run_in_executor(pool, propagate(work))

    @track_query(agent="a")
    async def ask() -> None:
        await asyncio.gather(outer("to_thread"), outer("executor"))
        await asyncio.to_thread(work, False)

    with capture() as captured:
        asyncio.run(ask())
    pairs = tree(captured.queries[0])
    assert sorted(pairs[:6], key=str) == sorted([("outer", None), ("work", "outer"), ("detail", "work")] * 2, key=str)
    assert pairs[6:] == [("work", None)]
    parents = [call.parent for call in captured.queries[0].calls if call.name == "work"][:2]
    assert len(set(parents)) == 2


def test_a_plain_thread_carries_the_query_with_propagate_alone() -> None:
    with capture() as captured, query_span("q", agent="a"):
        for target in (work, propagate(work)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert tree(captured.queries[0]) == [("work", None), ("detail", "work")]
    assert len(captured.calls) == 2


def test_reused_workers_never_keep_the_last_query() -> None:
    def leaves_things_open() -> None:
        record_selection("left behind")
        tool_span("left open").__enter__()

    with capture(), ThreadPoolExecutor(1) as pool:
        with query_span("q", agent="a"):
            for function in (work, leaves_things_open):
                pool.submit(propagate(function)).result()
                assert pool.submit(lambda: current.get() is NOBODY).result()
            with pytest.raises(ZeroDivisionError):
                pool.submit(propagate(lambda: 1 / 0)).result()
        pool.submit(propagate(leaves_things_open)).result()
        assert pool.submit(lambda: current.get() is NOBODY).result()


def test_one_propagated_function_runs_on_many_threads_and_carries_our_variable_alone() -> None:
    other: contextvars.ContextVar[str] = contextvars.ContextVar("other", default="none")
    start = threading.Barrier(8)

    def body(number: int) -> str:
        start.wait()
        for _ in range(5):
            work()
        return other.get()

    with capture() as captured, query_span("q", agent="a"), tool_span("span"):
        other.set("mine")
        carried = propagate(body)
        assert carried.__name__ == "body"
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(carried, range(8))) == ["none"] * 8
    (query,) = captured.queries
    assert sorted(tree(query), key=str) == sorted(
        [("span", None), *[("work", "span")] * 40, *[("detail", "work")] * 40], key=str
    )


def test_propagate_outside_a_query_carries_nothing() -> None:
    with capture() as captured:
        in_thread(propagate(work))
        with suppress():
            quiet = propagate(work)
        in_thread(quiet)
    assert len(captured.calls) == 2


def test_hundreds_of_threads_lose_no_record_and_mix_none_up() -> None:
    @track_query(agent="a")
    def ask(number: int) -> str:
        for step in range(number % 4):
            with tool_span(f"{number}-{step}"):
                work(False)
        return "x" * number

    def shared(number: int) -> None:
        with graphql_span(f"shared {number}"):
            work(False)

    with capture() as captured, query_span("outer", agent="b"):
        carried = propagate(shared)
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(300)]
        threads += [threading.Thread(target=carried, args=(n,)) for n in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    queries = {query.user_input: query for query in captured.queries}
    assert len(captured.queries) == len(queries) == 301
    assert len({query.query_id for query in captured.queries}) == 301
    for number in range(300):
        query = queries[str(number)]
        assert query.result_size_bytes == number
        expected = [
            pair for step in range(number % 4) for pair in ((f"{number}-{step}", None), ("work", f"{number}-{step}"))
        ]
        assert tree(query) == expected
    outer = tree(queries["outer"])
    assert sorted(outer, key=str) == sorted(
        [pair for n in range(200) for pair in ((f"shared {n}", None), ("work", f"shared {n}"))], key=str
    )
    assert captured.calls == []


def test_threads_that_are_at_work_while_their_query_ends_lose_no_call() -> None:
    for _ in range(30):
        go, count = threading.Event(), 20

        def body(go: threading.Event = go, count: int = count) -> None:
            go.wait()
            for _ in range(count):
                work(False)

        with capture() as captured:
            with query_span("q", agent="a"):
                threads = [threading.Thread(target=propagate(body)) for _ in range(3)]
                for thread in threads:
                    thread.start()
                go.set()
            for thread in threads:
                thread.join()
        (query,) = captured.queries
        assert [call.name for call in query.calls] == ["work"] * 60
        assert all(call.duration_ms is not None for call in query.calls)
        assert captured.calls == []


# -- late calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, LookupError("gone")])
@pytest.mark.parametrize("written", [False, True])
def test_a_call_that_ends_after_its_query_is_marked_late(written: bool, error: Exception | None) -> None:
    with capture() as captured:
        with query_span("q", agent="a"):
            with tool_span("around"):
                opened = tool_span("late")
                opened.__enter__()
            work(False)
        if written:
            (before,) = captured.queries
            assert [(call.name, call.success, call.status) for call in before.calls][1] == ("late", False, "abandoned")
        opened.__exit__(type(error) if error else None, error, None)
    (query,) = captured.queries
    around, late, _ = query.calls
    assert tree(query) == [("around", None), ("late", "around"), ("work", "late")] or tree(query)[1] == (
        "late",
        "around",
    )
    assert (around.late, late.late, late.duration_ms is None) == (False, True, False)
    assert (late.status, late.error_type) == (("error", "LookupError") if error else ("ok", None))
    assert captured.calls == []


@pytest.mark.parametrize("written", [False, True])
def test_a_task_that_outlives_its_query_is_late_and_keeps_its_parent(written: bool) -> None:
    go = []

    @track_tool("slow")
    async def slow() -> None:
        await go[0].wait()
        with tool_span("begun late"):
            pass

    @track_query(agent="a")
    async def ask() -> asyncio.Task[None]:
        with tool_span("around"):
            task = asyncio.create_task(slow())
            await asyncio.sleep(0)
        return task

    async def main() -> None:
        go.append(asyncio.Event())
        task = await ask()
        if written:
            assert len(captured.queries) == 1
        go[0].set()
        await task

    with capture() as captured:
        asyncio.run(main())
    (query,) = captured.queries
    assert tree(query)[:2] == [("around", None), ("slow", "around")]
    assert [(call.name, call.late) for call in query.calls] == [("around", False), ("slow", True), ("begun late", True)]
    assert query.tool_calls == 3


def test_late_calls_reach_the_disk_in_their_query_or_on_a_line_that_names_it() -> None:
    from pathlib import Path

    store = Path.cwd() / "late"
    configure(directory=store, flush_interval_ms=60_000)
    with query_span("q", agent="a") as query:
        opened = tool_span("late")
        opened.__enter__()
    assert flush()
    opened.__exit__(None, None, None)
    assert flush()
    lines = [line for path in store.rglob("*.jsonl") for line in path.read_text().splitlines()]
    (late,) = [line for line in lines if '"type":"call"' in line]
    assert query.query_id in late
    assert '"late":true' in late
    assert '"place":0' in late
