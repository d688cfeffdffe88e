from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.analysis import wording as figures


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0004, "<1 µs"),
        (0.0042, "4.2 µs"),
        (0.42, "420 µs"),
        (0.999, "999 µs"),
        (0.9996, "1.0 ms"),
        (4.2, "4.2 ms"),
        (9.97, "10 ms"),
        (640, "640 ms"),
        (999.6, "1.0 s"),
        (1400, "1.4 s"),
        (59_949, "59.9 s"),
        (59_960, "1 m 00 s"),
        (71_300, "1 m 11 s"),
        (3_599_600, "1 h 00 m"),
        (7_500_000, "2 h 05 m"),
        (86_399_000, "1 d 0 h"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_a_duration_has_the_unit_that_fits(milliseconds: float | None, shown: str) -> None:
    assert figures.duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "–"), (0, "0.0 %"), (1, "100.0 %"), (0.974, "97.4 %"), (0.99999, ">99.9 %"), (0.00001, "<0.1 %")],
)
def test_a_share_is_all_or_nothing_only_when_it_is(share: float | None, shown: str) -> None:
    assert figures.percent(share) == shown


@pytest.mark.parametrize(
    ("hours", "shown"),
    [
        (1, "hour"),
        (24, "24 hours"),
        (0.25, "15 minutes"),
        (1 / 60, "minute"),
        (1 / 360, "10 seconds"),
        (1.5, "1.5 hours"),
        (40.6612, "40.7 hours"),
        (168, "7 days"),
        (30, "30 hours"),
    ],
)
def test_a_period_is_told_in_its_largest_fitting_unit(hours: float, shown: str) -> None:
    assert figures.hours(hours) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "0 bytes"), (999, "999 bytes"), (2048, "2.0 kB"), (5.2e9, "5.2 GB")])
def test_a_size_has_the_unit_that_fits(value: float, shown: str) -> None:
    assert figures.size(value) == shown


def test_a_count_has_its_thousands_apart() -> None:
    assert figures.count(1284) == "1,284"
    assert figures.several(1, "query", "queries") == "1 query"
    assert figures.several(1284, "query", "queries") == "1,284 queries"


def test_a_time_without_an_offset_is_utc_and_one_with_is_brought_there() -> None:
    assert figures.moment("2026-11-22T06:30:00") == figures.moment("2026-11-22T08:30:00+02:00")


def test_what_is_still_to_come_is_told_so() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert figures.ago(now - timedelta(hours=3), now) == "3 hours ago"
    assert figures.ago(now + timedelta(days=1), now) == "in 1 day"


@given(st.floats(min_value=0, max_value=1e11))
def test_every_duration_is_short_enough_for_its_column(milliseconds: float) -> None:
    assert len(figures.duration(milliseconds)) <= 12
