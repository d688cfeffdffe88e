"""The figures that pages show beside those of reports."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from math import comb
from pathlib import Path

import pytest

from benchmarks.dashboard.filling import fill
from instrument.analysis import facets, listing
from instrument.analysis.differences import Region, differences, log10_tail
from instrument.analysis.filters import parsed, picked
from instrument.analysis.listing import Key
from instrument.analysis.time_spent import spent_together, time_spent
from instrument.analysis.timeline import ended
from instrument.errors import UsageError
from instrument.reading import Store, open_store
from instrument.records import CallRecord, QueryRecord
from instrument.rows.stored import QueryRow
from instrument.sinks.segments import SegmentSink

NEWEST = datetime(2026, 11, 20, 2, tzinfo=UTC)
"""At which the incident lies in a busy hour."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("filled") / "monitoring"
    fill(store, 6000, 2, NEWEST.timestamp())
    return store


@pytest.fixture
def store(filled: Path) -> Store:
    return open_store(filled, hours=48, until=NEWEST)


@pytest.mark.parametrize("sort", ["time", "duration", "tokens", "calls"])
def test_pages_of_a_list_give_every_query_once_in_order(store: Store, sort: str) -> None:
    seen, key = [], None
    while True:
        page = listing.page(store.tables, sort, 1500, after=key)
        seen += [line.query_id for line in page.lines]
        if not page.is_more:
            break
        key = Key.parsed(page.last.text) if page.last else None
    assert len(seen) == len(set(seen)) == store.report().queries.total
    assert seen == [line.query_id for line in store.queries(sort=sort)]


def test_the_page_before_a_key_is_the_one_that_was_left(store: Store) -> None:
    first = listing.page(store.tables, "duration", 50)
    second = listing.page(store.tables, "duration", 50, after=first.last)
    assert second.first is not None
    back = listing.page(store.tables, "duration", 50, before=second.first)
    assert [line.query_id for line in back.lines] == [line.query_id for line in first.lines]


def test_neighbours_stay_within_the_filter(store: Store) -> None:
    tables = store.picked("agent=billing")
    lines = listing.page(tables, "time", 3).lines
    keys = listing.page(tables, "time", 1, after=listing.page(tables, "time", 1).last)
    assert keys.last is not None
    assert listing.neighbours(tables, "time", keys.last) == (lines[0].query_id, lines[2].query_id)


def test_a_key_that_is_none_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        Key.parsed("nonsense")


def test_facets_count_what_filters_pick_and_leave_their_own_name_open(store: Store) -> None:
    found = {one.name: dict(one.values or []) for one in facets.facets(store.tables, parsed("agent=billing"))}
    assert len(found["agent"]) > 5, "the other agents can still be chosen"
    billing = store.report("agent=billing").queries
    assert found["outcome"]["failed"] == billing.failed
    assert sum(found["outcome"].values()) == billing.total
    for tenant, number in found["attribute:tenant"].items():
        assert number == store.report(["agent=billing", f"tenant={tenant}"]).queries.total


def test_queries_over_time_add_up(store: Store) -> None:
    assert store.period.since is not None
    shape = ended(store.tables, store.period.since, store.period.until)
    report = store.report().queries
    assert (sum(shape.queries), sum(shape.failed)) == (report.total, report.failed)


def test_rows_side_by_side_are_those_of_the_report(store: Store) -> None:
    report = store.report()
    for kind, figures in (("tool", report.tools), ("operation", report.graphql)):
        found, _ = store.side_by_side(kind)
        assert {row.name: row.count for row in found.rows} == {name: one.calls for name, one in figures.items()}
        assert all(a.busy_ms >= b.busy_ms for a, b in pairwise(found.rows))
        assert all(sum(row.spread) == row.count for row in found.rows)
        assert math.isclose(sum(row.share for row in found.rows), 1)


def test_the_exact_test_is_the_sum_of_the_hypergeometric_tail() -> None:
    for hits, population, successes, draws in ((3, 20, 5, 6), (1, 50, 10, 4), (5, 12, 6, 7)):
        tail = sum(
            comb(successes, n) * comb(population - successes, draws - n) for n in range(hits, min(successes, draws) + 1)
        )
        assert log10_tail(hits, population, successes, draws) == pytest.approx(
            math.log10(tail / comb(population, draws)), abs=1e-9
        )


def test_what_differs_in_the_incident_is_the_tenant_it_hit(store: Store) -> None:
    assert store.period.since is not None
    first = store.period.since.timestamp()
    length = 2 * 86_400
    region = Region(round((first + 0.72 * length) * 1e6), round((first + 0.74 * length) * 1e6))
    found = differences(store.tables, region)
    names = {(one.name, one.value) for one in found.found}
    assert ("attribute:tenant", "north") not in names, "the tenant asks no more than else"
    failed = differences(picked(store.tables, "outcome=failed"), region)
    assert ("attribute:tenant", "north") in {(one.name, one.value) for one in failed.found}
    assert ("error", "GraphQLError") in names


def _call(start: float, duration: float | None, parent: int | None = None, name: str = "a") -> CallRecord:
    return CallRecord(kind="tool", name=name, start_ms=start, duration_ms=duration, success=True, parent=parent)


def _query(duration: float, *calls: CallRecord) -> QueryRecord:
    return QueryRecord(
        query_id="1",
        user_input="",
        agent_type="a",
        start_time="2026-01-01T00:00:00.000000Z",
        end_time="2026-01-01T00:00:01.000000Z",
        duration_ms=duration,
        success=True,
        result_size_bytes=None,
        tool_calls=len(calls),
        graphql_queries=0,
        entities_detected=[],
        calls=list(calls),
    )


def test_own_time_leaves_out_what_calls_inside_took_even_side_by_side() -> None:
    query = _query(100, _call(10, 60), _call(20, 20, 0, "b"), _call(30, 20, 0, "b"), _call(80, 10))
    spent = time_spent(query)
    assert spent.own_ms == [30, 20, 20, 10]
    assert spent.outside == [(0, 10), (70, 80), (90, 100)]
    assert spent.outside_ms == 30
    assert spent.by_name[0] == ("tool", "a", 40)


def test_the_critical_path_leaves_out_what_others_waited_for_anyway() -> None:
    query = _query(100, _call(0, 30), _call(0, 50), _call(50, 50), _call(60, 10, 2), _call(60, 35, 2))
    assert time_spent(query).critical == {1, 2, 4}


def test_a_call_that_never_ended_lasts_as_long_as_its_query() -> None:
    assert time_spent(_query(100, _call(40, None))).outside == [(0, 40)]


def test_the_time_of_several_queries_adds_up_by_name_with_what_lies_outside_any_call() -> None:
    first = _query(100, _call(10, 60), _call(20, 20, 0, "b"))
    found = spent_together([first, _query(50, _call(0, 50)), _query(0)])
    assert [(one.kind, one.name, one.milliseconds, one.queries) for one in found] == [
        ("tool", "a", 90, 2),
        ("", "", 40, 1),
        ("tool", "b", 20, 1),
    ]
    assert sum(one.share for one in found) == pytest.approx(1)
    assert spent_together([]) == []


def test_a_few_durations_far_from_all_others_do_not_stretch_the_axis_and_are_counted_at_its_end(tmp_path: Path) -> None:
    sink = SegmentSink(tmp_path, now=NEWEST.timestamp)
    began = round(NEWEST.timestamp() * 1e6) - 10_000_000
    lengths = [1_000, *range(900_000_000, 2_900_000_000, 500_000)]
    sink.write([_row(began + place, place, length) for place, length in enumerate(lengths)])
    sink.close()
    with open_store(tmp_path, until=NEWEST) as store:
        [row], bounds = store.side_by_side("agent")[0].rows, store.side_by_side("agent")[0].bounds_ms
    assert 100 <= bounds[0] < 1000
    assert bounds[-1] > 2_900
    assert sum(row.spread) == len(lengths)
    assert row.spread[0] >= 1


def _row(started: int, serial: int, length: int) -> QueryRow:
    row = QueryRow(started, serial, "billing", "a question", "answer", [])
    row.duration = length
    return row
