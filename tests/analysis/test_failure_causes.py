"""Failures of a stretch are explained by the error and the call behind most of them, and by nothing behind few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from store_rows import query

from instrument.analysis.failure_causes import Cause, commonest
from instrument.reading import open_store
from instrument.rows.stored import CallRow, QueryRow
from instrument.sinks.segments import SegmentSink

AT = datetime(2026, 3, 2, tzinfo=UTC)
ALL = (0, 2**60)


def failed(number: int, error: str | None, *calls: CallRow) -> QueryRow:
    made: QueryRow = query(
        AT + timedelta(seconds=number), serial=number, status="error", error=error, calls=list(calls)
    )
    return made


def raising(name: str, error: str) -> CallRow:
    return CallRow(name, 0, duration=1000, status="error", error=error)


def cause(folder: Path, *rows: QueryRow) -> Cause | None:
    sink = SegmentSink(folder)
    sink.write(rows)
    sink.close()
    with open_store(folder) as store:
        return commonest(store.tables, ALL)


def test_the_error_of_most_failures_and_the_call_that_raised_it_are_named(tmp_path: Path) -> None:
    twice = [raising("get_account", "TimeoutError")] * 2  # tried again: one query all the same
    rows = [failed(1, "TimeoutError", *twice), failed(2, "TimeoutError", *twice), failed(3, "ValueError")]
    assert cause(tmp_path, *rows, query(AT, serial=4)) == Cause("TimeoutError", 3, 2, "get_account")


def test_a_call_that_raised_another_error_is_not_blamed(tmp_path: Path) -> None:
    rows = [failed(number, "ValueError", raising("get_account", "TimeoutError")) for number in range(3)]
    assert cause(tmp_path, *rows) == Cause("ValueError", 3, 3, None)


def test_failures_without_an_exception_are_named_by_their_status(tmp_path: Path) -> None:
    assert cause(tmp_path, failed(1, None)) == Cause("error", 1, 1, None)


def test_where_no_error_is_behind_half_of_them_none_is_named(tmp_path: Path) -> None:
    assert cause(tmp_path, *(failed(number, f"{name}Error") for number, name in enumerate("ABC"))) is None


def test_without_failures_there_is_no_cause(tmp_path: Path) -> None:
    assert cause(tmp_path, query(AT, serial=1)) is None
