"""One exception counts once, and nothing of ours stays on it; an exit with code 0 is a success."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from instrument import current_query, propagate, query_span, tool_span, track_query, track_tool
from instrument.recording import failures
from instrument.testing import Captured, capture


class Own(Exception):
    pass


class Slotted(ValueError):
    __slots__ = ()


def errors_that_count(captured: Captured) -> list[str]:
    records: list[Any] = [*captured.queries, *captured.calls, *(c for q in captured.queries for c in q.calls)]
    return sorted(record.error_type for record in records if record.status == "error" and not record.passed_on)


@track_tool
def fails(kind: type[BaseException] = ValueError) -> None:
    raise kind("x")


@pytest.mark.parametrize("kind", [ValueError, Own, Slotted, KeyError, UnicodeError])
def test_an_exception_caught_inside_a_query_keeps_nothing_of_ours(kind: type[Exception]) -> None:
    with capture(), query_span("x", agent="a"):
        with tool_span("around"):
            try:
                fails(kind)
            except kind as error:
                kept = error
        assert pickle.dumps(kept) == pickle.dumps(kind("x"))
        assert vars(kept) == {}
        assert not hasattr(kept, "__notes__")
        assert vars(copy.copy(kept)) == {}


@pytest.mark.parametrize("kind", [ValueError, Own])
def test_an_exception_through_a_context_manager_of_the_application_s_counts_once(kind: type[Exception]) -> None:
    """`contextlib` takes its generator out of the traceback once it has left it."""

    @contextlib.contextmanager
    def tool(name: str) -> Iterator[None]:
        with tool_span(name):
            yield

    @contextlib.contextmanager
    def tool_in_a_tool() -> Iterator[None]:
        with tool("outer"), tool("inner"):
            yield

    with capture() as captured, pytest.raises(kind), query_span("x", agent="a"), tool_in_a_tool():
        raise kind("once")
    [query] = captured.queries
    assert [(call.name, call.passed_on) for call in query.calls] == [("outer", True), ("inner", False)]
    assert query.passed_on


@pytest.mark.parametrize("kind", [ValueError, Own])
def test_another_exception_at_the_same_address_counts_for_itself(kind: type[Exception]) -> None:
    """What was caught is freed, and the next exception as a rule lies where it lay."""

    @track_query(agent="a")
    def recovers_then_fails() -> None:
        for _ in range(3):
            with contextlib.suppress(kind):
                fails(kind)
        raise kind("its own")

    with capture() as captured:
        for _ in range(20):
            with pytest.raises(kind):
                recovers_then_fails()
    assert [query.passed_on for query in captured.queries] == [False] * 20


@pytest.mark.parametrize("kind", [ValueError, Own])
def test_another_exception_outside_a_query_counts_for_itself(kind: type[Exception]) -> None:
    @track_tool
    def recovers_then_fails() -> None:
        with contextlib.suppress(kind):
            fails(kind)
        raise kind("its own")

    with capture() as captured:
        for _ in range(20):
            with pytest.raises(kind):
                recovers_then_fails()
    assert [call.passed_on for call in captured.calls if call.name.endswith("recovers_then_fails")] == [False] * 20


@pytest.mark.parametrize("kind", [ValueError, Own])
def test_an_exception_that_comes_back_from_another_thread_counts_once(kind: type[Exception]) -> None:
    @track_query(agent="a")
    def waits(pool: ThreadPoolExecutor) -> None:
        pool.submit(propagate(fails), kind).result()

    with capture() as captured, ThreadPoolExecutor(1) as pool, pytest.raises(kind):
        waits(pool)
    assert errors_that_count(captured) == [kind.__name__]


@pytest.mark.parametrize("kind", [ValueError, Own])
def test_an_exception_that_is_kept_and_raised_again_counts_once(kind: type[Exception]) -> None:
    @track_query(agent="a")
    def retries() -> None:
        last: Exception | None = None
        for _ in range(3):
            try:
                fails(kind)
            except kind as error:
                last = error
        assert last is not None
        raise last

    with capture() as captured, pytest.raises(kind):
        retries()
    assert captured.queries[0].passed_on
    assert errors_that_count(captured) == [kind.__name__] * 3  # three tries failed, each with an exception of its own


def test_a_group_of_what_calls_raised_counts_with_them_and_one_with_more_for_itself() -> None:
    @track_tool
    async def one(kind: type[Exception]) -> None:
        await asyncio.sleep(0)
        raise kind("x")

    @track_query(agent="a")
    async def gathers(more: bool) -> None:
        async def undecorated() -> None:
            if more:
                raise KeyError("in no call")

        async with asyncio.TaskGroup() as group:
            group.create_task(one(ValueError))
            group.create_task(one(Own))
            group.create_task(undecorated())

    for more, passed_on in ((False, True), (True, False)):
        with capture() as captured, pytest.raises(ExceptionGroup):
            asyncio.run(gathers(more))
        assert (captured.queries[0].error_type, captured.queries[0].passed_on) == ("ExceptionGroup", passed_on)


def test_what_is_remembered_of_failures_is_bounded_and_keeps_no_exception() -> None:
    for _ in range(failures.REMEMBERED + 100):
        failures.seen_before(Own(), 0)
    assert len(failures._recent) <= failures.REMEMBERED
    assert all(failure.error is None or failure.error() is None for failure in list(failures._recent.values())[:-1])


RUNS: dict[str, Callable[[Callable[[], None]], Any]] = {
    "query": lambda leave: track_query(agent="a")(leave)(),
    "tool": lambda leave: track_tool(leave)(),
    "async query": lambda leave: asyncio.run(_awaiting(track_query(agent="a"), leave)),
    "async tool": lambda leave: asyncio.run(_awaiting(track_tool, leave)),
    "stream": lambda leave: list(track_query(agent="a")(_streaming)(leave)),
    "spans": lambda leave: _spans(leave),
}


async def _awaiting(track: Any, leave: Callable[[], None]) -> None:
    @track
    async def leaving() -> None:
        await asyncio.sleep(0)
        leave()

    await leaving()


def _streaming(leave: Callable[[], None]) -> Any:
    yield 1
    leave()


def _spans(leave: Callable[[], None]) -> None:
    with query_span("x", agent="a"), tool_span("t"):
        leave()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (None, "ok"), (1, "error"), ("a message", "error")])
def test_an_exit_with_code_0_is_a_success_and_with_another_a_failure(run: Any, code: Any, status: str) -> None:
    def leave() -> None:
        sys.exit(code)

    with capture() as captured, pytest.raises(SystemExit) as exit_:
        run(leave)
    assert exit_.value.code == code
    records: list[Any] = [*captured.queries, *captured.calls, *(c for q in captured.queries for c in q.calls)]
    assert records
    assert {(r.status, r.success, r.error_type) for r in records} == {
        ("ok", True, None) if status == "ok" else ("error", False, "SystemExit")
    }


def test_an_exit_does_not_make_up_for_a_failure_that_was_said() -> None:
    @track_query(agent="a")
    def gives_up() -> None:
        current_query().fail("no answer")
        sys.exit()

    with capture() as captured, pytest.raises(SystemExit):
        gives_up()
    assert captured.queries[0].status == "error"


@pytest.mark.parametrize("module", ["click.exceptions", "typer"])
def test_the_exit_of_a_command_line_library_is_judged_by_its_code(module: str) -> None:
    exit_of_theirs = import_module(module).Exit
    with capture() as captured:
        for code in (0, 3):
            with pytest.raises(exit_of_theirs), query_span("q", agent="cli"):
                raise exit_of_theirs(code)
    assert [(query.status, query.success) for query in captured.queries] == [("ok", True), ("error", False)]


def test_a_group_of_cancellations_alone_is_one_and_any_other_group_is_a_failure() -> None:
    """A nursery of trio's raises such a group through the query that is cancelled."""

    class Cancelled(BaseException):
        pass

    cancelled = BaseExceptionGroup("", [Cancelled(), BaseExceptionGroup("", [asyncio.CancelledError()])])
    with capture() as captured:
        for error in (cancelled, BaseExceptionGroup("", [Cancelled(), ValueError()]), ExceptionGroup("", [KeyError()])):
            with pytest.raises(BaseExceptionGroup), query_span("q", agent="a"), tool_span("t"):
                raise error
    assert [query.status for query in captured.queries] == ["cancelled", "error", "error"]
    assert [query.calls[0].status for query in captured.queries] == ["cancelled", "error", "error"]
