"""`Store.anomalies`: unusual stretches and queries together, within the budget that the user gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import weeks

from instrument.analysis.unusual import Anomalies
from instrument.errors import UsageError
from instrument.reading import open_store


def anomalies(folder: Path, plan: weeks.Plan, **asked: Any) -> Anomalies:
    weeks.store(folder / "store", plan)
    until = weeks.START + timedelta(days=plan.days)
    with open_store(folder / "store", since=weeks.START, until=until, time_zone="UTC") as store:
        return store.anomalies(**asked)


def test_a_burst_of_failures_is_found_with_its_command(tmp_path: Path) -> None:
    found = anomalies(tmp_path, weeks.Plan(failing_day=24))
    burst = next(one for one in found.stretches if one.figure == "failure_rate")
    assert burst.start == weeks.START + timedelta(days=24, hours=10)
    assert burst.command.startswith("metrics queries --since 2026-03-26")
    assert "one a week" in burst.basis or "1 a week" in burst.basis


@pytest.mark.parametrize("by", [None, "tenant"])
def test_a_day_is_compared_with_the_weeks_before_it_and_shows_its_own_stretches_alone(
    tmp_path: Path, by: str | None
) -> None:
    weeks.store(tmp_path, weeks.Plan(failing_day=24))
    bad, good = (weeks.START + timedelta(days=day) for day in (24, 26))
    with open_store(tmp_path, since=bad, until=bad + timedelta(days=1), time_zone="UTC") as store:
        of_bad_day, trends = store.anomalies(by=by), store.trends()
    with open_store(tmp_path, since=good, until=good + timedelta(days=1), time_zone="UTC") as store:
        of_good_day = store.anomalies(by=by)
    assert "failure_rate" in {one.figure for one in of_bad_day.stretches}
    assert "failure_rate" in {one.figure for one in trends.findings if one.kind == "unusual"}
    assert "failure_rate" not in {one.figure for one in of_good_day.stretches}
    assert "history" not in of_good_day.note


def test_a_group_s_stretch_names_it_and_its_queries(tmp_path: Path) -> None:
    found = anomalies(tmp_path, weeks.Plan(failing_day=24), by="tenant")
    bursts = [one for one in found.stretches if one.figure == "failure_rate"]
    assert {one.group for one in bursts} <= {"north", "south"}
    assert bursts
    assert all(f"tenant={one.group}" in one.command and one.sentence.startswith(f"{one.group}: ") for one in bursts)


def test_steady_weeks_stay_within_the_budget(tmp_path: Path) -> None:
    count = 0
    for seed in range(3):
        found = anomalies(tmp_path / str(seed), weeks.Plan(seed=seed, days=21))
        count += len(found.stretches) + len(found.queries)
    assert count <= 6  # the budget lets chance raise 3 stretches and 9 queries


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_budget_that_cannot_be_kept_is_refused(tmp_path: Path, budget: float) -> None:
    with pytest.raises(UsageError, match="false alarms"):
        anomalies(tmp_path, weeks.Plan(days=1), budget=budget)


def test_no_data_and_a_day_are_answered_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with open_store(tmp_path / "empty", until=datetime(2026, 4, 1, tzinfo=UTC), hours=672) as store:
        found = store.anomalies()
    assert (found.stretches, found.queries) == ([], [])
    assert found.note == "No queries in this period: nothing can be said."
    assert "need 7 days" in anomalies(tmp_path, weeks.Plan(days=1)).note


def test_of_a_long_period_the_last_125_days_are_looked_at(tmp_path: Path) -> None:
    weeks.store(tmp_path / "store", weeks.Plan(days=16, failing_day=12))
    until = weeks.START + timedelta(days=16)
    with open_store(tmp_path / "store", since=until - timedelta(days=400), until=until, time_zone="UTC") as store:
        found = store.anomalies()
    assert "failure_rate" in {one.figure for one in found.stretches}
