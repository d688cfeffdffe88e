"""A report points at what is unusual, changed or about to be missed, in a line, and says nothing that is stale."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import weeks

from instrument.analysis.notices import FILE, Insight, Kept, Missed, keep_findings, notices, read
from instrument.reading import open_store

NOW = datetime(2026, 3, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def kept(folder: Path, *findings: Kept, made: datetime = NOW, capacity: Missed | None = None) -> Path:
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.encode(Insight(1, made, list(findings), capacity)))
    return folder


def last_day(folder: Path, now: datetime = NOW) -> list[str]:
    return notices(folder, now - DAY, now)


def test_an_unusual_stretch_is_said_in_the_report_of_its_time_alone(tmp_path: Path) -> None:
    stretch = Kept("unusual", NOW - timedelta(hours=5), NOW - timedelta(hours=3), "Of 60 queries 31 failed")
    kept(tmp_path, stretch)
    assert last_day(tmp_path) == ["Of 60 queries 31 failed. See: metrics trends"]
    assert notices(tmp_path, NOW - 3 * DAY, NOW - 2 * DAY) == []
    assert notices(tmp_path, NOW, NOW + DAY) == []


def test_a_change_is_said_for_a_week_while_it_holds(tmp_path: Path) -> None:
    kept(tmp_path, Kept("change", NOW - 5 * DAY, NOW, "P95 rose"))
    assert last_day(tmp_path) == ["P95 rose. See: metrics trends"]
    kept(tmp_path, Kept("change", NOW - 20 * DAY, NOW, "P95 rose"))
    assert last_day(tmp_path) == []
    kept(tmp_path, Kept("change", NOW - 5 * DAY, NOW - 2 * DAY, "P95 rose"))
    assert last_day(tmp_path) == []


def test_findings_of_long_ago_are_not_believed(tmp_path: Path) -> None:
    kept(tmp_path, Kept("slope", NOW - 28 * DAY, NOW, "Queries rose"))
    assert last_day(tmp_path)
    assert last_day(tmp_path, NOW + 8 * DAY) == []


def test_several_findings_are_one_line(tmp_path: Path) -> None:
    kept(tmp_path, *[Kept("change", NOW - DAY, NOW, f"Finding {place}") for place in range(3)])
    assert last_day(tmp_path) == ["Finding 0. There are 2 more. See: metrics trends"]


@pytest.mark.parametrize(("day", "earliest", "said"), [(5, 3, "will be"), (40, 10, "may be"), (60, 40, "")])
def test_a_target_that_is_about_to_be_missed_is_said(tmp_path: Path, day: int, earliest: int, said: str) -> None:
    missed = Missed(4, 5.0, date(2026, 3, 30) + day * DAY, date(2026, 3, 30) + earliest * DAY, NOW)
    lines = last_day(kept(tmp_path, capacity=missed))
    if not said:
        assert lines == []
        return
    [line] = lines
    assert line.startswith(f"The target of 5 s {said} missed on ")
    assert line.endswith("See: metrics capacity --workers 4 --target-p95 5s")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}', b"\xff\x00"])
def test_a_damaged_file_and_one_of_another_version_say_nothing(tmp_path: Path, content: bytes) -> None:
    kept(tmp_path)
    (tmp_path / FILE).write_bytes(content)
    assert read(tmp_path) == Insight()
    assert last_day(tmp_path) == []
    assert last_day(tmp_path / "nothing there") == []


def test_a_report_of_all_queries_says_what_the_last_look_found(tmp_path: Path) -> None:
    weeks.store(tmp_path, weeks.Plan(failing_day=24))
    with open_store(tmp_path, since=weeks.START, until=NOW, time_zone="UTC") as store:
        keep_findings(tmp_path, store.trends())
        made = read(tmp_path).made
        assert made is not None
    with open_store(tmp_path, since=weeks.START + 24 * DAY, until=weeks.START + 25 * DAY, time_zone="UTC") as store:
        [line] = store.report().notices
        assert "failed, expected" in line
        assert store.report(where="agent=simple").notices == []
