"""The six figures and the heat map of a live view, against figures counted by hand and by reports."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_rows import SERIAL, query, random_rows, write

from instrument.analysis.heat_map import Grid
from instrument.reading import open_store

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "monitoring"
    write(directory, random_rows(3, 800, start=NOW - timedelta(hours=6), hours=6))
    return directory


def test_the_figures_are_those_of_reports_over_the_period_and_the_one_before(store: Path) -> None:
    with open_store(store, hours=3) as opened:
        begin = opened.period.since
        assert begin is not None
        with open_store(store, until=begin, hours=3) as before:
            shown = opened.overview(columns=40)
            reports = opened.report(), before.report()
    figures = {each.name: each for each in shown.figures}
    assert list(figures) == ["queries", "succeeded", "median", "p95", "tokens", "cost"]
    for report, value in zip(reports, ("value", "before"), strict=True):
        assert getattr(figures["queries"], value) == report.queries.total > 100
        assert getattr(figures["succeeded"], value) == pytest.approx(report.queries.success_rate)
        assert getattr(figures["median"], value) == pytest.approx(report.response_times.p50_ms)
        assert getattr(figures["p95"], value) == pytest.approx(report.response_times.p95_ms)
        assert getattr(figures["tokens"], value) == sum(agent.tokens for agent in report.agents.values())
    assert sum(each or 0 for each in figures["queries"].values) == reports[0].queries.total
    assert sum(shown.failed) == reports[0].queries.failed
    assert sum(map(sum, shown.heat_map.queries)) == reports[0].queries.total


def test_filters_hold_for_every_figure(store: Path) -> None:
    with open_store(store, hours=3) as opened:
        shown = opened.overview("status=error")
        [queries, succeeded, *_] = shown.figures
        assert queries.value == opened.report("status=error").queries.total
        assert succeeded.value == 0.0
        assert sum(map(sum, shown.heat_map.queries)) == queries.value


def test_each_query_lies_in_the_cell_of_its_start_and_duration(tmp_path: Path) -> None:
    lengths = [0.4, 3, 3, 70, 2500, 90_000]
    begun = time.time() - 1800
    write(
        tmp_path,
        [
            query(datetime.fromtimestamp(begun + 300 * place, UTC), serial=SERIAL + place, duration=int(length * 1e6))
            for place, length in enumerate(lengths)
        ],
    )
    with open_store(tmp_path, hours=1) as opened:
        found = opened.overview(columns=30, rows=12).heat_map
    assert len(found.queries) <= 12
    for place, length in enumerate(lengths):
        column = int((begun + 300 * place - found.grid.start.timestamp()) // found.grid.seconds)
        [row] = [
            row for row, low in enumerate(found.bounds_ms[:-1]) if low <= length * 1.000001 < found.bounds_ms[row + 1]
        ]
        assert found.queries[row][column] == 1


def test_columns_stay_where_they_are_while_the_period_moves_on() -> None:
    begin = datetime(2026, 11, 20, 10, 0, 3, tzinfo=UTC)
    grids = [
        Grid.over(begin + timedelta(seconds=step), begin + timedelta(seconds=step + 3600), 80) for step in range(9)
    ]
    assert {grid.seconds for grid in grids} == {46.0}
    assert {grid.start.timestamp() % 46 for grid in grids} == {0.0}
    assert all(grid.columns <= 80 and grid.end > begin + timedelta(seconds=3600) for grid in grids)


@pytest.mark.parametrize("hours", [1 / 3600, 0.02, 1, 24, 24 * 400])
def test_a_period_of_any_length_is_cut_into_columns(hours: float) -> None:
    for columns in (2, 7, 60, 300):
        grid = Grid.over(NOW - timedelta(hours=hours), NOW, columns)
        assert 1 <= grid.columns <= columns
        assert grid.start <= NOW - timedelta(hours=hours)
        assert grid.end >= NOW


def test_nothing_recorded_has_no_figures_and_no_cells(tmp_path: Path) -> None:
    write(tmp_path, [])
    with open_store(tmp_path, hours=1) as opened:
        shown = opened.overview("tenant=north")
    assert [each.value for each in shown.figures] == [0.0, None, None, None, 0.0, 0.0]
    assert all(each.before is None and each.change is None for each in shown.figures)
    assert (shown.heat_map.queries, shown.heat_map.most) == ([], 0.0)
