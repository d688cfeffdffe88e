from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from instrument.analysis.periods import BEGINNING, Period, period, time_of, zone_of
from instrument.errors import UsageError

NOW = datetime(2026, 11, 25, 2, 30, 15, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-25T02:30:15Z"),
        ("today", "2026-11-25T00:00:00+01:00"),
        ("Yesterday", "2026-11-24T00:00:00+01:00"),
        ("2026-11-20", "2026-11-20T00:00:00+01:00"),
        ("2026-11-20T14:30", "2026-11-20T14:30:00+01:00"),
        ("2026-11-20 14:30:05.5", "2026-11-20T14:30:05.5+01:00"),
        ("2026-11-20T14:30Z", "2026-11-20T14:30:00Z"),
        ("2026-11-20T14:30+05:30", "2026-11-20T09:00:00Z"),
        ("14:30", "2026-11-25T14:30:00+01:00"),
        ("-90m", "2026-11-25T01:00:15Z"),
        ("-7d", "2026-11-18T02:30:15Z"),
        ("-1d12h", "2026-11-23T14:30:15Z"),
        ("-1.5h", "2026-11-25T01:00:15Z"),
        ("1000-01-01", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_read_in_the_zone_that_it_is_meant_in(text: str, expected: str) -> None:
    assert time_of(text, BERLIN, NOW) == moment(expected)


def test_days_are_those_of_the_calendar_where_the_clock_changes() -> None:
    after = datetime(2026, 3, 29, 12, tzinfo=UTC)  # the clock went from 2:00 to 3:00 that night
    assert time_of("-1d", BERLIN, after) == moment("2026-03-28T14:00+01:00")
    assert time_of("-24h", BERLIN, after) == moment("2026-03-28T12:00Z")
    today, tomorrow = time_of("2026-03-29", BERLIN, after), time_of("2026-03-30", BERLIN, after)
    assert tomorrow - today == timedelta(hours=23)
    back = time_of("2026-10-26", BERLIN, after) - time_of("2026-10-25", BERLIN, after)
    assert back == timedelta(hours=25)
    assert time_of("2026-03-29T02:30", BERLIN, after) == moment("2026-03-29T01:30Z")
    assert time_of("2026-10-25T02:30", BERLIN, after) == moment("2026-10-25T00:30Z")


@pytest.mark.parametrize(
    "text", ["", "soon", "-7", "-7x", "7d", "2026-13-01", "25:00", "2026-11-20T99:00", "-" + "9" * 400 + "d"]
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match=r"--since .* (is no time|is too far away).*2026-11-20"):
        time_of(text, UTC, NOW, "--since")


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ({}, None, "2026-11-25T02:30:15Z"),
        ({"hours": 1.5}, "2026-11-25T01:00:15Z", "2026-11-25T02:30:15Z"),
        ({"default_hours": 24}, "2026-11-24T02:30:15Z", "2026-11-25T02:30:15Z"),
        ({"since": "yesterday"}, "2026-11-24T00:00:00Z", "2026-11-25T02:30:15Z"),
        ({"since": "yesterday", "until": "today"}, "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
        ({"since": "2026-11-20", "hours": 2}, "2026-11-20T00:00:00Z", "2026-11-20T02:00:00Z"),
        ({"until": "2026-11-20", "hours": 2}, "2026-11-19T22:00:00Z", "2026-11-20T00:00:00Z"),
        ({"until": "2026-11-20", "default_hours": 1}, "2026-11-19T23:00:00Z", "2026-11-20T00:00:00Z"),
        ({"since": datetime(2026, 11, 20)}, "2026-11-20T00:00:00Z", "2026-11-25T02:30:15Z"),
    ],
    ids=str,
)
def test_any_two_of_beginning_end_and_length_make_a_period(
    asked: dict[str, object], begin: str | None, end: str
) -> None:
    found = period(time_zone="UTC", now=NOW, **asked)  # type: ignore[arg-type]
    assert (found.since, found.until) == (begin and moment(begin), moment(end))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"since": "today", "until": "yesterday"}, "--since today is not before --until yesterday"),
        ({"since": "2026-11-20", "until": "2026-11-20"}, "midnight"),
        ({"since": "2030-01-01"}, "not in the past"),
        ({"since": "today", "until": "now", "hours": 1}, "leave one of them out"),
        ({"hours": 0.0}, "above 0"),
        ({"time_zone": "Europe/Berln"}, "did you mean Europe/Berlin"),
        ({"time_zone": "berlin"}, "did you mean Europe/Berlin"),
        ({"time_zone": "../../etc/passwd"}, "there is no time zone"),
    ],
    ids=str,
)
def test_what_makes_no_period_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        period(now=NOW, **asked)  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_too_long_a_period_is_cut_at_its_beginning_and_says_so() -> None:
    cut = period(hours=720, most_hours=168, now=NOW)
    assert (cut.hours, cut.until) == (168, NOW)
    assert "168 hours" in cut.note
    assert period(hours=168, most_hours=168, now=NOW).note == ""
    assert period(hours=1e300, now=NOW).since == BEGINNING


def test_an_end_that_was_asked_for_is_not_part_of_the_period() -> None:
    asked = period(since="2026-11-20", until="2026-11-21", time_zone="UTC", now=NOW)
    assert asked.last == moment("2026-11-20T23:59:59.999999Z")
    assert period(hours=1, now=NOW).last == NOW


@pytest.mark.parametrize(
    ("name", "shown"), [("utc", "UTC"), ("europe/berlin", "Europe/Berlin"), ("+05:30", "UTC+05:30")]
)
def test_a_zone_has_its_name(name: str, shown: str) -> None:
    assert zone_of(name)[1] == shown


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the platform cannot change its zone")
def test_the_local_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        for name in ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"):  # a name, and rules that no name stands for
            monkeypatch.setenv("TZ", name)
            time.tzset()
            found = period(since="2026-07-01", until="2026-12-01", now=NOW + timedelta(days=99))
            assert _hours_from_utc(found) == (4, 5)
    finally:
        monkeypatch.undo()
        time.tzset()


def _hours_from_utc(found: Period) -> tuple[int, int]:
    assert found.since is not None
    return found.since.hour, found.until.hour
