from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from brute_force import figures, group, percentile, total
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.analysis import charts
from instrument.analysis.report import report
from instrument.analysis.results import Limits, Period, QueryFigures, Report
from instrument.errors import UsageError
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, QueryRow, Row
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact


@dataclass(frozen=True)
class Asked:
    hours: float = 24.0
    slow_ms: float = 500
    very_slow_ms: float = 5000
    agent: str | None = None
    by: str | None = None


def reported(directory: Path, asked: Asked = Asked()) -> Report:
    start = NOON - timedelta(hours=asked.hours)
    with open_store(directory, since=start, until=NOON) as tables:
        period, limits = Period(asked.hours, start, NOON, NOON), Limits(asked.slow_ms, asked.very_slow_ms)
        return report(tables, period, limits, agent=asked.agent, by=asked.by)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f"{name}/{part}").items()}


def same(found: Report, expected: dict[str, Any]) -> None:
    shown = msgspec.to_builtins(found)
    alike({key: shown[key] for key in expected}, expected)


def alike(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    shown, expected = flat(shown), flat(expected)
    others = {name: shown.pop(name) for name, value in list(shown.items()) if value is None or isinstance(value, str)}
    assert others == {name: expected.pop(name) for name in others}
    assert shown == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [(1.0,), (1.0, 20.0), (1.0, 3.0, 7.5)], ids=["all kept", "sampled", "any weight"])
def test_every_figure_is_what_plain_loops_find(tmp_path: Path, seed: int, weights: tuple[float, ...]) -> None:
    rows = random_rows(seed, 250, weights=weights)
    write(tmp_path, rows)
    same(reported(tmp_path), figures(rows, 500, 5000))


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 7.5)], ids=["all kept", "sampled"])
def test_figures_are_the_same_before_and_after_compaction(tmp_path: Path, weights: tuple[float, ...]) -> None:
    write(tmp_path, random_rows(11, 300, weights=weights, start=NOON - timedelta(hours=20), hours=20))
    before = reported(tmp_path)
    assert compact(tmp_path, now=NOON + timedelta(hours=6), retention_days=30).days == ["2026-03-09"]
    same(reported(tmp_path), msgspec.to_builtins(before))
    assert compact(tmp_path, now=NOON + timedelta(days=6), retention_days=30).days == ["2026-03-10"]
    same(reported(tmp_path), msgspec.to_builtins(before))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 6)), min_size=1, max_size=12),
    st.sampled_from((0.5, 0.95, 0.99)),
)
def test_a_percentile_of_sampled_queries_is_that_of_the_list_written_out(
    tmp_path_factory: pytest.TempPathFactory, durations: list[tuple[int, int]], share: float
) -> None:
    directory = tmp_path_factory.mktemp("store")
    write(
        directory,
        [
            query(NOON - timedelta(minutes=1), serial=SERIAL + place, duration=duration, weight=weight)
            for place, (duration, weight) in enumerate(durations)
        ],
    )
    written_out = [(duration / 1e6, 1.0) for duration, weight in durations for _ in range(weight)]
    found = getattr(reported(directory).response_times, f"p{share * 100:.0f}_ms")
    assert found == pytest.approx(percentile(written_out, share), rel=1e-9)


def test_a_report_over_nothing_has_zero_counts_and_no_times(tmp_path: Path) -> None:
    tmp_path.joinpath("2026-03-10").mkdir()
    shown = msgspec.to_builtins(reported(tmp_path))
    assert shown["queries"] == {"total": 0, "successful": 0, "failed": 0, "cancelled": 0, "success_rate": None}
    assert set(shown["response_times"].values()) == {None, 0.0}
    assert shown["complexity"] == {"average": None, "high": 0, "scored": 0}
    assert not any(shown[key] for key in ("agents", "entities", "tools", "graphql", "models", "errors", "call_errors"))
    assert (shown["metrics"], shown["first_chunk"]["streams"]) == ({}, 0)
    assert shown["histogram"] == {"bounds_ms": [], "queries": []}
    assert sum(shown["activity"]["queries"]) == 0
    assert json.loads(msgspec.json.encode(reported(tmp_path)))["period"]["start"] == "2026-03-09T12:00:00Z"


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 7.5)], ids=["all kept", "sampled"])
@pytest.mark.parametrize("by", ["agent", "model", "host", "process", "tenant", "entity", "status"])
def test_a_breakdown_is_what_plain_loops_find(tmp_path: Path, by: str, weights: tuple[float, ...]) -> None:
    rows = random_rows(17, 200, weights=weights)
    write(tmp_path, rows)
    values: dict[str, Callable[[QueryRow], list[str | None]]] = {
        "agent": lambda row: [row.agent or "unknown"],
        "model": lambda row: [row.model],
        "host": lambda row: ["host"],
        "process": lambda row: ["42 on host"],
        "tenant": lambda row: [(row.attributes or {}).get("tenant")],
        "entity": lambda row: list(row.entities or [None]),
        "status": lambda row: [row.status],
    }
    groups: dict[str, list[QueryRow]] = defaultdict(list)
    roots = [row for row in rows if isinstance(row, QueryRow) and row.parent is None]
    for row in roots:
        for value in values[by](row):
            groups[value or "(none)"].append(row)
    found = reported(tmp_path, Asked(by=by)).breakdown
    assert found is not None
    assert found.by == by
    assert set(found.groups) == set(groups)
    for name, queries in groups.items():
        alike(msgspec.to_builtins(found.groups[name]), group(queries, total(roots)))


def test_a_breakdown_by_what_no_query_has_names_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, [query(attributes={"tenant": "a", "region/zone": "b"})])
    with pytest.raises(UsageError, match=r"no query has an attribute 'nothing'.*agent.*entity.*region/zone, tenant"):
        reported(tmp_path, Asked(by="nothing"))
    odd = reported(tmp_path, Asked(by="region/zone")).breakdown
    assert odd is not None
    assert list(odd.groups) == ["b"]


def test_a_client_that_goes_away_is_neither_a_success_nor_a_failure(tmp_path: Path) -> None:
    calls = [CallRow("stream", 0, duration=5, status="cancelled", error="CancelledError")]
    statuses = ("ok", "closed", "error", "abandoned", "cancelled", "cancelled")
    rows = [query(status=status, serial=SERIAL + place, calls=calls) for place, status in enumerate(statuses)]
    write(tmp_path, rows)
    found = reported(tmp_path)
    assert found.queries == QueryFigures(6, 2, 2, 2, 0.5)
    assert found.agents["simple"].success_rate == 0.5
    assert found.errors == {"abandoned": 1, "unknown": 1}
    assert (found.call_errors, found.tools["stream"].failed, found.tools["stream"].cancelled) == ({}, 0, 6)
    assert (sum(found.activity.failed), sum(found.activity.cancelled)) == (2, 2)


def test_counts_are_whole_numbers_unless_sampling_makes_them_estimates(tmp_path: Path) -> None:
    write(tmp_path, random_rows(5, 50))
    found = reported(tmp_path)
    counts = [found.queries.total, found.queries.cancelled, found.response_times.slow, *found.errors.values()]
    counts += [*found.entities.values(), *found.activity.queries, *found.histogram.queries, found.complexity.high]
    counts += [figure for tool in found.tools.values() for figure in (tool.calls, tool.failed)]
    assert {type(count) for count in counts} == {int}


def test_one_exception_counts_once_among_queries_and_once_among_calls(tmp_path: Path) -> None:
    calls = [
        CallRow("outer", 0, duration=9, status="error", error="TimeoutError", passed_on=True),
        CallRow("inner", 1, 0, duration=7, status="error", error="TimeoutError"),
    ]
    failed = query(NOON - timedelta(hours=1), calls=calls, status="error", error="TimeoutError", passed_on=True)
    write(tmp_path, [failed, query(NOON - timedelta(hours=1), serial=SERIAL + 1, status="abandoned")])
    found = reported(tmp_path)
    assert found.errors == {"TimeoutError": 1, "abandoned": 1}
    assert found.call_errors == {"TimeoutError": 1}
    assert {name: tool.failed for name, tool in found.tools.items()} == {"outer": 1, "inner": 1}
    assert found.queries.failed == 2


def test_an_agent_s_report_holds_its_queries_and_their_calls_alone(tmp_path: Path) -> None:
    moment = NOON - timedelta(hours=1)
    choice = ChoiceRow(micros(moment), "crewai", 0.9, "complex")
    rows: list[Row] = [
        query(moment, "simple", calls=[CallRow("lookup", 0, duration=5)]),
        query(moment, "crewai", serial=SERIAL + 1, calls=[CallRow("search", 0, duration=5)], selection=choice),
        query(moment, None, serial=SERIAL + 2, status="error", error="ValueError"),
    ]
    write(tmp_path, rows)
    crewai, unknown = reported(tmp_path, Asked(agent="crewai")), reported(tmp_path, Asked(agent="unknown"))
    assert (crewai.queries.total, list(crewai.tools), crewai.complexity.scored, crewai.errors) == (1, ["search"], 1, {})
    assert (unknown.queries.total, list(unknown.agents), unknown.errors) == (1, ["unknown"], {"ValueError": 1})
    with pytest.raises(UsageError, match=r"no query of agent 'nobody'.*crewai, simple, unknown"):
        reported(tmp_path, Asked(agent="nobody"))


def test_what_is_missing_stands_in_the_report(tmp_path: Path) -> None:
    segment = write(tmp_path, [query(), HealthRow(micros(NOON), {"full": 3}, {})])
    with open(segment, "ab") as stream:
        stream.write(b"{torn")
    assert msgspec.to_builtins(reported(tmp_path).data) == {
        "dropped": 3,
        "skipped": 1,
        "reasons": {"full": 3},
        "percentiles": "exact",
    }


@pytest.mark.parametrize("hours", [0.01, 0.5, 1, 7, 24, 168, 24 * 400, 24 * 365 * 300])
def test_activity_has_at_most_48_round_buckets_that_cover_the_period(tmp_path: Path, hours: float) -> None:
    moments = [NOON, NOON - timedelta(hours=hours), NOON - timedelta(hours=hours / 2)]
    moments = [moment for moment in moments if moment.year > 1970]
    write(tmp_path, [query(moment, serial=SERIAL + place) for place, moment in enumerate(moments)])
    start = max(NOON - timedelta(hours=hours), NOON.replace(year=1970))
    step = charts.bucket_length(micros(start), micros(NOON))
    found = reported(tmp_path, Asked(hours=min(hours, (NOON - start) / timedelta(hours=1))))
    assert found.activity.bucket_minutes * 60e6 == step
    assert sum(found.activity.queries) == found.queries.total
    assert 1 <= micros(NOON) // step - micros(start) // step + 1 <= charts.MOST_BUCKETS


def test_activity_and_histogram_hold_every_query_in_its_place(tmp_path: Path) -> None:
    rows = random_rows(21, 200)
    write(tmp_path, rows)
    found = reported(tmp_path, Asked(hours=10))
    roots = [row for row in rows if isinstance(row, QueryRow) and row.parent is None]
    step = found.activity.bucket_minutes * 60e6
    first = micros(NOON - timedelta(hours=10)) // step
    expected = [0.0] * len(found.activity.queries)
    for row in roots:
        expected[int(row.started // step - first)] += 1
    assert found.activity.queries == expected
    assert sum(found.activity.failed) == found.queries.failed
    bounds = found.histogram.bounds_ms
    assert found.histogram.queries == [
        sum(low <= max(row.duration, 1) / 1e6 < high for row in roots) for low, high in itertools.pairwise(bounds)
    ]
