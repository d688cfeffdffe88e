"""Figures from ClickHouse's roll-ups: counts and sums exact, percentiles within 1 %, and that is said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clickhouse_server import Server
from instrument_cli.app import run
from store_rows import NOON, SERIAL, query, random_rows, write
from test_clickhouse_reading import SPAN, both, rows  # noqa: F401 - `both` is a fixture

from instrument.exporters.clickhouse import forgetting, shipping
from instrument.reading import Store, open_store
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, Row, StandaloneCallRow, id_of
from instrument.store.clickhouse import cells, rollups
from instrument.store.clickhouse.client import Client
from instrument.store.clickhouse.tables import ClickHouseTables
from instrument.store.upkeep.forget_request import Wanted

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


def _built(figures: Any) -> Any:
    return json.loads(msgspec.json.encode(figures))


def _differences(ours: Any, theirs: Any, within: float, name: str = "") -> Iterator[str]:
    """Where two documents differ: percentiles by more than a share, anything else at all."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in (ours.keys() | theirs.keys()) - {"generated_at", "percentiles"}:
            yield from _differences(ours.get(key), theirs.get(key), within, f"{name}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(one, other, within, f"{name}/{place}")
    elif isinstance(ours, int | float) and isinstance(theirs, int | float):
        allowed = within if name.endswith(_PERCENTILES) else 1e-9
        if not math.isclose(ours, theirs, rel_tol=allowed):
            yield f"{name}: {ours} is {theirs}"
    elif ours != theirs:
        yield f"{name}: {ours} is {theirs}"


@pytest.mark.parametrize("where", [[], ["agent=simple"]], ids=["all", "of an agent"])
@pytest.mark.parametrize("figures", ["report", "stats"])
def test_roll_ups_give_counts_and_sums_exactly_and_percentiles_within_one_percent(
    both: tuple[Path, str],  # noqa: F811
    figures: str,
    where: list[str],
) -> None:
    directory, address = both
    with open_store(directory, **SPAN) as here, open_store(address, **SPAN) as there:
        assert isinstance(there, Store)
        assert len(cells.rolled_days(there.tables, False)) >= 10, "late calls leave a day its roll-ups"
        ours = _built(getattr(here, figures)(where))
        rolled = _built(getattr(there, figures)(where, exact=False))
        exact = _built(getattr(there, figures)(where))
    assert rolled["data"]["percentiles"] == "from roll-ups, within 1 %"
    assert exact["data"]["percentiles"] == ours["data"]["percentiles"] == "exact"
    assert list(_differences(ours, rolled, 0.01)) == []
    assert list(_differences(ours, rolled, 1e-9)) != [], "they would not come from cells"


@pytest.mark.parametrize("where", [["host=worker-1"], ["duration>1s"], ["tenant=a"], ["tool=find_customers"]])
def test_what_roll_ups_do_not_know_comes_from_records(both: tuple[Path, str], where: list[str]) -> None:  # noqa: F811
    with open_store(both[0], **SPAN) as here, open_store(both[1], **SPAN) as there:
        found = there.report(where, exact=False)
        assert found.data.percentiles == "exact"
        assert list(_differences(_built(here.report(where)), _built(found), 1e-9)) == []


def test_roll_ups_are_taken_for_many_records_unless_exact_figures_are_asked_for(
    both: tuple[Path, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_store(both[1], **SPAN) as store:
        assert store.report().data.percentiles == "exact", "so few need no roll-up"
    monkeypatch.setattr(cells, "ROLLED_FROM", 1000)
    with open_store(both[1], **SPAN) as store:  # the days are looked up once
        assert "roll-ups" in store.report().data.percentiles
        assert "roll-ups" in store.stats().data.percentiles
        assert store.report(exact=True).data.percentiles == "exact"
    with open_store(both[1], **SPAN | {"since": "2026-03-08T13:00"}) as store:
        assert store.report(exact=False).data.percentiles == "exact", "a chart of two days has steps below an hour"


def test_the_command_says_where_percentiles_come_from(
    both: tuple[Path, str],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    def shown(*arguments: str) -> str:
        assert run(arguments) == 0
        return " ".join(capsys.readouterr().out.split())

    period = ["--since", "2026-02-20", "--until", "2026-03-11", "--tz", "UTC", "--from", both[1]]
    said = "from roll-ups, within 1 %"
    for command in ("report", "stats"):
        assert said not in shown(command, *period, "--exact")
        assert f"percentiles {said}" in shown(command, *period, "--rolled")
    for kind in ("html", "markdown", "json"):
        assert said in shown("report", *period, "--rolled", "--no-records", "--format", kind), kind


def test_every_duration_lies_in_a_bucket_of_one_percent_with_round_bounds(tmp_path: Path) -> None:
    server = Server(tmp_path / "clickhouse").start()
    client = Client(server.address)
    bucket = rollups.bucket("ns")
    try:
        for numbers in ("number", "toInt64(exp10(number / 40000))", "toInt64(round(exp10(number / 40000), -3)) + 1"):
            durations = f"(SELECT {numbers} AS ns FROM numbers(0, 640000) WHERE ns < 9e15)"
            [found] = client.rows(
                f"SELECT min(upper - ns) AS least, max((upper - ns) / greatest(ns, 1)) AS widest FROM"
                f" (SELECT ns, {bucket} AS upper FROM {durations})"
            )
            assert found["least"] == 0
            assert found["widest"] <= 0.01
        for limit in (1, 99, 120, 5_000, 750_000, 5_000_000_000, 30_000_000_000, 990_000_000, 25_000_000):
            [found] = client.rows(f"SELECT {limit} AS ns, {bucket} AS upper, {rollups.bucket('(ns + 1)')} AS above")
            assert found["upper"] == limit < found["above"], limit
    finally:
        client.close()
        server.kill()


def test_a_day_whose_roll_ups_miss_something_is_read_from_its_records(server: Server, tmp_path: Path) -> None:
    write(tmp_path / "monitoring", rows((1.0,)))
    shipping.ship(tmp_path / "monitoring", server.address)
    client = Client(server.address)
    try:
        for change in (
            "ALTER TABLE agents_day DELETE WHERE toDate(start) = '2026-03-02'",
            "ALTER TABLE calls_day DELETE WHERE toDate(start) = '2026-03-03'",
            "ALTER TABLE queries DELETE WHERE toDate(start_time) = '2026-03-04' AND toMinute(start_time) < 30",
        ):
            client.run(change, mutations_sync=2)
        wrong = {day.name for day in rollups.days(client) if not day.is_right}
        assert wrong == {"2026-03-02", "2026-03-03", "2026-03-04"}
        with open_store(server.source, **SPAN) as store:
            exact, rolled = _built(store.report()), _built(store.report(exact=False))
            assert "roll-ups" in rolled["data"]["percentiles"]
            assert list(_differences(exact, rolled, 0.01)) == []
        rollups.rebuild(client, wrong)
        assert [day for day in rollups.days(client) if not day.is_right] == []
        with open_store(server.source, **SPAN) as store:
            assert list(_differences(exact, _built(store.report(exact=False)), 0.01)) == []
    finally:
        client.close()


def test_forgetting_leaves_roll_ups_that_are_right(server: Server, tmp_path: Path) -> None:
    store, told = tmp_path / "monitoring", "where does Asha Rao live"
    hers = query(NOON - timedelta(days=2), user_input=told, serial=SERIAL - 1, calls=[CallRow("find", 5, 1_000_000)])
    write(store, [*random_rows(1, 300, start=NOON - timedelta(days=5), hours=100), hers])
    shipping.ship(store, server.address)
    before = server.count("sum(queries)", "agents_minute"), server.count("sum(records)", "calls_day")
    assert forgetting.forget(store, Wanted([], "asha rao")).total == 1
    after = server.count("sum(queries)", "agents_minute"), server.count("sum(records)", "calls_day")
    assert after == (before[0] - 1, before[1] - 1)
    client = Client(server.address)
    assert all(day.is_right for day in rollups.days(client))
    client.close()


def test_roll_ups_of_an_earlier_version_are_made_anew_and_read_around_until_then(
    server: Server, tmp_path: Path
) -> None:
    store = tmp_path / "monitoring"
    write(store, random_rows(1, 300, start=NOON - timedelta(days=5), hours=100))
    shipping.ship(store, server.address)
    client = Client(server.address)
    try:
        for name in ("agents_day", "calls_day", "queries_hour"):
            client.run(f"DROP TABLE {name}_filling")
            client.run(f"DROP TABLE {name}")
        for name in ("agents_hour", "calls_hour"):
            client.run(
                f"CREATE TABLE {name} (start DateTime('UTC'), host String, queries Float64) ENGINE = MergeTree"
                " ORDER BY start COMMENT 'agent-instrument 1'"
            )
        with open_store(server.source, **SPAN) as opened:
            exact = opened.report(exact=False)
            assert exact.data.percentiles == "exact"
        write(store, [query(NOON, serial=SERIAL - 3)], "130000-42-0badcafe.jsonl")
        shipping.ship(store, server.address)
        assert all(day.is_right for day in rollups.days(client))
        assert client.rows("EXISTS TABLE agents_hour")[0]["result"] == 0
        with open_store(server.source, **SPAN) as opened:
            found = opened.report(exact=False)
        assert "roll-ups" in found.data.percentiles
        assert found.queries.total == exact.queries.total + 1
    finally:
        client.close()


def test_a_call_that_ends_after_its_query_counts_once_though_it_is_in_no_roll_up(
    server: Server, tmp_path: Path
) -> None:
    store = tmp_path / "monitoring"
    outer = query(NOON - timedelta(days=3), serial=SERIAL - 1, calls=[CallRow("open", 5_000, duration=None)])
    write(store, [*random_rows(1, 300, start=NOON - timedelta(days=6), hours=140), outer])
    shipping.ship(store, server.address)
    late = [
        StandaloneCallRow(outer.started + 5, "open", 5_000_000, parent=id_of(outer), place=0),
        StandaloneCallRow(outer.started + 10, "alone", 7_000_000),
    ]
    write(store, late, "130000-42-0badcafe.jsonl")
    shipping.ship(store, server.address)
    with open_store(store, **SPAN) as here, open_store(server.source, **SPAN) as there:
        found = there.stats(exact=False)
        assert "roll-ups" in found.data.percentiles
        assert found.tools["open"].calls == found.tools["alone"].calls == 1
        assert list(_differences(_built(here.stats()), _built(found), 0.01)) == []


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.5)], ids=["whole", "sampled"])
def test_queries_with_late_calls_leave_their_cells_and_the_other_queries_of_their_days_stay(
    server: Server, tmp_path: Path, weights: tuple[float, ...]
) -> None:
    store, written, late = tmp_path / "monitoring", list[Row](), list[Row]()
    used = ModelFacts("small-1", "local", 120, 30, cost_usd=0.25)
    for day in range(1, 8):
        outer = query(
            NOON - timedelta(days=day),
            agent="crewai",
            serial=SERIAL - day,
            calls=[CallRow("open", 5_000, duration=None), CallRow("done", 9_000, duration=10_000)],
            weight=weights[-1],
        )
        facts = {"parent": id_of(outer), "weight": weights[-1]}
        written.append(outer)
        late += [
            StandaloneCallRow(outer.started + 5, "open", 5_000_000, place=0, **facts),
            StandaloneCallRow(outer.started + 700_000, "other", 5_000_000, **facts),
            StandaloneCallRow(outer.started + 800_000, "chat", 5_000_000, kind="model", facts=used, **facts),
        ]
    write(store, [*random_rows(1, 900, start=NOON - timedelta(days=8), hours=190, weights=weights), *written])
    shipping.ship(store, server.address)
    write(store, late, "130000-42-0badcafe.jsonl")
    shipping.ship(store, server.address)
    with open_store(store, **SPAN) as here, open_store(server.source, **SPAN) as there:
        assert isinstance(there.tables, ClickHouseTables)
        assert len(cells.rolled_days(there.tables, False)) >= 8, "every day has a query with late calls"
        for figures in ("report", "stats"):
            for where in ((), "agent=crewai"):
                ours = _built(getattr(here, figures)(where))
                rolled = _built(getattr(there, figures)(where, exact=False))
                assert "roll-ups" in rolled["data"]["percentiles"]
                assert list(_differences(ours, rolled, 0.01)) == [], (figures, where)


def test_a_day_with_very_many_late_calls_is_read_from_its_records(server: Server, tmp_path: Path) -> None:
    store, late = tmp_path / "monitoring", list[Row]()
    for hour in range(20):
        outer = query(NOON - timedelta(days=2, hours=hour - 9), serial=SERIAL - 1 - hour)
        late += [outer, StandaloneCallRow(outer.started + 5, "late", 5_000_000, parent=id_of(outer))]
    write(store, [*random_rows(1, 300, start=NOON - timedelta(days=9), hours=140), *late])
    shipping.ship(store, server.address)
    with open_store(server.source, **SPAN) as there:
        assert isinstance(there.tables, ClickHouseTables)
        assert "2026-03-08" not in cells.rolled_days(there.tables, False)
        assert "2026-03-04" in cells.rolled_days(there.tables, False)


@pytest.mark.parametrize(
    ("figure", "by", "table"),
    [
        ("queries", None, "agents_minute"),
        ("failed", "agent", "agents_minute"),
        ("failure_rate", "host", "agents_minute"),
        ("cancelled", None, "agents_minute"),
        ("queries", "status", ""),
        ("failed", "tenant", ""),
        ("tool_failure_rate", "tool", ""),
        ("p95", None, ""),
    ],
)
def test_series_of_counts_come_from_the_minutes_exactly_as_from_records(
    both: tuple[Path, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    figure: str,
    by: str | None,
    table: str,
) -> None:
    monkeypatch.setattr(cells, "ROLLED_FROM", 1000)
    asked, run_ = list[str](), Client.run

    def noted(client: Client, statement: str, **settings: Any) -> str:
        asked.append(statement)
        return run_(client, statement, **settings)

    monkeypatch.setattr(Client, "run", noted)
    with open_store(both[0], **SPAN) as here, open_store(both[1], **SPAN) as there:
        for every, where in (("5m", ()), ("1h", ()), ("1d", ()), ("90s", ()), ("1h", "agent=simple")):
            ours, theirs = _built(here.series(figure, every, by, where)), _built(there.series(figure, every, by, where))
            assert list(_differences(ours, theirs, 1e-9)) == [], (every, where)
            of_minutes = any(".agents_minute WHERE" in statement for statement in asked)
            assert of_minutes == (bool(table) and every != "90s"), (every, where)
            asked.clear()
