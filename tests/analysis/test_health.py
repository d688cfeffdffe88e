from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from store_rows import NOON, query, write

from instrument.analysis.health import Finding, examine
from instrument.config import Config
from instrument.store import cursors
from instrument.store.tail import follow
from instrument.store.upkeep.compaction import GRACE, compact


def findings(directory: Path, now: object, folder: Path) -> dict[str, Finding]:
    found = examine({"directory": str(directory)}, {}, folder, now)  # type: ignore[arg-type]
    return {each.name: each for each in found}


@pytest.mark.parametrize("after", [timedelta(0), GRACE - timedelta(seconds=1), GRACE, timedelta(days=40)], ids=str)
def test_a_day_is_due_exactly_when_compaction_takes_it(tmp_path: Path, after: timedelta) -> None:
    write(tmp_path / "store", [query(NOON)])
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    due = "Upkeep" in findings(tmp_path / "store", midnight + after, tmp_path)
    done = compact(tmp_path / "store", now=midnight + after, retention_days=30)
    assert due == bool(done.days or done.expired)


def test_dates_have_their_year_before_the_time(tmp_path: Path) -> None:
    write(tmp_path / "store", [query(NOON)])
    records = findings(tmp_path / "store", NOON + timedelta(hours=1), tmp_path)["Records"]
    assert "10 Mar 2026 12:00 – 10 Mar 2026 12:00 UTC" in records.message


def test_a_read_only_mount_is_no_matter_of_chmod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "store", [query(NOON)])
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    found = findings(tmp_path / "store", NOON, tmp_path)["Writable"]
    assert "read-only" in found.message
    assert "chmod" not in found.advice
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=0))
    assert "chmod u+w" in findings(tmp_path / "store", NOON, tmp_path)["Writable"].advice


def test_modes_on_a_read_only_mount_are_mended_where_it_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "store", [query(NOON)])
    (tmp_path / "store").chmod(0o755)
    assert findings(tmp_path / "store", NOON, tmp_path)["Modes"].advice.startswith("chmod")
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert "mounted read-write" in findings(tmp_path / "store", NOON, tmp_path)["Modes"].advice


def test_a_day_that_waits_for_a_follower_is_not_said_to_be_due(tmp_path: Path) -> None:
    store, later = tmp_path / "store", NOON.replace(hour=0) + timedelta(days=1) + GRACE
    write(store, [query(NOON)])
    with follow(store, name="slow", wait=0):
        upkeep = findings(store, later, tmp_path)["Upkeep"]
        assert "slow" in upkeep.message
        assert upkeep.advice != "metrics compact"
        assert not compact(store, now=later, retention_days=30).days
    with follow(store, name="slow", wait=0) as follower:
        assert len(list(follower)) == 1
    assert findings(store, later, tmp_path)["Upkeep"].advice == "metrics compact"


@pytest.mark.parametrize("days", [1_000_000, 10**400], ids=["a million", "400 digits"])
def test_settings_of_more_days_than_there_ever_were_keep_everything(tmp_path: Path, days: int) -> None:
    store, later = tmp_path / "store", NOON + timedelta(days=400)
    write(store, [query(NOON)])
    with follow(store, name="gone", wait=0):
        pass
    settings = {"directory": str(store), "retention_days": str(days), "cursor_days": str(days)}
    found = {each.name: each for each in examine(settings, {}, tmp_path, later)}
    assert "dropped" not in found["Upkeep"].message
    assert "given up" not in found["Follower"].message
    done = compact(store, now=later, retention_days=days, cursor_days=days)
    assert (done.expired, list(done.left)) == ([], [str(store / "2026-03-10")])
    assert Config(retention_days=days).longest_report_hours > 8760


def test_followers_are_listed_with_their_age_and_what_they_have_not_read(tmp_path: Path) -> None:
    store, now = tmp_path / "store", datetime.now(UTC)
    write(store, [query(NOON), query(NOON)])
    for name in ("done", "gone", "broken"):
        with follow(store, name=name, wait=0) as follower:
            assert len(list(follower if name == "done" else ())) in (0, 2)
    old = (now - timedelta(days=9)).timestamp()
    os.utime(store / cursors.STATE / "cursors" / "gone.json", (old, old))
    (store / cursors.STATE / "cursors" / "broken.json").write_text("{")
    with follow(store, name="busy", wait=0):
        found = [
            each
            for each in examine({"directory": str(store)}, {}, tmp_path, now)  # type: ignore[arg-type]
            if each.name == "Follower"
        ]
    assert [(each.message.partition(":")[0], each.state) for each in found] == [
        ("broken", "bad"),
        ("busy", "good"),
        ("done", "good"),
        ("gone", "note"),
    ]
    assert "follows now" in found[1].message
    assert found[2].message.endswith("has read everything")
    assert "9 days ago" in found[3].message
    assert "behind; given up" in found[3].message
