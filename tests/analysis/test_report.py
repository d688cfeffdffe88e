from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from brute_force import figures, percentile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.analysis import charts
from instrument.analysis.report import report
from instrument.analysis.results import Report
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


def reported(directory: Path, asked: Asked = Asked()) -> Report:
    start = NOON - timedelta(hours=asked.hours)
    with open_store(directory, since=start, until=NOON) as tables:
        return report(
            tables,
            hours=asked.hours,
            start=start,
            end=NOON,
            generated_at=NOON,
            slow_ms=asked.slow_ms,
            very_slow_ms=asked.very_slow_ms,
            agent=asked.agent,
        )


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f"{name}/{part}").items()}


def same(found: Report, expected: dict[str, Any]) -> None:
    shown = msgspec.to_builtins(found)
    shown, expected = flat({key: shown[key] for key in expected}), flat(expected)
    texts = {name: shown.pop(name) for name, value in list(shown.items()) if isinstance(value, str)}
    assert texts == {name: expected.pop(name) for name in texts}
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
    assert shown["queries"] == {"total": 0, "successful": 0, "failed": 0, "success_rate": None}
    assert set(shown["response_times"].values()) == {None, 0.0}
    assert shown["complexity"] == {"average": None, "high": 0, "scored": 0}
    assert shown["agents"] == shown["entities"] == shown["tools"] == shown["graphql"] == shown["errors"] == {}
    assert shown["histogram"] == {"bounds_ms": [], "queries": []}
    assert sum(shown["activity"]["queries"]) == 0
    assert shown["period"]["start"] == "2026-03-09T12:00:00.000000Z"


def test_one_exception_through_calls_and_queries_counts_once(tmp_path: Path) -> None:
    calls = [
        CallRow("outer", 0, duration=9, status="error", error="TimeoutError", passed_on=True),
        CallRow("inner", 1, 0, duration=7, status="error", error="TimeoutError"),
    ]
    failed = query(NOON - timedelta(hours=1), calls=calls, status="error", error="TimeoutError", passed_on=True)
    write(tmp_path, [failed, query(NOON - timedelta(hours=1), serial=SERIAL + 1, status="abandoned")])
    found = reported(tmp_path)
    assert found.errors == {"TimeoutError": 1, "abandoned": 1}
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
    assert msgspec.to_builtins(reported(tmp_path).data) == {"dropped": 3, "skipped": 1}


@pytest.mark.parametrize("hours", [0.01, 0.5, 1, 7, 24, 168, 24 * 400, 24 * 365 * 300])
def test_activity_has_at_most_48_round_buckets_that_cover_the_period(tmp_path: Path, hours: float) -> None:
    moments = [NOON, NOON - timedelta(hours=hours), NOON - timedelta(hours=hours / 2)]
    moments = [moment for moment in moments if moment.year > 1970]
    write(tmp_path, [query(moment, serial=SERIAL + place) for place, moment in enumerate(moments)])
    start = max(NOON - timedelta(hours=hours), NOON.replace(year=1970))
    step = charts.bucket_length(micros(start), micros(NOON))
    found = charts._activity([(micros(moment) // step, True, 1.0) for moment in moments], 0, step, 48)
    assert found.bucket_minutes * 60e6 == step
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
