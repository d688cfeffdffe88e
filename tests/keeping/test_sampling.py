"""Sampling: what is kept, what it stands for, and that reports stay right."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from instrument import configure, flush, query_span, record_selection, tool_span, track_query, track_tool
from instrument.analysis.report import report
from instrument.analysis.results import Limits, Period
from instrument.records import QueryRecord
from instrument.rows.stored import derived_id
from instrument.store.tables import open_store
from instrument.testing import capture


@track_query(agent="a")
def ask(text: str, deed: Callable[[], Any] = lambda: None) -> Any:
    return deed()


@track_tool
def look() -> None:
    return


def fail() -> None:
    raise ValueError("it fails")


def asked(count: int, deed: Callable[[], Any] = lambda: None) -> list[QueryRecord]:
    """What is kept of `count` queries."""
    with capture() as captured:
        for number in range(count):
            try:
                ask(f"ask-{number}", deed)
            except ValueError:
                continue
    return captured.queries


def test_rate_one_keeps_everything_as_itself() -> None:
    kept = asked(500)
    assert [query.weight for query in kept] == [1] * 500


def test_rate_zero_keeps_nothing_but_what_is_always_kept() -> None:
    configure(sample_rate=0)
    assert asked(500) == []
    assert [query.weight for query in asked(5, fail)] == [1] * 5
    configure(always_keep=[])
    assert asked(5, fail) == []


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_a_rate_between_keeps_its_share_and_each_stands_for_its_inverse(rate: float) -> None:
    configure(sample_rate=rate)
    kept = asked(20_000)
    assert {query.weight for query in kept} == {1 / rate}
    # Serials count up and are spread evenly, so the share is nearer than a draw's five standard deviations.
    assert abs(len(kept) - 20_000 * rate) < 5 * (20_000 * rate * (1 - rate)) ** 0.5


def test_errors_and_slow_queries_are_kept_and_stand_for_themselves() -> None:
    configure(sample_rate=0.01, slow_query_threshold_ms=0)
    assert [query.weight for query in asked(100)] == [1] * 100
    configure(slow_query_threshold_ms=5000)
    assert [query.weight for query in asked(100, fail)] == [1] * 100
    configure(always_keep="slow")
    assert len(asked(100, fail)) < 50


def test_calls_follow_their_query_and_those_outside_one_are_drawn_for_themselves() -> None:
    configure(sample_rate=0.2)
    assert all(query.tool_calls == 1 for query in asked(1000, look))
    with capture() as captured:
        for _ in range(5000):
            look()
    assert {call.weight for call in captured.calls} == {5}
    assert 700 < len(captured.calls) < 1300


def test_queries_inside_a_query_are_kept_with_it_or_not_at_all() -> None:
    configure(sample_rate=0.3)
    kept = asked(500, lambda: ask("inside"))
    outer = {query.query_id for query in kept if query.parent_id is None}
    inner = [query.parent_id for query in kept if query.parent_id is not None]
    assert 50 < len(outer) < 300
    assert sorted(inner) == sorted(outer)


def test_a_call_that_ends_late_is_written_only_where_its_query_is(tmp_path: Path) -> None:
    configure(sample_rate=0.5, directory=tmp_path / "store")
    for _ in range(200):
        with query_span("asked", agent="a"):
            span = tool_span("late")
            span.__enter__()
        assert flush()
        span.__exit__(None, None, None)
    assert flush()
    lines = [json.loads(line) for path in tmp_path.glob("store/*/*") for line in path.read_text().splitlines()]
    queries = [derived_id(line["t"], line["i"]) for line in lines if "type" not in line]
    assert 50 < len(queries) < 150
    assert sorted(line["parent"] for line in lines if line.get("type") == "call") == sorted(queries)
    assert {line["w"] for line in lines} == {2}


def test_weighted_totals_of_a_report_match_the_truth_within_their_error(tmp_path: Path) -> None:
    configure(directory=tmp_path / "store", sample_rate=0.1, on_full="wait")
    chance = random.Random(7)
    true: Counter[str] = Counter()
    for _ in range(30_000):
        agent, fails = chance.choices(["simple", "multi"], [0.8, 0.2])[0], chance.random() < 0.03
        true.update([agent, "failed"] if fails else [agent])
        try:
            with query_span("asked", agent=agent) as query:
                query.add_entities("customers")
                look()
                if fails:
                    fail()
        except ValueError:
            continue
    assert flush()
    now = datetime.now(UTC)
    with open_store(tmp_path / "store") as tables:
        figures = report(tables, Period(1, now - timedelta(hours=1), now, now), Limits(5e3, 3e4))
    error = 5 * (30_000 * 10) ** 0.5  # five standard deviations of a count of drawn records that stand for ten each
    assert figures.queries.failed == true["failed"]
    assert figures.queries.total == pytest.approx(30_000, abs=error)
    assert figures.queries.success_rate == pytest.approx(1 - true["failed"] / 30_000, abs=0.003)
    assert figures.tools["look"].calls == pytest.approx(30_000, abs=error)
    assert figures.entities["customers"] == pytest.approx(30_000, abs=error)
    for agent in ("simple", "multi"):
        assert figures.agents[agent].queries == pytest.approx(true[agent], abs=error)
        assert figures.agents[agent].share == pytest.approx(true[agent] / 30_000, abs=0.05)


def test_what_is_switched_off_is_not_kept() -> None:
    def detailed() -> None:
        with query_span("asked", agent="b") as query:
            query.add_entities("customers")
            record_selection("b", complexity_score=0.5, reason="because")
            look()

    for setting, kept in (
        ("enable_tool_tracking", (0, ["customers"], 0.5)),
        ("enable_entity_detection", (1, [], 0.5)),
        ("enable_complexity_scoring", (1, ["customers"], None)),
    ):
        configure(**{setting: False})
        with capture() as captured:
            detailed()
        [query] = captured.queries
        assert query.selection is not None
        assert (query.tool_calls, query.entities_detected, query.selection.complexity_score) == kept
        configure(**{setting: True})
