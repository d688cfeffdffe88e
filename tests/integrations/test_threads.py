"""The open query in threads and pools, with `install("threads")`."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import pickle
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from instrument import install, propagate, query_span, suppress, tool_span, track_query, track_tool, uninstall
from instrument.recording.scope import NOBODY, current
from instrument.records import QueryRecord
from instrument.testing import Captured, capture


@track_tool
def look(name: str = "") -> str:
    return name.upper()


@pytest.fixture
def captured() -> Iterator[Captured]:
    install("threads")
    with capture() as found:
        yield found


def calls_of(query: QueryRecord) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in query.calls]


def in_a_thread(thread: threading.Thread) -> None:
    thread.start()
    thread.join()


class Own(threading.Thread):
    def run(self) -> None:
        look("own")


# -- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: threading.Thread(target=look, args=("a",)),
        lambda: threading.Thread(target=partial(look, "a"), daemon=True),
        lambda: threading.Timer(0.001, look, ("a",)),
        Own,
    ],
    ids=["target", "partial", "timer", "own run"],
)
def test_a_thread_started_in_a_call_makes_its_calls_under_it(
    captured: Captured, made: Callable[[], threading.Thread]
) -> None:
    with query_span("q", agent="a"), tool_span("outer"):
        in_a_thread(made())
    assert calls_of(captured.queries[0]) == [("outer", None), ("look", 0)]
    assert captured.calls == []


def test_a_query_begun_in_a_thread_is_a_child_and_one_begun_outside_is_not(captured: Captured) -> None:
    @track_query(agent="inner")
    def inner(text: str) -> None:
        in_a_thread(threading.Thread(target=look))

    with query_span("outer", agent="outer"):
        in_a_thread(threading.Thread(target=inner, args=("inside",)))
    in_a_thread(threading.Thread(target=inner, args=("outside",)))
    inside, outer, outside = captured.queries
    assert inside.parent_id == outer.query_id
    assert outside.parent_id is None
    assert [query.tool_calls for query in captured.queries] == [1, 0, 1]


def test_threads_started_by_threads_stay_in_the_query_and_under_their_call(captured: Captured) -> None:
    def deeper(depth: int) -> None:
        with tool_span(f"depth {depth}"):
            if depth:
                in_a_thread(threading.Thread(target=deeper, args=(depth - 1,)))

    with query_span("q", agent="a"):
        in_a_thread(threading.Thread(target=deeper, args=(3,)))
    assert calls_of(captured.queries[0]) == [("depth 3", None), ("depth 2", 0), ("depth 1", 1), ("depth 0", 2)]


def test_the_thread_s_own_run_is_back_before_it_is_called_even_one_set_on_the_object(captured: Captured) -> None:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append("run" in vars(threading.current_thread())))
    own = threading.Thread()
    own.run = lambda: seen.append(vars(threading.current_thread())["run"])  # type: ignore[method-assign]
    with query_span("q", agent="a"):
        in_a_thread(thread)
        in_a_thread(own)
    assert seen == [False, own.run]
    assert "run" not in vars(thread)


def test_a_thread_that_cannot_be_started_is_as_it_was_and_says_what_it_always_says(captured: Captured) -> None:
    thread = threading.Thread(target=look)
    with query_span("q", agent="a"):
        in_a_thread(thread)
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
    assert "run" not in vars(thread)
    assert captured.queries[0].tool_calls == 1


def test_a_call_that_ends_in_a_thread_after_the_query_is_late(captured: Captured) -> None:
    goes_on = threading.Event()

    @track_tool
    def slow() -> None:
        assert goes_on.wait(60)

    with query_span("q", agent="a"):
        thread = threading.Thread(target=slow)
        thread.start()
        while not captured_open():
            time.sleep(0.001)
    goes_on.set()
    thread.join()
    assert [(call.name, call.late) for call in captured.queries[0].calls] == [("slow", True)]


def captured_open() -> bool:
    row = current.get()[4]
    return row is not None and bool(row.frames)


def test_a_suppressed_block_suppresses_its_threads(captured: Captured) -> None:
    with query_span("q", agent="a"), suppress(), ThreadPoolExecutor() as pool:
        in_a_thread(threading.Thread(target=look))
        pool.submit(look).result()
    assert captured.queries[0].calls == []
    assert captured.calls == []


def test_a_thread_that_serves_whoever_comes_does_not_belong_to_the_query_that_started_it(captured: Captured) -> None:
    with query_span("q", agent="a"):
        pool = ThreadPool(1)
    with pool:
        pool.apply(look)
    assert captured.queries[0].calls == []
    assert [call.name for call in captured.calls] == ["look"]


# -- pools -----------------------------------------------------------------------------------------------------------


def by_submit(pool: ThreadPoolExecutor) -> list[str]:
    return [pool.submit(look, name).result() for name in "abc"]


def by_map(pool: ThreadPoolExecutor) -> list[str]:
    return list(pool.map(look, "abc"))


async def by_executor(pool: Executor | None) -> list[str]:
    loop = asyncio.get_running_loop()
    return list(await asyncio.gather(*(loop.run_in_executor(pool, look, name) for name in "abc")))


async def by_to_thread() -> list[str]:
    return list(await asyncio.gather(*(asyncio.to_thread(look, name) for name in "abc")))


@pytest.mark.parametrize(
    "run",
    [
        by_submit,
        by_map,
        lambda pool: asyncio.run(by_executor(pool)),
        lambda pool: asyncio.run(by_executor(None)),
        lambda pool: asyncio.run(by_to_thread()),
    ],
    ids=["submit", "map", "run_in_executor", "run_in_executor None", "to_thread"],
)
def test_a_pool_s_calls_belong_to_the_query_they_were_handed_over_in(
    captured: Captured, run: Callable[[ThreadPoolExecutor], list[str]]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with query_span("q", agent="a"):
            assert run(pool) == ["A", "B", "C"]
        pool.submit(look).result()
    assert calls_of(captured.queries[0]) == [("look", None)] * 3
    assert [call.name for call in captured.calls] == ["look"]


def test_an_async_tool_s_calls_in_a_pool_are_under_it(captured: Captured) -> None:
    @track_tool
    async def tool() -> None:
        await by_executor(None)
        await by_to_thread()

    @track_query(agent="a")
    async def answer(text: str) -> None:
        await tool()

    asyncio.run(answer("q"))
    (_, parent), *inside = calls_of(captured.queries[0])
    assert parent is None
    assert len(inside) == 6
    assert {parent for _, parent in inside} == {0}


def test_a_worker_keeps_neither_the_query_that_started_it_nor_the_last_one(captured: Captured) -> None:
    def scope() -> Any:
        return current.get()

    with ThreadPoolExecutor(1) as pool:
        with query_span("first", agent="a"):
            pool.submit(look).result()
        assert pool.submit(scope).result() is NOBODY
        with query_span("second", agent="a"), pytest.raises(ZeroDivisionError):
            pool.submit(lambda: look("x") and 1 / 0).result()
        assert pool.submit(scope).result() is NOBODY
        pool.submit(look).result()
    assert [query.tool_calls for query in captured.queries] == [1, 1]
    assert len(captured.calls) == 1


def test_a_worker_that_a_pool_of_one_s_own_starts_keeps_no_query_either(captured: Captured) -> None:
    class Pool(ThreadPoolExecutor):
        def _adjust_thread_count(self) -> None:
            if not self._threads:
                self._threads.add(threading.Thread(target=self._serve))
                next(iter(self._threads)).start()

        def _serve(self) -> None:
            # From Python 3.14 on an item is run in a context that its worker made.
            context = (self._create_worker_context(),) if hasattr(self, "_create_worker_context") else ()
            while (item := self._work_queue.get()) is not None:
                item.run(*context)
                seen.append(current.get())

    seen: list[Any] = []
    with Pool(1) as pool, query_span("q", agent="a"):
        pool.submit(look).result(timeout=30)
    assert captured.queries[0].tool_calls == 1
    assert seen == [NOBODY]


def test_eight_queries_that_share_a_pool_each_get_their_own_calls(captured: Captured) -> None:
    pool = ThreadPoolExecutor(4)

    def ask(name: str) -> None:
        with query_span(name, agent="a"):
            for _ in range(20):
                with tool_span(name):
                    assert list(pool.map(nested, [name] * 3)) == [name] * 3

    def nested(name: str) -> str:
        with tool_span(name):
            look()
        return name

    threads = [threading.Thread(target=ask, args=(f"q{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.shutdown()
    assert len(captured.queries) == 8
    for query in captured.queries:
        outer = [place for place, call in enumerate(query.calls) if call.parent is None]
        inner = [place for place, call in enumerate(query.calls) if call.parent in outer]
        looks = [call for call in query.calls if call.parent in inner]
        assert (len(outer), len(inner), len(looks), len(query.calls)) == (20, 60, 60, 140)
        assert {call.name for call in query.calls} == {query.user_input, "look"}
    assert captured.calls == []


def test_a_pool_of_processes_is_left_alone(captured: Captured) -> None:
    with query_span("q", agent="a"), ProcessPoolExecutor(1) as pool:
        assert pool.submit(len, "abc").result() == 3
        manager = pool._executor_manager_thread  # type: ignore[attr-defined]
        assert "run" not in vars(manager)
    assert captured.queries[0].calls == []


# -- beside what users do already ------------------------------------------------------------------------------------


def test_what_is_propagated_or_run_in_a_copied_context_is_recorded_once_under_the_same_call(captured: Captured) -> None:
    async def handed_over() -> None:
        with tool_span("outer"), ThreadPoolExecutor(2) as pool:
            pool.submit(propagate(look)).result()
            pool.submit(contextvars.copy_context().run, look).result()
            pool.submit(look).result()
            in_a_thread(threading.Thread(target=propagate(look)))
            in_a_thread(threading.Thread(target=contextvars.copy_context().run, args=(look,)))
            in_a_thread(threading.Thread(target=look))

    with query_span("q", agent="a"):
        asyncio.run(handed_over())
    assert calls_of(captured.queries[0]) == [("outer", None), *[("look", 0)] * 6]
    assert captured.calls == []


def test_what_was_propagated_in_another_query_stays_there(captured: Captured) -> None:
    with query_span("first", agent="a"):
        carried = propagate(look)
        with query_span("second", agent="b"), ThreadPoolExecutor(1) as pool:
            pool.submit(carried).result()
    assert {query.user_input: query.tool_calls for query in captured.queries} == {"first": 1, "second": 0}


# -- as if nobody were there -----------------------------------------------------------------------------------------


def test_arguments_and_results_are_the_identical_objects_and_exceptions_pass_untouched(captured: Captured) -> None:
    given, error = object(), KeyError("mine")

    def gives(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def fails() -> None:
        raise error

    with query_span("q", agent="a"), ThreadPoolExecutor(1) as pool:
        args, kwargs = pool.submit(gives, given, fn=given, self=given).result()
        assert args[0] is kwargs["fn"] is kwargs["self"] is given
        assert pool.submit(fails).exception() is error
        with pytest.raises(TypeError, match="fn"):
            pool.submit()  # type: ignore[call-arg]
    assert error.__context__ is error.__cause__ is None


def test_an_exception_that_ends_a_thread_reaches_the_hook_for_it(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: seen.append((told.thread, told.exc_value)))
    error = KeyError("mine")

    def fails() -> None:
        raise error

    with query_span("q", agent="a"):
        thread = threading.Thread(target=fails)
        in_a_thread(thread)
    assert seen == [(thread, error)]
    assert "fails" in traceback.format_exception(error)[-2]


def test_thread_and_pool_still_tell_signature_and_documentation_and_pickle(captured: Captured) -> None:
    for function in (threading.Thread.start, ThreadPoolExecutor.submit):
        assert inspect.signature(function) == inspect.signature(function.__wrapped__)  # type: ignore[attr-defined]
        assert function.__doc__ == function.__wrapped__.__doc__  # type: ignore[attr-defined]
        assert pickle.loads(pickle.dumps(function)) is function
    assert threading.Thread.run.__module__ == "threading"


def test_uninstall_gives_both_back_while_what_was_handed_over_still_belongs_to_its_query(captured: Captured) -> None:
    held = threading.Event()

    def waits() -> None:
        assert held.wait(60)
        look()

    with query_span("q", agent="a"), ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(waits), pool.submit(look)]
        thread = threading.Thread(target=waits)
        thread.start()
        uninstall("threads")
        assert not hasattr(threading.Thread.start, "__wrapped__")
        assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")
        held.set()
        thread.join()
        for future in futures:
            future.result()
        pool.submit(look).result()
    assert captured.queries[0].tool_calls == 3
    assert len(captured.calls) == 1


def test_uninstall_under_another_s_wrapper_carries_nothing_more(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda *args, **kwargs: submit(*args, **kwargs))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: start(thread))
    uninstall("threads")
    with query_span("q", agent="a"), ThreadPoolExecutor(1) as pool:
        pool.submit(look).result()
        in_a_thread(threading.Thread(target=look))
    assert captured.queries[0].calls == []
    monkeypatch.undo()
    for owner, name in ((ThreadPoolExecutor, "submit"), (threading.Thread, "start")):
        setattr(owner, name, vars(owner)[name].__wrapped__)


# -- what is held ----------------------------------------------------------------------------------------------------


class Kept:
    """Something of a request's own."""


def test_nothing_of_a_query_is_held_by_a_pool_a_future_or_a_finished_thread(captured: Captured) -> None:
    def fails(kept: Kept) -> None:
        raise KeyError(id(kept))

    with ThreadPoolExecutor(1) as pool:
        with query_span("q", agent="a") as query:
            row, kept = query._row, Kept()
            reference, thread = weakref.ref(kept), threading.Thread(target=look)
            in_a_thread(thread)
            future = pool.submit(fails, kept)
            error = future.exception()
        pool.submit(look).result()  # a worker lets go of what it has done when it begins to wait
        assert error is not None
        error.__traceback__ = None
        del kept, query
        assert captured.queries  # takes the row over
        captured._rows.clear()
        gc.collect()
        assert reference() is None
        assert [holder for holder in gc.get_referrers(row) if holder is not sys._getframe()] == []


def test_the_traceback_of_a_failure_does_not_hold_the_query(captured: Captured) -> None:
    def fails() -> None:
        raise KeyError

    with query_span("q", agent="a") as query, ThreadPoolExecutor(1) as pool:
        future = pool.submit(fails)
        error = future.exception()
        row = query._row
    assert error is not None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert any(frame.f_code.co_name == "fails" for frame in frames)
    for frame in frames:
        for value in frame.f_locals.values():
            assert value is not row
            assert row not in gc.get_referents(value)


def test_without_a_query_nothing_is_put_around_anything(captured: Captured) -> None:
    seen: list[str] = []

    def caller() -> None:
        seen.append(sys._getframe(1).f_code.co_filename)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(caller).result()
    in_a_thread(threading.Thread(target=caller))
    assert not [path for path in seen if "integrations" in path]
