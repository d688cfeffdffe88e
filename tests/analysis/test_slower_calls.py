"""A change of durations is explained by the call that takes longer, or is made more often, and by no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_rows import query

from instrument.analysis.periods import BEGINNING
from instrument.analysis.slower_calls import SlowerCall, slower_call
from instrument.reading import open_store
from instrument.rows.stored import CallRow
from instrument.sinks.segments import SegmentSink

AT = datetime(2026, 3, 2, tzinfo=UTC)
MS = 1_000_000


def call(name: str, ms: float, kind: str = "tool", parent: int | None = None) -> CallRow:
    return CallRow(name, 0, parent, round(ms * MS), kind)


def explained(
    folder: Path, before: list[CallRow], after: list[CallRow], own: tuple[float, float] = (100, 100)
) -> SlowerCall | None:
    """Twenty queries with each list of calls; a query takes as long as its outer calls, and so many ms of its own."""
    rows = [
        query(
            AT + timedelta(hours=hour, seconds=place),
            serial=100 * hour + place,
            calls=calls,
            duration=round(own[hour] * MS) + sum(each.duration or 0 for each in calls if each.parent is None),
        )
        for hour, calls in enumerate((before, after))
        for place in range(20)
    ]
    sink = SegmentSink(folder)
    sink.write(rows)
    sink.close()
    begin = (AT - BEGINNING) // timedelta(microseconds=1)
    hour = 3_600_000_000
    with open_store(folder) as store:
        return slower_call(store.tables, (begin, begin + hour), (begin + hour, begin + 2 * hour))


def test_the_tool_that_takes_longer_is_named_with_both_averages(tmp_path: Path) -> None:
    found = explained(
        tmp_path, [call("find", 200), call("quote", 300)], [call("find", 210), call("quote", 900), call("other", 20)]
    )
    assert found is not None
    assert (found.kind, found.name, found.a_query) == ("tool", "quote", (1, 1))
    assert found.share == pytest.approx(600 / 630)
    assert (found.before, found.after) == pytest.approx((300, 900))


def test_a_tool_that_is_called_more_often_is_named_with_how_often(tmp_path: Path) -> None:
    found = explained(tmp_path, [call("quote", 300)], [call("quote", 300)] * 3)
    assert found is not None
    assert (found.name, found.a_query, found.share) == ("quote", (1, 3), 1)


def test_of_a_call_inside_another_the_inner_one_is_named(tmp_path: Path) -> None:
    found = explained(
        tmp_path,
        [call("find", 310), call("Customers", 300, "graphql", 0)],
        [call("find", 910), call("Customers", 900, "graphql", 0)],
    )
    assert found is not None
    assert (found.kind, found.name) == ("graphql", "Customers")


def test_time_that_no_call_took_is_blamed_on_none(tmp_path: Path) -> None:
    assert explained(tmp_path, [call("find", 200)], [call("find", 210)], own=(100, 500)) is None
