"""Queries that are unusual for their agent and size are found with their reasons; ordinary ones are not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import weeks
from store_rows import SERIAL, query

from instrument.analysis.outliers import Outlier
from instrument.reading import open_store
from instrument.rows.stored import CallRow, Row
from instrument.sinks.segments import SegmentSink

DAYS = 14


def found(folder: Path, *more: Row, seed: int = 1, **asked: Any) -> list[Outlier]:
    sink = SegmentSink(folder / "store")
    sink.write([*weeks.rows_of(weeks.Plan(days=DAYS, seed=seed)), *more])
    sink.close()
    with open_store(folder / "store", since=weeks.START, until=weeks.START + timedelta(days=DAYS)) as store:
        return store.outliers(**asked)


def odd(serial: int, **given: Any) -> Row:
    plain: dict[str, Any] = {
        "duration": 4_000_000_000,
        "calls": [CallRow("find_customers", 0, duration=2_000_000_000)],
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_usd": 0.002,
    }
    return query(weeks.START + timedelta(days=9), "crewai", serial=SERIAL - serial, **plain | given)


def test_ordinary_queries_are_not_unusual_beyond_the_budget(tmp_path: Path) -> None:
    count = sum(len(found(tmp_path / str(seed), seed=seed)) for seed in range(5))
    assert count <= 5 * DAYS / 7


def test_a_slow_query_is_found_with_what_it_took_and_what_is_usual(tmp_path: Path) -> None:
    [one] = found(tmp_path, odd(1, duration=300_000_000_000))
    assert {reason.measure for reason in one.reasons} == {"own time", "duration"}
    [duration] = [reason for reason in one.reasons if reason.measure == "duration"]
    assert duration.value == pytest.approx(300_000)
    assert 3_000 < duration.usual < 6_000
    assert one.similar > 500
    assert "agent crewai" in one.sentence
    assert one.command == f"metrics show {one.query_id}"


def test_each_measure_can_be_the_reason(tmp_path: Path) -> None:
    calls = [CallRow("find_customers", 0, duration=1_000_000) for _ in range(60)]
    given: dict[str, dict[str, Any]] = {
        "tool calls": {"calls": calls},
        "tokens": {"input_tokens": 90_000},
        "cost": {"cost_usd": 4.5},
    }
    queries = found(tmp_path, *(odd(place + 1, **one) for place, one in enumerate(given.values())))
    assert {query.reasons[0].measure for query in queries} == set(given)


def test_an_agent_of_few_queries_has_no_unusual_one(tmp_path: Path) -> None:
    rows = [query(weeks.START + timedelta(days=5, minutes=place), "rare", serial=place + 1) for place in range(20)]
    rows.append(query(weeks.START + timedelta(days=6), "rare", serial=99, duration=10**14))
    assert not found(tmp_path, *rows)


def test_absurd_and_missing_values_are_answered(tmp_path: Path) -> None:
    [one] = found(tmp_path, odd(1, cost_usd=1e300), odd(2, cost_usd=None), odd(3, cost_usd=float("nan")))
    assert one.reasons[0].measure == "cost"


def test_a_single_query_is_judged_by_those_before_it(tmp_path: Path) -> None:
    [one] = found(tmp_path, odd(1, duration=300_000_000_000))
    with open_store(tmp_path / "store", since=weeks.START, until=weeks.START + timedelta(days=DAYS)) as store:
        again = store.unusual(one.query_id)
        assert again is not None
        assert [reason.measure for reason in again.reasons] == ["duration"]
        assert again.similar < one.similar
        first = store.queries()[-1].query_id
        assert store.unusual(first) is None
        assert store.unusual("no such id") is None


def test_filters_and_limits_hold(tmp_path: Path) -> None:
    rows = [odd(place, duration=300_000_000_000 + place) for place in range(1, 4)]
    assert len(found(tmp_path, *rows, limit=2)) == 2
    assert not found(tmp_path / "other", *rows, where="agent=simple")
