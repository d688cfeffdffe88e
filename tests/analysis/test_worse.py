"""What got worse since the period before, and what chance explains."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from instrument.analysis.side_by_side import Row
from instrument.analysis.worse import LEAST, worse
from instrument.reading import open_store
from tests.web import states


def row(name: str, count: float = 400, *, p50: float = 300, p95: float = 900, failed: float = 4) -> Row:
    rate = failed / count
    fields = {"cancelled": 0.0, "busy_ms": p50 * count, "share": 0.1, "tokens": None, "cost_usd": None, "spread": []}
    return Row(name=name, count=count, failed=failed, failure_rate=rate, p50_ms=p50, p95_ms=p95, **fields)


def found(now: list[Row], before: list[Row]) -> list[tuple[str, str]]:
    return [(one.name, one.how) for one in worse("tool", now, {each.name: each for each in before})]


def test_what_fails_more_comes_first_and_then_what_is_slower_by_its_effect() -> None:
    before = [row(name) for name in ("a", "b", "c", "d")]
    now = [row("a", p50=500), row("b", failed=80), row("c", p50=600, p95=1800), row("d")]
    assert found(now, before) == [("b", "failing"), ("c", "slower"), ("a", "slower")]


def test_little_more_few_calls_and_new_names_are_not_worse() -> None:
    before = [row("little"), row("few", LEAST - 1), row("fails little", failed=40)]
    now = [row("little", p50=330), row("few", p50=3000), row("new", p50=3000), row("fails little", failed=50)]
    assert found(now, before) == []


def test_chance_alone_names_next_to_nothing() -> None:
    made = random.Random(3)

    def drawn(name: str) -> Row:
        times = sorted(made.lognormvariate(6, 1.2) for _ in range(100))
        return row(name, 100, p50=times[50], p95=times[95], failed=sum(made.random() < 0.02 for _ in times))

    names = [f"tool {number}" for number in range(500)]
    assert len(found([drawn(name) for name in names], [drawn(name) for name in names])) <= 3


@pytest.mark.parametrize(("kind", "name"), [("tool", "check_coverage"), ("agent", "billing")])
def test_the_overview_of_a_store_says_it_for_the_kinds_that_are_asked_for(tmp_path: Path, kind: str, name: str) -> None:
    states.week(tmp_path / "monitoring")
    with open_store(tmp_path / "monitoring", since=states.SINCE, until=states.UNTIL) as store:
        shown = store.overview(worse=("tool", "agent")).worse
        assert name in [one.name for one in shown if one.kind == kind]
        assert store.overview().worse == []
