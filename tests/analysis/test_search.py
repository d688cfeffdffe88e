from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, micros, query, write

from instrument.analysis.search import around, find, one
from instrument.errors import UsageError
from instrument.rows import as_records, stored
from instrument.rows.stored import CallRow, utc_text
from instrument.store.tables import open_store

ROWS = [
    query(NOON - timedelta(minutes=3), user_input="Unpaid BILLS in India", calls=[CallRow("lookup", 0, duration=5)]),
    query(NOON - timedelta(minutes=2), "crewai", serial=SERIAL + 1, status="error", error="ValueError", message="no"),
    query(NOON - timedelta(minutes=1), None, "plans", serial=SERIAL + 2, duration=6_000_000_000),
]
IDS = [stored.id_of(row) for row in ROWS]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [2, 1, 0]),
        ({"limit": 2}, [2, 1]),
        ({"failed": True}, [1]),
        ({"slow_ms": 5000}, [2]),
        ({"slow_ms": 6000}, []),
        ({"agent": "unknown"}, [2]),
        ({"contains": "bills IN"}, [0]),
        ({"contains": "100 %"}, []),
        ({"failed": True, "agent": "simple"}, []),
    ],
    ids=str,
)
def test_queries_are_found_newest_first(tmp_path: Path, asked: dict[str, object], expected: list[int]) -> None:
    write(tmp_path, list(ROWS))
    with open_store(tmp_path) as tables:
        assert [line.query_id for line in find(tables, **asked)] == [IDS[place] for place in expected]  # type: ignore[arg-type]


def test_a_line_says_what_happened(tmp_path: Path) -> None:
    write(tmp_path, list(ROWS))
    with open_store(tmp_path) as tables:
        [failed] = find(tables, failed=True)
        [called] = find(tables, contains="india")
    assert (failed.success, failed.status, failed.error_type, failed.error_message) == (
        False,
        "error",
        "ValueError",
        "no",
    )
    assert (called.start_time, called.tool_calls, called.duration_ms) == ("2026-03-10T11:57:00.000000Z", 1, 1000.0)


def test_impossible_questions_say_what_would_be_possible(tmp_path: Path) -> None:
    write(tmp_path, list(ROWS))
    with open_store(tmp_path) as tables:
        with pytest.raises(UsageError, match="crewai, simple, unknown"):
            find(tables, agent="nobody")
        with pytest.raises(UsageError, match="limit of 0"):
            find(tables, limit=0)
        with pytest.raises(UsageError, match="no query has the id 'zz'"):
            one(tables, "zz")
        with pytest.raises(UsageError, match="several.*" + IDS[0]):
            one(tables, IDS[0][:4])
        with pytest.raises(UsageError, match="empty id"):
            one(tables, " ")


def test_one_query_comes_by_its_id_or_the_beginning_of_it(tmp_path: Path) -> None:
    write(tmp_path, list(ROWS))
    with open_store(tmp_path) as tables:
        for asked in (IDS[1], IDS[1].upper(), IDS[1][:-1]):
            expected = as_records.query_record(ROWS[1])
            assert one(tables, asked) == expected
        shortest = next(IDS[0][:n] for n in range(1, 36) if sum(each.startswith(IDS[0][:n]) for each in IDS) == 1)
        assert one(tables, shortest).query_id == IDS[0]


def test_an_id_that_says_another_time_than_its_query_is_found_all_the_same(tmp_path: Path) -> None:
    elsewhere = stored.derived_id(micros(NOON - timedelta(days=3)), SERIAL)
    write(tmp_path, [*ROWS, query(NOON, serial=SERIAL + 9, query_id=elsewhere), query(NOON, query_id="from-outside")])
    with open_store(tmp_path) as tables:
        for asked in (elsewhere, elsewhere[:20], "from-outside", "from-out"):
            assert one(tables, asked).start_time == utc_text(micros(NOON))


def test_the_time_of_an_id_says_where_to_look_for_its_query() -> None:
    found = around(IDS[0], timedelta(days=1))
    assert found is not None
    started = NOON - timedelta(minutes=3)
    assert (found.since, found.until) == (started - timedelta(hours=1), started + timedelta(days=1))
    open_ended = around(IDS[0])
    assert open_ended is not None
    assert open_ended.ends_now
    in_future = stored.derived_id(micros(datetime.now(UTC) + timedelta(days=2)), 7)
    for unknown in (IDS[0][:13], "from-outside", "0f8fad5b-d9cb-469f-a165-70867728950e", in_future, "f" * 8):
        assert around(unknown) is None


def test_a_cancelled_query_is_none_of_those_that_failed(tmp_path: Path) -> None:
    write(tmp_path, [*ROWS, query(NOON, serial=SERIAL + 9, status="cancelled", error="CancelledError")])
    with open_store(tmp_path) as tables:
        assert [line.query_id for line in find(tables, failed=True)] == [IDS[1]]
