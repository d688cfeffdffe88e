"""A figure over time is the same as counting the records of each bucket by hand; zeros and gaps are told apart."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from brute_force import percentile
from store_rows import query, random_rows, write

from instrument.analysis.series import REST, Series, every, figure, figure_names, series
from instrument.errors import UsageError
from instrument.reading import Store, open_store
from instrument.rows.stored import CallRow, Row

START = datetime(2026, 3, 10, tzinfo=UTC)


def opened(tmp_path: Path, rows: list[Row], until: datetime, since: datetime = START, zone: str = "UTC") -> Store:
    write(tmp_path, rows)
    return open_store(tmp_path, since=since, until=until, time_zone=zone)


def values(store: Store, name: str, seconds: float = 3600, by: str | None = None) -> dict[str | None, Series]:
    return {one.group: one for one in series(store.tables, name, store.period, seconds, by=by)}


def test_every_figure_is_that_of_the_records_of_its_bucket(tmp_path: Path) -> None:
    rows = random_rows(11, 400, start=START, hours=12)
    with opened(tmp_path, rows, START + timedelta(hours=12)) as store:
        records = [one for one in store.records() if one.parent_id is None]
        buckets: dict[int, list[object]] = defaultdict(list)
        for one in records:
            buckets[int((datetime.fromisoformat(one.start_time) - START).total_seconds() // 3600)].append(one)
        found = {name: values(store, name)[None].values for name in figure_names()}
    for place in range(12):
        own: list[object] = buckets[place]
        times = sorted(one.duration_ms for one in own)  # type: ignore[attr-defined]
        failed = sum(not one.success and one.status != "cancelled" for one in own)  # type: ignore[attr-defined]
        cancelled = sum(one.status == "cancelled" for one in own)  # type: ignore[attr-defined]
        assert found["queries"][place] == len(own)
        assert found["failed"][place] == failed
        assert found["cancelled"][place] == cancelled
        assert found["failure_rate"][place] == pytest.approx(failed / (len(own) - cancelled))
        assert found["average"][place] == pytest.approx(sum(times) / len(times))
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            assert found[name][place] == pytest.approx(percentile([(one, 1) for one in times], share))
        assert found["tool_calls"][place] == sum(one.tool_calls for one in own)  # type: ignore[attr-defined]
        tokens = sum((one.input_tokens or 0) + (one.output_tokens or 0) for one in own)  # type: ignore[attr-defined]
        assert found["tokens"][place] == tokens


def test_weights_count(tmp_path: Path) -> None:
    rows: list[Row] = [query(START, serial=1, weight=10.0), query(START, serial=2)]
    with opened(tmp_path, rows, START + timedelta(hours=1)) as store:
        assert values(store, "queries")[None].values == [11.0]


def test_no_queries_are_zeros_of_a_count_and_nothing_of_a_rate_or_percentile(tmp_path: Path) -> None:
    rows: list[Row] = [query(START + timedelta(hours=hour), serial=hour + 1) for hour in (0, 3)]
    with opened(tmp_path, rows, START + timedelta(hours=4)) as store:
        counted, rate, middle = (values(store, name)[None] for name in ("queries", "failure_rate", "p50"))
    assert counted.values == [1, 0, 0, 1]
    assert [value is None for value in rate.values] == [False, True, True, False]
    assert [value is None for value in middle.values] == [False, True, True, False]


def test_a_time_without_any_record_is_a_gap_and_one_without_the_agents_is_a_zero(tmp_path: Path) -> None:
    rows: list[Row] = [
        query(START, serial=1, agent="a"),
        query(START + timedelta(hours=1), serial=2, agent="b"),
        query(START + timedelta(hours=3), serial=3, agent="a"),
    ]
    with opened(tmp_path, rows, START + timedelta(hours=4)) as store:
        (own,) = store.series("queries", where="agent=a")
    assert own.values == [1, 0, 0, 1]
    assert own.recorded == [True, True, False, True]
    assert [math.isnan(value) for value in own.known()] == [False, False, True, False]


def test_the_last_bucket_is_not_compared_unless_it_is_whole(tmp_path: Path) -> None:
    rows: list[Row] = [query(START + timedelta(hours=hour), serial=hour + 1) for hour in range(3)]
    with opened(tmp_path, rows, START + timedelta(hours=2, minutes=30)) as store:
        (cut,) = series(store.tables, "queries", store.period, 3600)
    assert (cut.is_last_whole, len(cut.values), len(cut.known())) == (False, 3, 2)


def test_groups_have_a_series_each_and_the_small_ones_one_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instrument.analysis.series.MOST_GROUPS", 2)
    agents = ["a"] * 5 + ["b"] * 3 + ["c", "d"]
    rows: list[Row] = [query(START, serial=place + 1, agent=agent) for place, agent in enumerate(agents)]
    with opened(tmp_path, rows, START + timedelta(hours=1)) as store:
        found = values(store, "queries", by="agent")
    assert {name: one.values for name, one in found.items()} == {"a": [5], "b": [3], REST: [2]}


def test_an_attribute_and_a_tool_can_group(tmp_path: Path) -> None:
    rows: list[Row] = [
        query(
            START,
            serial=place + 1,
            attributes={"tenant": "north" if place % 2 else "south"},
            calls=[CallRow("find", 0, duration=5), CallRow("pay", 0, duration=5, status="error", error="E")],
        )
        for place in range(4)
    ]
    with opened(tmp_path, rows, START + timedelta(hours=1)) as store:
        tenants = values(store, "queries", by="tenant")
        tools = values(store, "tool_failure_rate", by="tool")
        with pytest.raises(UsageError, match="grouped by tool"):
            values(store, "tool_failure_rate", by="tenant")
    assert {name: one.values for name, one in tenants.items()} == {"north": [2], "south": [2]}
    assert {name: one.values for name, one in tools.items()} == {"find": [0], "pay": [1]}


def test_custom_metrics_are_figures_and_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    given = [1.0, 3.0, "many", None]
    rows: list[Row] = [
        query(START, serial=place + 1, metrics={"a:b": value} if value is not None else None)  # type: ignore[dict-item]
        for place, value in enumerate(given)
    ]
    with opened(tmp_path, rows, START + timedelta(hours=1)) as store:
        mean, total = (values(store, f"metric:a:b{how}")[None].values for how in ("", ":sum"))
        assert values(store, "metric:none")[None].values == [None]
    assert (mean, total) == ([2.0], [4.0])


def test_days_follow_the_calendar_of_the_zone_over_a_change_of_clocks(tmp_path: Path) -> None:
    # Berlin puts its clocks forward on 29 March 2026: that day has 23 hours.
    since = datetime(2026, 3, 27, 23, tzinfo=UTC)  # midnight of the 28th
    rows: list[Row] = [query(since + timedelta(hours=hour), serial=hour + 1) for hour in range(71)]
    with opened(tmp_path, rows, since + timedelta(hours=71), since=since, zone="Europe/Berlin") as store:
        (days,) = series(store.tables, "queries", store.period, 86400)
    assert days.values == [24, 23, 24]


def test_buckets_are_counted_from_round_times(tmp_path: Path) -> None:
    since = START + timedelta(minutes=47)
    rows: list[Row] = [query(since, serial=1)]
    with opened(tmp_path, rows, START + timedelta(hours=2), since=since) as store:
        (hours,) = series(store.tables, "queries", store.period, 3600)
        (minutes,) = series(store.tables, "queries", store.period, 900)
    assert (hours.start, hours.values) == (START, [1, 0])
    assert (minutes.start, len(minutes.values)) == (START + timedelta(minutes=45), 5)


def test_an_empty_store_gives_empty_buckets(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    with open_store(tmp_path / "empty", since=START, until=START + timedelta(hours=3)) as store:
        (counted,) = series(store.tables, "queries", store.period, 3600)
    assert counted.values == [0, 0, 0]
    assert not any(counted.recorded)


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("1h", 3600), ("2d", 172_800), ("1w", 604_800), (60, 60)])
def test_the_length_of_a_bucket_is_written_as_people_do(text: str | float, seconds: float) -> None:
    assert every(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0s", "nan", 0, -5, math.inf, "1 fortnight"])
def test_what_is_no_length_is_refused_in_a_line(text: str | float) -> None:
    with pytest.raises(UsageError, match="no length of a bucket"):
        every(text)


def test_an_unknown_figure_names_the_nearest_and_too_many_buckets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean failure_rate"):
        figure("failure_rat")
    with opened(tmp_path, [query(START)], START + timedelta(days=30)) as store:
        with pytest.raises(UsageError, match="too many"):
            series(store.tables, "queries", store.period, 1)
        with pytest.raises(UsageError, match="no query has an attribute"):
            series(store.tables, "queries", store.period, 3600, by="tenant")


def test_many_groups_and_hostile_names_are_only_data(tmp_path: Path) -> None:
    chance = random.Random(1)
    names = [f'it\'s "{place}" -- $x; DROP' for place in range(60)]
    rows: list[Row] = [query(START, serial=place + 1, agent=chance.choice(names)) for place in range(300)]
    with opened(tmp_path, rows, START + timedelta(hours=1)) as store:
        found = values(store, "queries", by="agent")
    assert sum(one.values[0] or 0 for one in found.values()) == 300
