"""What an installed integration costs an application: nothing while its framework is not used, and no memory ever.

What it costs in CPU a call stands in `benchmarks/integrations.py`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import instrument
from instrument import install, query_span, tool_span, track_tool
from instrument.integrations import FRAMEWORKS, installed
from instrument.integrations._frameworks import Framework
from instrument.integrations._spans import agent_span
from instrument.rows.live import LiveCall, LiveQuery
from instrument.testing import capture

CALLS = 100_000
QUERIES = 1_000
PER_QUERY = CALLS // QUERIES


class Request:
    """Something of a request's own, which nobody but its application may hold."""

    def __init__(self, number: int) -> None:
        self.number = number


class Watched:
    """The requests that were made, as weak references, and how many are still there."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[Request]] = []

    def new(self) -> Request:
        request = Request(len(self._made))
        self._made.append(weakref.ref(request))
        return request

    def __len__(self) -> int:
        return len(self._made)

    def alive(self) -> int:
        gc.collect()
        return sum(reference() is not None for reference in self._made)


@pytest.fixture
def requests() -> Watched:
    return Watched()


@pytest.fixture
def rows_left() -> Callable[[], int]:
    """How many records this process holds more than before the test, all of them written."""

    def count() -> int:
        assert instrument.flush(60)
        gc.collect()
        # Rows are not tracked by the garbage collector, so what is counted is what their scopes and frames hold.
        return sum(
            type(item) in (LiveQuery, LiveCall) for held in gc.get_objects() if type(held) is list for item in held
        )

    before = count()
    return lambda: count() - before


@track_tool
def look(request: Request) -> int:
    return request.number


# -- nothing that is not used ----------------------------------------------------------------------------------------

APPLICATION = """
import sys
{before}
import json, logging, concurrent.futures, asyncio, urllib.request
from instrument import query_span, track_tool
look = track_tool(str.upper)
def work():
    with query_span("q", agent="a"), concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(lambda name: name.upper(), "abc"))
assert work() == ["A", "B", "C"]
async def later():
    with query_span("q", agent="a"):
        return await asyncio.to_thread(work)
assert asyncio.run(later()) == ["A", "B", "C"]
import instrument
instrument.flush()
print(sorted(name for name in sys.modules if not name.startswith("instrument.integrations")))
"""


def test_an_application_that_uses_no_framework_imports_nothing_more_with_all_installed(
    fresh: Callable[..., str],
) -> None:
    plain = fresh(APPLICATION.format(before="import instrument"))
    assert fresh(APPLICATION.format(before="import instrument; instrument.install()")) == plain


def test_a_framework_s_own_integration_is_imported_with_it_and_no_other(fresh: Callable[..., str]) -> None:
    program = """
import sys
import instrument
instrument.install()
print(sorted(name for name in sys.modules if name.partition("integrations.")[2] in instrument.integrations.FRAMEWORKS))
"""
    assert fresh(program) == "['instrument.integrations.threads']\n"


# -- what is measured --------------------------------------------------------------------------------------------------


def test_the_benchmark_s_calls_are_recorded_alike_by_hand_and_hooked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks.integrations import subjects

    def recorded(call: Callable[[], Any]) -> list[tuple[str, str]]:
        with capture() as captured, query_span("q", agent="a"):
            call()
        return [(call.kind, call.name) for call in captured.queries[0].calls]

    for subject in subjects():
        assert recorded(subject.plain) == []
        by_hand = recorded(subject.by_hand)
        install(subject.integration)
        assert recorded(subject.plain) == by_hand, subject.name
        instrument.uninstall(subject.integration)


def test_the_benchmark_holds_each_call_against_its_budget_and_takes_the_integration_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks import integrations, results

    monkeypatch.setattr(results, "TRIES", (0.1, 0.1))
    monkeypatch.setattr(integrations, "SUBJECTS", {name: integrations.SUBJECTS[name] for name in ("threads",)})
    section = integrations.run(short=True)
    assert [check.name for check in section.checks] == ["threads: submit to a pool, hooked in"]
    assert section.tables[0].rows[0][0] == "threads: submit to a pool"
    assert installed() == []


# -- nothing held ----------------------------------------------------------------------------------------------------


def let_go(pool: ThreadPoolExecutor, workers: int) -> None:
    """Give each worker of a pool something outside any query, so that it has let go of what it did last."""
    together = threading.Barrier(workers)
    for work in [pool.submit(together.wait, 60) for _ in range(workers)]:
        work.result()


def test_pools_hold_nothing_of_100_000_submits_once_their_queries_have_ended(
    requests: Watched, rows_left: Callable[[], int]
) -> None:
    install("threads")
    with ThreadPoolExecutor(4) as pool:
        for _ in range(QUERIES):
            with query_span("q", agent="a"):
                for _ in range(PER_QUERY // 2):
                    pool.submit(look, requests.new())
                for _ in pool.map(look, [requests.new() for _ in range(PER_QUERY // 2)]):
                    pass
        let_go(pool, 4)
        assert len(requests) == CALLS
        assert requests.alive() == 0
        assert rows_left() == 0


def test_threads_hold_nothing_of_their_queries_once_they_have_ended(
    requests: Watched, rows_left: Callable[[], int]
) -> None:
    install("threads")
    finished = []
    for _ in range(50):
        with query_span("q", agent="a"):
            threads = [threading.Thread(target=look, args=(requests.new(),)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finished += threads
    assert requests.alive() == 0
    assert rows_left() == 0
    assert {"run" in vars(thread) for thread in finished} == {False}


def test_an_event_loop_s_pool_holds_nothing_of_its_queries(requests: Watched, rows_left: Callable[[], int]) -> None:
    install("threads")

    async def ask() -> None:
        with query_span("q", agent="a"):
            await asyncio.gather(*(asyncio.to_thread(look, requests.new()) for _ in range(20)))

    async def serve() -> None:
        asyncio.get_running_loop().set_default_executor(pool := ThreadPoolExecutor(4))
        for _ in range(50):
            await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(5)))
        let_go(pool, 4)
        assert requests.alive() == 0

    asyncio.run(serve())
    assert len(requests) == 5_000
    assert rows_left() == 0


FAKE = """
from instrument.integrations._spans import agent_span
from instrument.spans import tool_span
def hook_in(patches, module):
    def ask(wrapped, instance, args, kwargs):
        with agent_span("fake", args[0].number):
            return wrapped(*args, **kwargs)
    def use(wrapped, instance, args, kwargs):
        with tool_span("use"):
            return wrapped(*args, **kwargs)
    patches.wrap(module.Agent, "ask", ask)
    patches.wrap(module.Agent, "use", use)
"""


def test_wrappers_and_spans_hold_nothing_of_100_000_calls(
    requests: Watched, rows_left: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Agent:
        def ask(self, request: Request, times: int) -> None:
            for _ in range(times):
                self.use(requests.new())

        def use(self, request: Request) -> None:
            if request.number % 1000 == 0:
                with pytest.raises(KeyError), tool_span("fails"):
                    raise KeyError(request)

    framework, integration = types.ModuleType("fake"), types.ModuleType("instrument.integrations.fake")
    framework.Agent = Agent  # type: ignore[attr-defined]
    exec(FAKE, vars(integration))
    monkeypatch.setitem(sys.modules, "fake", framework)
    monkeypatch.setitem(sys.modules, "instrument.integrations.fake", integration)
    monkeypatch.setitem(FRAMEWORKS, "fake", Framework("fake"))
    install("fake")
    agent: Any = Agent()
    try:
        for _ in range(QUERIES):
            agent.ask(requests.new(), PER_QUERY - 1)
    finally:
        instrument.uninstall("fake")
    assert len(requests) == CALLS
    assert requests.alive() == 0
    assert rows_left() == 0


def test_an_agent_s_span_that_joins_holds_neither_its_input_nor_its_query(requests: Watched) -> None:
    with query_span("outer", agent="a"):
        for _ in range(10):
            with agent_span("inner", requests.new()):
                pass
        assert requests.alive() == 0
