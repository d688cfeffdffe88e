"""What a difference comes from is named where one part explains it, not where parts took each other's place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from store_rows import query

from instrument.analysis.contributions import Source, Stretch, largest
from instrument.analysis.periods import BEGINNING
from instrument.reading import open_store
from instrument.rows.stored import QueryRow
from instrument.sinks.segments import SegmentSink

AT = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stretch(number: int) -> Stretch:
    begin = (AT + number * HOUR - BEGINNING) // timedelta(microseconds=1)
    return begin, begin + 3_600_000_000


def rows(hour: int, **counts: int) -> list[QueryRow]:
    """Queries of one hour: so many of each agent, of the version that this hour has."""
    return [
        query(AT + hour * HOUR + timedelta(seconds=place), agent, attributes={"version": f"1.{hour}"})
        for agent, count in counts.items()
        for place in range(count)
    ]


def source(folder: Path, *, rises: bool, before: dict[str, int], after: dict[str, int]) -> Source | None:
    sink = SegmentSink(folder)
    sink.write([*rows(0, **before), *rows(1, **after)])
    sink.close()
    with open_store(folder) as store:
        return largest(store.tables, "queries", stretch(0), stretch(1), rises=rises)


def test_the_agent_that_has_fewer_queries_explains_a_fall_and_not_the_version_that_went(tmp_path: Path) -> None:
    found = source(tmp_path, rises=False, before={"crewai": 60, "simple": 40}, after={"crewai": 30, "simple": 40})
    assert found == Source("agent", "crewai", 1.0, "volume")


def test_nothing_explains_a_rise_where_the_plain_sums_fell(tmp_path: Path) -> None:
    assert source(tmp_path, rises=True, before={"crewai": 60, "simple": 40}, after={"crewai": 30, "simple": 40}) is None
