"""A lake that is a Delta table, too, says the same: each file once, whatever is repeated or dies in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from instrument_cli.app import run
from lake_stores import LATER, SECRET, compacted_store
from store_rows import NOON, SERIAL, query, write

from instrument.errors import UsageError
from instrument.exporters import delta, lake, lake_forgetting
from instrument.reading import open_store
from instrument.store.lake import Lake
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted

deltalake = pytest.importorskip("deltalake", reason="needs deltalake")


def _table(address: str, columns: str = "count(*) AS rows, sum(t) AS times") -> dict[str, Any]:
    """What Delta's own engine answers."""
    opened = deltalake.DeltaTable(address, storage_options=delta._storage_options(Lake(address)))
    answer = deltalake.QueryBuilder().register("records", opened).execute(f"SELECT {columns} FROM records").read_all()
    return {name: answer[name].to_pylist()[0] for name in answer.column_names}


def _files(address: str) -> dict[str, Any]:
    """The same of the lake's files, by DuckDB."""
    opened = Lake(address)
    connection = opened.connection()
    files = [opened.url(key) for key in opened.files()]
    rows, times = connection.execute("SELECT count(*), sum(t) FROM read_parquet(?)", [files]).fetchall()[0]
    connection.close()
    return {"rows": rows, "times": times}


def test_the_table_holds_what_the_lake_holds_and_repeating_changes_nothing(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring", count=50), f"file://{tmp_path}/lake"
    assert run(["ship", "--to", address, "--delta", "--directory", str(store)]) == 0
    assert _table(address) == _files(address)
    opened = deltalake.DeltaTable(address)
    assert opened.metadata().partition_columns == ["day", "host"]
    assert opened.count() == _files(address)["rows"]
    lake.ship(store, address, as_table=True)
    assert deltalake.DeltaTable(address).version() == opened.version()
    with open_store(address) as there:  # the log is no day of the lake
        assert there.sql("SELECT count(*) FROM queries").fetchall() == [(100,)]


def test_a_lake_that_is_a_table_stays_one_without_being_asked_again(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring", count=50), f"file://{tmp_path}/lake"
    lake.ship(store, address)
    assert not deltalake.DeltaTable.is_deltatable(address)
    lake.ship(store, address, as_table=True)
    write(store, [query(NOON + timedelta(days=1), serial=SERIAL - 1)])
    compact(store, now=LATER, retention_days=30)
    assert lake.ship(store, address).files == 1
    assert _table(address) == _files(address)


def test_a_shipper_killed_between_a_file_and_the_log_adds_it_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, address = compacted_store(tmp_path / "monitoring", count=50), f"file://{tmp_path}/lake"

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(delta, "bring_up_to_date", die)
        with pytest.raises(KeyboardInterrupt):
            lake.ship(store, address, as_table=True)
    assert lake.ship(store, address).files == 0
    assert _table(address) == _files(address)


def test_machines_that_ship_at_the_same_time_all_get_into_the_table(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/lake"
    stores = [compacted_store(tmp_path / f"store-{number}", seed=10 * number, count=20) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda store: lake.ship(store, address, as_table=True), stores))
    assert _table(address) == _files(address)
    assert len(deltalake.DeltaTable(address).file_uris()) == 12


def test_forgetting_reaches_the_table_and_every_version_of_it(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring", count=50), f"file://{tmp_path}/lake"
    write(store, [query(user_input=SECRET, serial=SERIAL - 1), query(serial=SERIAL - 2)], "130000-43-0badcafe.jsonl")
    write(store, [query(NOON - timedelta(days=5), user_input=SECRET, serial=SERIAL - 3)])
    compact(store, now=LATER, retention_days=30)
    lake.ship(store, address, as_table=True)
    before = _table(address)["rows"]
    files = len(deltalake.DeltaTable(address).file_uris())
    assert lake_forgetting.forget(store, Wanted([], SECRET)).total == 2
    assert _table(address)["rows"] == before - 2
    assert _table(address) == _files(address)
    assert len(deltalake.DeltaTable(address).file_uris()) == files - 1
    held = [file for file in (tmp_path / "lake").rglob("*") if file.is_file() and b"Asha" in file.read_bytes()]
    assert held == []


def test_forgetting_all_that_a_store_has_shipped_empties_its_part_of_the_table(tmp_path: Path) -> None:
    store, address = tmp_path / "monitoring", f"file://{tmp_path}/lake"
    write(store, [query(user_input=SECRET, serial=SERIAL)])
    compact(store, now=LATER, retention_days=30)
    lake.ship(store, address, as_table=True)
    assert lake_forgetting.forget(store, Wanted([], SECRET)).total == 1
    assert deltalake.DeltaTable(address).file_uris() == []


def test_a_table_in_an_object_store_takes_machines_that_ship_at_the_same_time(
    seaweed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.items():
        monkeypatch.setenv(name, value)
    address = "s3://agents/table"
    stores = [compacted_store(tmp_path / f"store-{number}", seed=10 * number, count=20) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: lake.ship(store, address, as_table=True), stores))
    assert _table(address) == _files(address)
    write(stores[0], [query(user_input=SECRET, serial=SERIAL - 1)], "130000-43-0badcafe.jsonl")
    compact(stores[0], now=LATER, retention_days=30)
    lake.ship(stores[0], address)
    assert lake_forgetting.forget(stores[0], Wanted([], SECRET)).total == 1
    assert _table(address) == _files(address)


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "deltalake", None)
    store = compacted_store(tmp_path / "monitoring", count=50)
    with pytest.raises(UsageError, match=r"agent-instrument\[delta\]"):
        lake.ship(store, f"file://{tmp_path}/lake", as_table=True)
    assert not (tmp_path / "lake").exists()
