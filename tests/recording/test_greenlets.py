"""Greenlets that take turns in a thread keep their own parents, whenever greenlet is imported."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import gevent
import greenlet
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from instrument import propagate, query_span, track_query, track_tool
from instrument.recording.runners import watch_greenlet
from instrument.recording.scope import NOBODY, current
from instrument.records import QueryRecord
from instrument.testing import capture


@pytest.fixture(autouse=True)
def greenlet_is_imported(apart: None) -> None:
    watch_greenlet()


@track_tool
def row() -> None:
    pass


def shape(query: QueryRecord) -> list[tuple[str, str | None]]:
    return [(call.name, None if call.parent is None else query.calls[call.parent].name) for call in query.calls]


@track_tool("wait")
def waiting(seconds: float) -> None:
    await_only(asyncio.sleep(seconds))
    row()


def test_sync_tools_that_wait_in_greenlets_of_gathered_tasks_keep_their_own_parents() -> None:
    @track_query(agent="a")
    async def asks() -> None:
        await asyncio.gather(greenlet_spawn(waiting, 0.01), greenlet_spawn(waiting, 0.03))
        row()

    with capture() as captured:
        asyncio.run(asks())
        asyncio.run(asks())
    for query in captured.queries:
        calls = query.calls
        places = [place for place, call in enumerate(calls) if call.name == "wait"]
        assert [(call.name, call.parent) for call in calls] == [
            ("wait", None),
            ("wait", None),
            ("row", places[0]),
            ("row", places[1]),
            ("row", None),
        ]
        assert all(call.status == "ok" and not call.late for call in calls)


def test_what_a_greenlet_awaits_is_under_the_tool_that_waits_for_it() -> None:
    @track_tool("inner")
    async def inner() -> None:
        await asyncio.sleep(0)

    @track_tool("outer")
    def outer() -> None:
        await_only(inner())

    @track_query(agent="a")
    async def asks() -> None:
        await greenlet_spawn(outer)

    with capture() as captured:
        asyncio.run(asks())
    assert shape(captured.queries[0]) == [("outer", None), ("inner", "outer")]


def test_gevent_s_greenlets_keep_their_own_queries_and_parents() -> None:
    @track_tool("wait")
    def wait(seconds: float) -> None:
        gevent.sleep(seconds)
        row()

    @track_query(agent="a")
    def answer(name: str, seconds: float) -> None:
        wait(seconds)
        gevent.sleep(seconds)
        wait(seconds)

    with capture() as captured:
        gevent.joinall([gevent.spawn(answer, str(n), n / 200) for n in range(4)], raise_error=True)
        with query_span("outer", agent="outer"):
            gevent.joinall([gevent.spawn(propagate(wait), n / 200) for n in range(3)], raise_error=True)
            row()
    assert current.get() is NOBODY
    queries = {query.user_input: query for query in captured.queries}
    for name in "0123":
        assert shape(queries[name]) == [("wait", None), ("row", "wait"), ("wait", None), ("row", "wait")]
        assert queries[name].parent_id is None
    calls = queries["outer"].calls
    assert sorted(call.name for call in calls) == ["row"] * 4 + ["wait"] * 3
    parents = [call.parent for call in calls if call.name == "row" and call.parent is not None]
    assert len(parents) == len(set(parents)) == 3
    assert all(calls[parent].name == "wait" for parent in parents)


def test_a_greenlet_started_in_a_tool_is_under_it_where_propagate_carries_it() -> None:
    @track_tool("around")
    def around() -> None:
        gevent.spawn(propagate(row)).join()
        gevent.spawn(row).join()

    with capture() as captured, query_span("x", agent="a"):
        around()
    assert shape(captured.queries[0]) == [("around", None), ("row", "around")]
    assert [call.name for call in captured.calls] == ["row"]  # gevent begins each greenlet in a context of its own


def test_a_killed_greenlet_s_query_is_cancelled() -> None:
    @track_query(agent="a")
    def answer() -> None:
        gevent.sleep(30)

    with capture() as captured:
        running = gevent.spawn(answer)
        gevent.sleep(0)
        running.kill()
    assert [(query.status, query.success) for query in captured.queries] == [("cancelled", False)]


def test_a_greenlet_that_nobody_holds_any_more_is_collected_and_its_query_ends() -> None:
    @track_query(agent="a")
    def answer() -> None:
        greenlet.getcurrent().parent.switch()

    with capture() as captured:
        running: Any = greenlet.greenlet(answer)
        running.switch()
        del running
        assert [query.agent_type for query in captured.queries] == ["a"]


def test_plain_greenlets_have_queries_of_their_own_in_threads_as_well() -> None:
    def several() -> None:
        @track_query(agent="a")
        def answer(name: str) -> None:
            main.switch()
            row()

        main = greenlet.getcurrent()
        runs = [greenlet.greenlet(answer) for _ in range(3)]
        for number, run in enumerate(runs):
            run.switch(str(number))
        for run in reversed(runs):
            run.switch()

    with capture() as captured:
        threads = [threading.Thread(target=several) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [(query.parent_id, shape(query)) for query in captured.queries] == [(None, [("row", None)])] * 12


def test_statements_of_an_async_engine_are_under_the_query(tmp_path: Any) -> None:
    @track_tool("load")
    async def load(engine: Any, number: int) -> int:
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda sync: (row(), sync.execute(text(f"SELECT {number}")).scalar())[1])
            return int(found)

    @track_query(agent="a")
    async def asks() -> list[int]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/x.db")
        try:
            return list(await asyncio.gather(*(load(engine, number) for number in range(5))))
        finally:
            await engine.dispose()

    with capture() as captured:
        assert asyncio.run(asks()) == [0, 1, 2, 3, 4]
    calls = captured.queries[0].calls
    assert sorted(call.parent for call in calls if call.name == "row") == [  # type: ignore[type-var]
        place for place, call in enumerate(calls) if call.name == "load"
    ]


LATE_IMPORT = """
import sys
from instrument import query_span, track_tool
from instrument.testing import capture
assert "greenlet" not in sys.modules

@track_tool("row")
def row(): pass

@track_tool("wait")
def wait():
    main.switch()
    row()

with capture() as captured, query_span("x", agent="a"):
    row()
    import contextvars, greenlet
    main = greenlet.getcurrent()
    runs = [greenlet.greenlet(wait) for _ in range(2)]
    for run in runs:
        run.gr_context = contextvars.copy_context()
    for run in runs * 2:
        run.switch()
    row()
calls = captured.queries[0].calls
print([(call.name, call.parent) for call in calls])
print([type(finder).__module__ for finder in sys.meta_path if type(finder).__module__.startswith("instrument")])
"""


def test_greenlet_imported_in_the_middle_of_a_query_is_noticed() -> None:
    done = subprocess.run([sys.executable, "-c", LATE_IMPORT], capture_output=True, text=True, timeout=60, check=True)
    calls, finders = done.stdout.splitlines()
    assert calls == str([("row", None), ("wait", None), ("wait", None), ("row", 1), ("row", 2), ("row", None)])
    assert finders == "[]"
