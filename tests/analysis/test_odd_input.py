"""Whatever a store holds, the insight answers in figures with a basis or in a sentence, and never with a traceback."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import weeks
from store_rows import SERIAL, query

from instrument.errors import NotEnoughDataError, UsageError
from instrument.reading import Store, open_store
from instrument.rows.stored import Row
from instrument.sinks.segments import SegmentSink

START = weeks.START
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

ASKED: dict[str, Callable[[Store], Any]] = {
    "series": lambda store: store.series("p95", every="1h"),
    "trends": lambda store: store.trends(),
    "anomalies": lambda store: store.anomalies(),
    "outliers": lambda store: store.outliers(),
    "forecast": lambda store: store.forecast("queries"),
    "forecast of p95": lambda store: store.forecast("p95"),
    "capacity": lambda store: store.capacity(2),
}


def opened(folder: Path, rows: Iterable[Row], days: float, zone: str = "UTC", begin: datetime = START) -> Store:
    sink = SegmentSink(folder / "store")
    sink.write(list(rows))
    sink.close()
    return open_store(folder / "store", since=begin, until=begin + timedelta(days=days), time_zone=zone)


def each_hour(days: float, count: int = 3, begin: datetime = START, **given: Any) -> list[Row]:
    """So many queries an hour, all alike."""
    return [
        query(begin + hour * HOUR + part * timedelta(minutes=7), serial=SERIAL + hour * count + part, **given)
        for hour in range(round(days * 24))
        for part in range(count)
    ]


def answers(store: Store) -> dict[str, Any]:
    """What each question gets: its figures, or the sentence that says what is missing."""
    found = {}
    for name, ask in ASKED.items():
        try:
            found[name] = ask(store)
        except NotEnoughDataError as error:
            found[name] = str(error)
        else:
            assert_finite(msgspec.to_builtins(found[name]), name)
    return found


def assert_finite(found: Any, name: str) -> None:
    """JSON has no NaN and no infinity: a figure that cannot be known is None."""
    if isinstance(found, dict):
        for key, value in found.items():
            if name != "capacity" or key not in ("growth", "limit"):
                assert_finite(value, f"{name}.{key}")
    elif isinstance(found, list):
        for value in found:
            assert_finite(value, name)
    elif isinstance(found, float):
        assert math.isfinite(found), name


def assert_quiet(found: dict[str, Any]) -> None:
    assert found["trends"].findings == []
    assert found["anomalies"].stretches == []
    assert found["outliers"] == found["anomalies"].queries == []


def test_no_data(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with open_store(tmp_path / "store", since=START, until=START + 28 * DAY) as store:
        found = answers(store)
    assert_quiet(found)
    assert isinstance(found["forecast"], str)
    assert isinstance(found["capacity"], str)
    assert "nothing can be said" in found["trends"].note


def test_one_query(tmp_path: Path) -> None:
    with opened(tmp_path, [query(START + DAY, serial=1)], 28) as store:
        found = answers(store)
    assert_quiet(found)
    assert all(one.slope is None for one in found["trends"].figures)


def test_constants_have_no_change_no_slope_and_nothing_unusual(tmp_path: Path) -> None:
    with opened(tmp_path, each_hour(28), 28) as store:
        found = answers(store)
    assert_quiet(found)
    assert all(day.mean == pytest.approx(72, rel=0.02) for day in found["forecast"][0].days)


@pytest.mark.parametrize("begin", [datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 10, 5, tzinfo=UTC)])
def test_a_day_with_a_clock_change_is_no_change(tmp_path: Path, begin: datetime) -> None:
    with opened(tmp_path, each_hour(28, begin=begin), 28, "Europe/Berlin", begin) as store:
        assert_quiet(answers(store))
        days = store.series("queries", every="1d")[0]
        assert set(days.values[1:-1]) <= {69.0, 72.0, 75.0}  # 23, 24 and 25 hours
        assert store.trends(every="1d").findings == []


def test_weeks_without_records_are_no_change(tmp_path: Path) -> None:
    rows = [*each_hour(14), *each_hour(14, begin=START + 35 * DAY)]
    for place, row in enumerate(rows):
        row.serial = SERIAL + place
    with opened(tmp_path, rows, 49) as store:
        found = answers(store)
    assert [one.kind for one in found["trends"].findings] in ([], ["unusual"])
    assert all("no traffic, or no recorder" in one.sentence for one in found["anomalies"].stretches)
    assert found["outliers"] == []


def test_metrics_that_are_no_number_are_left_out(tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = each_hour(20)
    for row in rows:
        row.metrics = {"quality": chance.choice([1.0, float("nan"), float("inf"), "good", None, True])}  # type: ignore[attr-defined]
    with opened(tmp_path, rows, 20) as store:
        found = store.trends(figures=["metric:quality"])
        assert_finite(msgspec.to_builtins(found), "trends")
        assert found.findings == []
        assert_finite(msgspec.to_builtins(store.forecast("metric:quality")), "forecast")


def test_a_metric_that_changed_its_unit_is_one_change_with_its_factor(tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = each_hour(24)
    for row in rows:
        unit = 1000 if row.started >= (START.timestamp() + 15 * 86400) * 1e6 else 1
        row.metrics = {"took": unit * math.exp(chance.gauss(0, 0.3))}  # type: ignore[attr-defined]
    with opened(tmp_path, rows, 24) as store:
        [change] = store.trends(figures=["metric:took"]).findings
    assert change.start == START + 15 * DAY
    assert change.ratio == pytest.approx(1000, rel=0.2)


def test_a_million_buckets_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with opened(tmp_path, each_hour(1), 28) as store:
        for ask in (lambda: store.series("queries", every=2), lambda: store.trends(every=2)):
            with pytest.raises(UsageError, match="are too many"):
                ask()


def test_ten_thousand_groups_are_the_largest_and_the_rest(tmp_path: Path) -> None:
    rows = [
        query(
            START + timedelta(minutes=place % 8_000), serial=SERIAL + place, attributes={"user": f"u{place % 10_000}"}
        )
        for place in range(10_100)
    ]
    with opened(tmp_path, rows, 6) as store:
        found = store.series("queries", every="1d", by="user")
        assert sum(sum(filter(None, one.values)) for one in found) == 10_100
        assert len(found) == 51
        assert len({one.group for one in store.trends(figures=["queries"], by="user").figures}) <= 10
        assert store.anomalies(by="user").stretches == []
        assert len(store.forecast("queries", by="user")) <= 10


def test_sampled_queries_count_for_those_they_stand_for_and_capacity_says_it_cannot(tmp_path: Path) -> None:
    with opened(tmp_path, each_hour(28, weight=10.0), 28) as store:
        found = answers(store)
        assert_quiet(found)
    assert "needs every query" in found["capacity"]
    queries = next(one for one in found["trends"].figures if one.figure == "queries")
    assert queries.level == pytest.approx(30)


def test_a_partial_last_bucket_is_not_compared(tmp_path: Path) -> None:
    with opened(tmp_path, each_hour(28), 27 + 22.6 / 24) as store:
        found = answers(store)
        assert_quiet(found)
        assert all(one.values[-1] != 0 for one in found["trends"].figures if one.figure in ("queries", "tokens"))
        assert store.trends(every="1d").findings == []


def test_a_short_bucket_over_weeks_is_answered(tmp_path: Path) -> None:
    with opened(tmp_path, each_hour(28), 28) as store:
        assert store.trends(figures=["queries", "p95"], every="5m").findings == []
