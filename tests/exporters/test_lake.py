"""A lake holds what machines' stores have compacted: each record once, however often it is shipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from instrument_cli.app import run
from lake_stores import LATER, SECRET, compacted_store
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.errors import StoreError, UsageError
from instrument.exporters import lake, lake_forgetting
from instrument.reading import open_store
from instrument.store.lake import Lake
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted

NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def _queries(source: str | Path) -> list[tuple[object, ...]]:
    with open_store(source) as store:
        return store.sql("SELECT * FROM queries ORDER BY query_id").fetchall()


def _rounded(value: Any) -> Any:
    """Sums of floats depend on the order in which several threads read the files, in the last of their digits."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_a_lake_answers_as_the_store_that_was_shipped(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring"), f"file://{tmp_path}/lake"
    outcome = lake.ship(store, address)
    assert (outcome.files, outcome.there, outcome.waiting) == (2, 0, [])
    assert _queries(address) == _queries(store)
    span = {"since": "2026-03-09", "until": "2026-03-11", "time_zone": "UTC"}
    with open_store(store, **span) as here, open_store(address, **span) as there:
        for first, second in ((there.report(), here.report()), (there.stats(), here.stats())):
            known = msgspec.to_builtins(msgspec.structs.replace(first, period=second.period))
            assert _rounded(known) == _rounded(msgspec.to_builtins(second))


def test_shipping_again_ships_nothing_and_two_machines_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"file://{tmp_path}/lake"
    for number in (1, 2):
        monkeypatch.setattr("platform.node", lambda number=number: f"machine-{number}")
        store = compacted_store(tmp_path / f"store-{number}", seed=number * 10)
        assert lake.ship(store, address).files == 2
        assert lake.ship(store, address).files == 0
    assert len(_queries(address)) == 800
    listed = Lake(address).files()
    assert {key.split("/")[1] for key in listed} == {"host=machine-1", "host=machine-2"}


def test_two_machines_of_one_name_keep_each_other_s_files(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/lake"
    for number in (1, 2):
        lake.ship(compacted_store(tmp_path / f"store-{number}", seed=number * 10), address)
    assert len(_queries(address)) == 800


def test_a_shipper_killed_before_it_wrote_down_what_it_did_doubles_nothing(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring"), f"file://{tmp_path}/lake"
    before = _queries(store)
    lake.ship(store, address)
    (store / ".state" / "lakes.json").unlink()
    assert lake.ship(store, address).files == 2
    assert _queries(address) == before


def test_only_the_days_of_the_period_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"file://{tmp_path}/lake"
    lake.ship(compacted_store(tmp_path / "monitoring"), address)
    opened = Lake(address)
    listed: list[str] = []
    find = opened.filesystem.find
    monkeypatch.setattr(opened.filesystem, "find", lambda path: (listed.append(path), find(path))[1])
    assert len(opened.files(NOON.date())) == 1
    assert [Path(path).name for path in listed] == ["day=2026-03-10"]


def test_open_segments_stay_until_their_day_is_compacted(tmp_path: Path) -> None:
    store, address = tmp_path / "monitoring", f"file://{tmp_path}/lake"
    write(store, [query()])
    assert lake.ship(store, address).waiting == ["2026-03-10"]
    with pytest.raises(StoreError, match="nothing was shipped to it yet"):
        open_store(address)


def test_forgetting_reaches_the_lake_and_days_that_have_expired_here(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring"), f"file://{tmp_path}/lake"
    write(store, [query(user_input=SECRET, serial=SERIAL - 1)], "130000-43-0badcafe.jsonl")
    compact(store, now=LATER, retention_days=30)
    lake.ship(store, address)
    everything = _queries(address)
    shutil.rmtree(store / "2026-03-10")  # as retention does
    assert lake_forgetting.preview(store, Wanted([], SECRET)).entries == {address: 1}
    assert len(_queries(address)) == len(everything)
    assert lake_forgetting.forget(store, Wanted([], SECRET)).total == 1
    left = _queries(address)
    assert len(left) == len(everything) - 1
    assert SECRET not in str(left)
    assert all(SECRET.encode() not in file.read_bytes() for file in (tmp_path / "lake").rglob("*.parquet"))


def test_forgetting_names_a_lake_that_it_cannot_reach(tmp_path: Path) -> None:
    store, address = compacted_store(tmp_path / "monitoring"), f"file://{tmp_path}/lake"
    lake.ship(store, address)
    manifest = store / ".state" / "lakes.json"
    manifest.write_text(manifest.read_text().replace(address, "s3://no-such-bucket/agents"))
    code = "import sys; from instrument_cli.app import run; sys.exit(run(sys.argv[1:]))"
    answer = subprocess.run(
        [sys.executable, "-c", code, "forget", "--containing", "Asha", "--yes", "--directory", str(store)],
        env=os.environ | NOWHERE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Not looked into: s3://no-such-bucket/agents" in answer.stdout
    assert "Traceback" not in answer.stderr


def test_shipping_to_a_bucket_without_credentials_is_one_line_and_is_not_tried_again(tmp_path: Path) -> None:
    pytest.importorskip("s3fs", reason="needs s3fs")
    store = compacted_store(tmp_path / "monitoring", count=5)
    nobody = {name: value for name, value in (os.environ | NOWHERE).items() if "KEY" not in name} | {"HOME": "/nowhere"}
    code = "import sys; from instrument_cli.app import run; sys.exit(run(sys.argv[1:]))"
    answer = subprocess.run(
        [sys.executable, "-c", code, "ship", "--to", "s3://nowhere/agents", "--directory", str(store)],
        env=nobody,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 1
    assert "Unable to locate credentials; set those" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("file:///", "names no bucket or folder"),
        ("ftp://host/x", "no source that can be read"),
        ("gs://bucket/x", "cannot be reached without a package"),
    ],
)
def test_an_address_that_cannot_be_is_one_line(address: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        open_store(address)


def test_every_reading_command_takes_a_lake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, address = tmp_path / "monitoring", f"file://{tmp_path}/lake"
    yesterday = datetime.now(UTC).replace(hour=1) - timedelta(days=1)
    write(store, random_rows(5, 100, start=yesterday, hours=2))
    compact(store, now=datetime.now(UTC) + timedelta(days=1), retention_days=30)
    lake.ship(store, address)
    for command in (["report"], ["stats"], ["queries"], ["sql", "SELECT count(*) FROM queries"]):
        given = [*command, "--since", "-3d", "--format", "json"]
        answers = []
        for source in (str(store), address):
            assert run([*given, "--from", source]) == 0, capsys.readouterr().err
            answers.append(capsys.readouterr().out)
        if command[0] in ("queries", "sql"):
            assert answers[0] == answers[1]
        assert answers[1].strip()


def test_a_lake_in_an_object_store_holds_each_record_once_and_forgets(
    seaweed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.items():
        monkeypatch.setenv(name, value)
    store, address = compacted_store(tmp_path / "monitoring"), "s3://agents/lake"
    write(store, [query(user_input=SECRET, serial=SERIAL - 1)], "130000-43-0badcafe.jsonl")
    compact(store, now=LATER, retention_days=30)
    assert lake.ship(store, address).files == 3
    assert lake.ship(store, address).files == 0
    assert _queries(address) == _queries(store)
    with open_store(address, since="2026-03-10") as there:
        assert there.sql("SELECT count(*) FROM queries").fetchall() == [(201,)]
    assert lake_forgetting.forget(store, Wanted([], SECRET)).total == 1
    assert len(_queries(address)) == 400
    with pytest.raises(StoreError, match="no such bucket"):
        open_store("s3://nothing-here/lake")
