"""What the benchmarks record is what the store holds, and the three kinds of functions do the same work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import instrument
from benchmarks import instructions, once
from benchmarks.ours import own_store, recorded, switched_off
from benchmarks.overhead.cases import Case
from benchmarks.overhead.measuring import measure
from benchmarks.peers.comparison import KINDS, OURS, _round, costs
from benchmarks.peers.environments import ENVIRONMENTS, Environment, interpreter
from benchmarks.subject import fresh, fresh_call, undecorated
from instrument.store.tables import open_store
from instrument.testing import capture

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_query_of_the_benchmark_is_one_record_with_three_tools_and_two_operations(asynchronous: bool) -> None:
    call = fresh_call(recorded(), asynchronous=asynchronous)
    plain = fresh_call(undecorated(), asynchronous=asynchronous)
    with own_store() as store:
        answer = asyncio.run(call()) if asynchronous else call()
        instrument.flush()
        with open_store(store) as tables:
            (query,) = tables.records()
    assert answer == (asyncio.run(plain()) if asynchronous else plain()) == "2 unpaid bills in India"
    assert (query.agent_type, query.user_input) == ("billing", "unpaid bills in India")
    assert (query.tool_calls, query.graphql_queries, query.success) == (3, 2, True)
    assert query.result_size_bytes == len(answer)
    assert [call.name.rpartition(".")[2] for call in query.calls if call.kind == "tool"] == [
        "find_country",
        "rank_customers",
        "write_answer",
    ]
    assert [call.name for call in query.calls if call.kind == "graphql"] == ["query Customers", "query UnpaidBills"]


def test_what_is_switched_off_is_the_function_itself() -> None:
    def answer(text: str) -> str:
        return text

    with switched_off() as kit:
        assert all(decorate(answer) is answer for decorate in kit)
    assert recorded().query(answer) is not answer


def test_everybody_measured_has_code_of_his_own() -> None:
    one, other = fresh(), fresh()
    assert one.busy.__code__ is not other.busy.__code__


CASES = [(0, False, False), (0, True, True), (1, False, False), (1, True, True), (10, False, True), (10, True, False)]


@pytest.mark.parametrize("case", [Case(*each) for each in CASES], ids=lambda case: case.name)
def test_a_short_run_stores_every_query_it_measured(case: Case) -> None:
    measured = measure(case, 0.05, 0.1)
    assert measured.stored == measured.queries > 10
    assert (measured.loop is None) is bool(case.milliseconds)
    if measured.shares is not None:
        assert measured.shares.parts.rounds == measured.shares.control.rounds >= 12
        assert measured.shares.parts.plain_ns > 1e5 * case.milliseconds


def test_what_happens_once_is_dearer_than_what_follows() -> None:
    found = {name: one["median"] for name, one in once.measured(1).items()}
    assert found["the first query"] > found["the second query"] > 0
    start = found["the writer's thread: start, store and first flush"]
    assert start > found["the writer's thread: the second flush"] > 0
    assert len(once.table(once.measured(1)).rows) == len(found)


def test_where_nothing_counts_instructions_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (table,) = instructions.run().tables
    assert table.rows == [("not counted", "–")]
    assert "valgrind" in table.notes[0]


def test_instructions_of_a_query_are_those_beyond_the_start_of_the_process() -> None:
    def count(command: list[str]) -> int:
        *_, kit, _, queries = command
        return 10**9 + int(queries) * (300 if kit == "recorded" else 100)

    assert instructions.a_query("sync", count) == (100, 300, 200)


def test_waiting_records_are_counted_as_they_are() -> None:
    call = fresh_call(recorded())
    with capture() as captured:
        for _ in range(10):
            call()
    assert len(captured.queries) == 10


def test_contenders_keep_what_they_are_given() -> None:
    asked = {"contenders": [OURS], "kinds": KINDS, "queries": 20, "seconds": 0.01, "fewest": 3, "seed": 1}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.worker"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    arrived, given = told["kept"][OURS]
    assert arrived == given > 4 * 3 * 20
    assert set(told["slices"]) == set(KINDS)
    assert all(costs(slices, OURS)[1] > 0 for slices in told["slices"].values())


def test_a_peer_that_is_not_installed_is_named_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from benchmarks.peers import comparison

    monkeypatch.setenv("AGENT_INSTRUMENT_BENCHMARKS", str(tmp_path))
    assert interpreter("ddtrace") is None
    assert _round("ddtrace", ENVIRONMENTS["ddtrace"], short=True) is None
    told = "\n".join(" ".join(row) for table in comparison._tables({"ddtrace": None}) for row in table.rows)
    assert "ddtrace not installed" in told


def test_a_peer_that_does_not_end_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.peers import comparison

    monkeypatch.setattr(comparison, "interpreter", lambda name: sys.executable)
    monkeypatch.setattr(comparison, "TIMEOUT_SECONDS", 0.01)
    told = _round("shared", ENVIRONMENTS["shared"], short=True)
    assert told == {"failed": ["not done after 0.01 s"]}


def test_a_peer_that_fails_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.peers import comparison

    monkeypatch.setattr(comparison, "interpreter", lambda name: sys.executable)
    monkeypatch.setattr(comparison, "BASELINE", comparison.OURS)
    told = _round("shared", Environment((), ("no_such_contender",), ""), short=True)
    assert told is not None
    assert "no_such_contender" in " ".join(told["failed"])
