"""The next days of a store's figures: their means and intervals, and what is said where history is short."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import weeks
from store_rows import query

from instrument.errors import NotEnoughDataError, UsageError
from instrument.reading import Store, open_store
from instrument.rows.stored import Row
from instrument.sinks.segments import SegmentSink


def opened(folder: Path, plan: weeks.Plan, hours: float = 0, zone: str = "UTC") -> Store:
    weeks.store(folder / "store", plan)
    until = weeks.START + timedelta(days=plan.days) - timedelta(hours=hours)
    return open_store(folder / "store", since=weeks.START, until=until, time_zone=zone)


def test_weekdays_and_weekends_are_expected_as_they_were(tmp_path: Path) -> None:
    with opened(tmp_path, weeks.Plan()) as store:
        [found] = store.forecast("queries")
    assert [one.day for one in found.days] == [date(2026, 3, 30) + timedelta(days=step) for step in range(7)]
    truth = [480.0] * 5 + [192.0] * 2
    assert [one.mean for one in found.days] == pytest.approx(truth, rel=0.25)
    assert all(one.low <= expected <= one.high for one, expected in zip(found.days, truth, strict=True))
    assert found.history[date(2026, 3, 4)] > 300


def test_days_of_a_total_are_added_up_with_an_interval_between_that_of_equal_and_of_independent_misses(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, weeks.Plan(days=21)) as store:
        [found] = store.forecast("queries")
        [rate] = store.forecast("failure_rate")
        [one] = store.forecast("queries", days=1)
    assert (rate.total, one.total) == (None, None)
    assert found.total is not None
    assert found.total.mean == pytest.approx(sum(day.mean for day in found.days))
    above = [day.high - day.mean for day in found.days]
    assert sum(each**2 for each in above) ** 0.5 < found.total.high - found.total.mean < sum(above)
    assert found.total.low < found.total.mean


def test_a_day_that_has_begun_is_not_forecast(tmp_path: Path) -> None:
    with opened(tmp_path, weeks.Plan(days=10), hours=10.5) as store:
        [found] = store.forecast("queries", days=2)
    assert [one.day for one in found.days] == [date(2026, 3, 12), date(2026, 3, 13)]


def test_days_are_those_of_the_zone_also_when_its_clock_changes(tmp_path: Path) -> None:
    zone = ZoneInfo("Europe/Berlin")
    plan = weeks.Plan(days=26)  # the clock is put forward on 29 March
    weeks.store(tmp_path / "store", plan)
    until = datetime(2026, 3, 28, tzinfo=zone)
    with open_store(tmp_path / "store", since=weeks.START, until=until, time_zone="Europe/Berlin") as store:
        [found] = store.forecast("queries", days=3)
    assert [one.day for one in found.days] == [date(2026, 3, day) for day in (28, 29, 30)]


@pytest.mark.parametrize("figure", ["p95", "failure_rate", "cost"])
def test_other_figures_are_forecast_in_their_unit(tmp_path: Path, figure: str) -> None:
    with opened(tmp_path, weeks.Plan(days=14)) as store:
        [found] = store.forecast(figure, days=3)
    mean = sum(found.history.values()) / len(found.history)
    assert all(one.low <= one.mean <= one.high for one in found.days)
    assert all(0.3 * mean <= one.mean <= 2 * mean for one in found.days)


@pytest.mark.parametrize("days", [2, 3, 4])
def test_short_history_is_forecast_by_the_hours_own_intervals_and_says_so(tmp_path: Path, days: int) -> None:
    with opened(tmp_path, weeks.Plan(days=days + 1)) as store:
        [found] = store.forecast("queries", days=1)
    assert "too few earlier days" in found.basis


def test_too_little_history_says_what_is_needed(tmp_path: Path) -> None:
    with opened(tmp_path, weeks.Plan(days=1)) as store:
        with pytest.raises(NotEnoughDataError, match="needs 2 days of history, 48 hours with values; there are 23"):
            store.forecast()
        with pytest.raises(UsageError, match="give 1 to 60"):
            store.forecast(days=61)
        assert all("needs 2 days" in one.note for one in store.forecast(by="agent"))


def test_capacity_replays_the_last_week_and_needs_every_query(tmp_path: Path) -> None:
    with opened(tmp_path, weeks.Plan(growth=0.1)) as store:
        found = store.capacity(1, target_p95=20)
        assert found.growth is not None
        assert found.growth.is_certain
        assert found.limit is not None
        assert found.limit.earliest <= found.limit.day
        assert found.limit.day > date(2026, 3, 30)
        assert found.needed_now == 1
        with pytest.raises(UsageError, match="at least one worker"):
            store.capacity(0)
    rows: list[Row] = [query(weeks.START, serial=1, weight=10.0)]
    sink = SegmentSink(tmp_path / "sampled")
    sink.write(rows)
    sink.close()
    until = weeks.START + timedelta(days=1)
    with open_store(tmp_path / "sampled", until=until) as store, pytest.raises(NotEnoughDataError, match="a sample"):
        store.capacity(1)
