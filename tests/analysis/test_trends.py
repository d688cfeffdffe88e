"""What changed in a store is found with its date, size and cause; where nothing did, nothing is found."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import weeks
from store_rows import micros, query

from instrument.analysis import stretches
from instrument.analysis.slopes import theil_sen
from instrument.analysis.trends import Finding, Trends
from instrument.errors import UsageError
from instrument.reading import open_store
from instrument.rows.stored import QueryRow
from instrument.sinks.segments import SegmentSink


def trends(folder: Path, plan: weeks.Plan, **asked: object) -> Trends:
    weeks.store(folder / "store", plan)
    until = plan.start + timedelta(days=plan.days)
    with open_store(folder / "store", since=plan.start, until=until, time_zone="UTC") as store:
        return store.trends(**asked)  # type: ignore[arg-type]


def of_kind(found: Trends, kind: str, figure: str) -> list[Finding]:
    return [one for one in found.findings if (one.kind, one.figure) == (kind, figure)]


def test_a_slower_agent_is_found_at_its_hour_with_its_factor_and_its_source(tmp_path: Path) -> None:
    found = trends(tmp_path, weeks.Plan(slower_day=18.5))
    [change] = of_kind(found, "change", "p95")
    assert abs(change.start - (weeks.START + timedelta(days=18.5))) <= timedelta(hours=3)
    assert change.probability is not None
    assert change.probability >= 0.9
    assert 1.6 <= change.ratio <= 2.6
    assert change.source is not None
    assert (change.source.by, change.source.value) in (("agent", "crewai"), ("tenant", "north"))
    assert change.source.how == "rate"
    assert change.size.more_seconds is not None
    assert change.size.more_seconds > 600
    assert found.findings[0] == change
    assert not of_kind(found, "slope", "p95")


def test_the_command_of_a_finding_lists_its_queries(tmp_path: Path) -> None:
    change = trends(tmp_path, weeks.Plan(slower_day=18.5)).findings[0]
    words = shlex.split(change.command)
    assert words[:2] == ["metrics", "queries"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    with open_store(tmp_path / "store", since=given["--since"], until=given["--until"]) as store:
        assert store.queries(where=given["--where"], sort=given["--sort"])


def test_a_burst_of_failures_is_an_unusual_stretch_and_no_change(tmp_path: Path) -> None:
    found = trends(tmp_path, weeks.Plan(failing_day=24))
    [stretch] = of_kind(found, "unusual", "failure_rate")
    assert stretch.start == weeks.START + timedelta(days=24, hours=10)
    assert timedelta(hours=3) <= stretch.end - stretch.start <= timedelta(hours=5)
    assert stretch.size.more_failures is not None
    assert stretch.size.more_failures > 30
    assert not of_kind(found, "change", "failure_rate")


def test_an_unusual_stretch_is_as_long_as_what_was_unusual(tmp_path: Path) -> None:
    plan = weeks.Plan(failing_day=24, rate=120, days=25)  # looked for in windows of 15 minutes, 1 and 4 hours
    rows = [row for row in weeks.rows_of(plan) if isinstance(row, QueryRow)]
    begin, end = (weeks.START + timedelta(days=24, hours=hour, minutes=30) for hour in (11, 12))
    for row in rows:
        if not micros(begin) <= row.started < micros(end) and row.started > micros(weeks.START + timedelta(days=24)):
            row.status, row.error = "ok", None
    sink = SegmentSink(tmp_path)
    sink.write(rows)
    sink.close()
    with open_store(tmp_path, since=weeks.START, until=weeks.START + timedelta(days=25), time_zone="UTC") as store:
        [stretch] = of_kind(store.trends(["failure_rate"]), "unusual", "failure_rate")
    assert (stretch.start, stretch.end) == (begin, end)
    assert stretch.after == sum(row.status == "error" and micros(begin) <= row.started < micros(end) for row in rows)


def test_growth_is_a_slope_and_no_step(tmp_path: Path) -> None:
    found = trends(tmp_path, weeks.Plan(growth=0.1))
    queries = next(one for one in found.figures if one.figure == "queries")
    assert queries.slope_low is not None
    assert queries.slope_high is not None
    assert queries.slope_low <= 0.105 <= queries.slope_high
    assert of_kind(found, "slope", "queries")
    assert not of_kind(found, "change", "queries")


def test_a_long_stretch_is_shown_whole_and_counts_every_query_of_thinned_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for row in weeks.rows_of(weeks.Plan(rate=60, days=25)) if isinstance(row, QueryRow)]
    begin, end = (weeks.START + timedelta(days=24, hours=hour) for hour in (4, 16))
    for row in rows:
        if micros(begin) <= row.started < micros(end):
            row.duration *= 4
    sink = SegmentSink(tmp_path)
    sink.write(rows)
    sink.close()
    monkeypatch.setattr(stretches, "MOST_DURATIONS", len(rows) // 2 + 1)
    with open_store(tmp_path, since=weeks.START, until=weeks.START + timedelta(days=25), time_zone="UTC") as store:
        [stretch] = of_kind(store.trends(["average"]), "unusual", "average")
    hour = timedelta(hours=1)
    assert abs(stretch.start - begin) <= hour
    assert abs(stretch.end - end) <= hour
    during = sum(micros(stretch.start) <= row.started < micros(stretch.end) for row in rows)
    assert 0.4 * during < stretch.after < during  # half are of the slower agent, and one in two was looked at


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_four_steady_weeks_have_no_finding(tmp_path: Path, seed: int) -> None:
    found = trends(tmp_path, weeks.Plan(seed=seed))
    assert found.findings == []
    assert "Nothing changed" in found.note


@pytest.mark.parametrize("hours", [40, 88, 112, 160])
def test_recording_may_begin_on_any_day_and_no_weekend_is_a_finding(tmp_path: Path, hours: int) -> None:
    found = trends(tmp_path, weeks.Plan(seed=2, start=weeks.START + timedelta(hours=hours)))
    assert [one.headline for one in found.findings if one.figure in ("queries", "tokens", "cost")] == []


def test_failures_come_with_the_error_of_most_of_them(tmp_path: Path) -> None:
    [stretch] = of_kind(trends(tmp_path, weeks.Plan(failing_day=24)), "unusual", "failure_rate")
    assert "failed with TimeoutError" in stretch.sentence


def test_two_days_give_levels_and_say_what_is_missing(tmp_path: Path) -> None:
    found = trends(tmp_path, weeks.Plan(days=2))
    assert found.findings == []
    assert "changes need 3 days" in found.note
    assert all(one.level is not None and one.note for one in found.figures)


def test_groups_have_trends_of_their_own(tmp_path: Path) -> None:
    found = trends(tmp_path, weeks.Plan(slower_day=18.5), figures=["p95"], by="agent")
    assert {one.group for one in found.figures} == {"crewai", "simple"}
    assert {one.group for one in found.findings} == {"crewai"}
    assert "--where agent=crewai" in found.findings[0].command


def test_nothing_one_query_and_a_long_gap_are_answered_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with open_store(tmp_path / "empty", hours=672) as store:
        assert store.trends().note == "No queries in this period: nothing can be said."
    until = datetime(2026, 4, 1, tzinfo=UTC)
    sink = SegmentSink(tmp_path / "gap")
    sink.write([query(until - timedelta(days=days), serial=days) for days in (27, 26, 2)])
    sink.close()
    for hours in (672, 60, 24):
        with open_store(tmp_path / "gap", until=until, hours=hours) as store:
            assert store.trends().findings == []


def test_an_unknown_figure_or_group_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean p95"):
        trends(tmp_path, weeks.Plan(days=1), figures=["p95s"])


def test_the_slope_of_theil_and_sen_is_not_turned_by_outliers() -> None:
    points = [(step, 2.0 * step + (1000 if step % 9 == 0 else 0)) for step in range(50)]
    found = theil_sen(points)
    assert found is not None
    assert found.slope == pytest.approx(2, abs=0.05)
    assert theil_sen([(0, 1.0)]) is None


def test_steady_stores_hardly_ever_show_a_slope(tmp_path: Path) -> None:
    slopes = [
        one
        for seed in range(8)
        for one in trends(tmp_path / str(seed), weeks.Plan(seed=seed, rate=8)).findings
        if one.kind == "slope"
    ]
    assert len(slopes) <= 1  # of 48 figures
