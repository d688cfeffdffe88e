"""Days that are too old leave the places that a store was shipped to, and nothing else does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_server import Server
from instrument_cli.app import run
from store_rows import SERIAL, query, write

from instrument.errors import UsageError
from instrument.exporters import delta, lake
from instrument.exporters.clickhouse import retention, shipping
from instrument.exporters.shipping import Order, ship
from instrument.reading import open_store
from instrument.rows.stored import CallRow, SelectionRow, StandaloneCallRow
from instrument.store.lake import Lake
from instrument.store.upkeep.compaction import compact

TODAY = datetime.now(UTC).replace(hour=0, minute=30)
KEPT_DAYS = 30
AGES = (0, 1, 29, 30, 31, 45, 70)
OLDER, KEPT = 3, 4
"""Of these days, how many are too old, and how many are not."""


def _store(directory: Path) -> Path:
    """A query with a call, a call outside any and a selection on each of some days."""
    for number, age in enumerate(AGES):
        moment = TODAY - timedelta(days=age)
        at = round(moment.timestamp() * 1e6)
        rows = [
            query(moment, serial=SERIAL + number, calls=[CallRow("find", 5, duration=1000)]),
            StandaloneCallRow(at, "alone", 5),
            SelectionRow(at, "simple", "no query followed", 0.5, "why"),
        ]
        write(directory, rows)
    return directory


def test_clickhouse_drops_older_days_whoever_shipped_them_and_roll_ups_by_the_month(
    server: Server, tmp_path: Path
) -> None:
    first, second = _store(tmp_path / "first"), tmp_path / "second"
    shipping.ship(first, server.address)
    assert server.count() == len(AGES)
    write(second, [query(TODAY, serial=SERIAL - 1)])
    outcome = shipping.ship(second, server.address, keep_days=KEPT_DAYS)
    assert outcome.expired == OLDER
    assert server.count() == KEPT + 1
    assert server.count(table="late_calls") == server.count(table="selections") == KEPT
    oldest = (TODAY - timedelta(days=KEPT_DAYS)).date()
    assert server.count(f"countIf(toDate(start_time) < '{oldest}')") == 0
    for table in ("agents_minute", "calls_minute", "agents_day", "calls_day", "queries_hour"):
        assert server.count(f"countIf(start < '{oldest.replace(day=1)}')", table) == 0, table
        assert server.count("toUInt64(sum(queries))", table) >= KEPT, table
    assert shipping.ship(second, server.address, keep_days=KEPT_DAYS).expired == 0
    assert shipping.ship(first, server.address).records == 0
    with open_store(server.source) as store:
        assert store.report().queries.total == store.report(exact=False).queries.total == KEPT + 1


def test_a_machine_whose_clock_is_ahead_drops_nothing_that_the_server_takes_for_recent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipping.ship(_store(tmp_path / "monitoring"), server.address)
    monkeypatch.setattr(retention, "oldest_day", lambda keep_days: date(2099, 1, 1))
    assert shipping.ship(tmp_path / "monitoring", server.address, keep_days=KEPT_DAYS).expired == OLDER
    assert server.count() == KEPT


def test_a_lake_loses_older_files_of_this_store_alone_and_does_not_get_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"file://{tmp_path}/lake"
    for name in ("first", "second"):
        monkeypatch.setattr("platform.node", lambda name=name: name)
        compact(_store(tmp_path / name), now=TODAY + timedelta(days=2), retention_days=300)
        lake.ship(tmp_path / name, address)
    files = len(Lake(address).files())
    outcome = lake.ship(tmp_path / "first", address, keep_days=KEPT_DAYS)
    assert (outcome.files, outcome.expired) == (0, OLDER)
    left = Lake(address).files()
    assert len(left) == files - outcome.expired
    assert sum("host=second" in key for key in left) == len(AGES)
    assert lake.ship(tmp_path / "first", address, keep_days=KEPT_DAYS).expired == 0
    lake.ship(tmp_path / "second", address, keep_days=1)
    assert len(list((tmp_path / "lake").iterdir())) == KEPT, "folders of days that are empty are removed"


def test_a_delta_table_loses_the_days_that_its_lake_loses(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="needs deltalake")
    address = f"file://{tmp_path}/lake"
    compact(_store(tmp_path / "monitoring"), now=TODAY + timedelta(days=2), retention_days=300)
    lake.ship(tmp_path / "monitoring", address, as_table=True)
    lake.ship(tmp_path / "monitoring", address, keep_days=KEPT_DAYS)
    table = deltalake.DeltaTable(address, storage_options=delta._storage_options(Lake(address)))
    assert len(table.file_uris()) == KEPT


def test_the_command_says_how_much_it_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compact(_store(tmp_path / "monitoring"), now=TODAY + timedelta(days=2), retention_days=300)
    given = ["ship", "--to", f"file://{tmp_path}/lake", "--directory", str(tmp_path / "monitoring")]
    assert run(given) == 0
    assert run([*given, "--keep-days", str(KEPT_DAYS)]) == 0
    assert f"Removed {OLDER} files of expired days." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("to", "given", "problem"),
    [
        ("file:///nowhere/lake", {"signals": "traces"}, "takes no signals; its options are delta, keep_days"),
        ("otlp", {"keep_days": "3"}, "takes no keep_days; its options are signals, since"),
        ("file:///nowhere/lake", {"keep_days": "0"}, "is no number of days"),
        ("clickhouse", {"keep_days": "many"}, "is no number of days"),
    ],
)
def test_an_option_that_a_target_does_not_take_is_one_line(
    tmp_path: Path, to: str, given: dict[str, str], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        ship(to, Order(tmp_path, "" if "://" in to else "http://127.0.0.1:9/x", options=given))
