from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from brute_force import calls, failed, figures, mean, percentile, times, total
from store_rows import NOON, random_rows, write

from instrument.analysis.results import Limits, Period, Stats
from instrument.analysis.stats import stats
from instrument.errors import UsageError
from instrument.rows.stored import QueryRow, SelectionRow
from instrument.store.tables import open_store


def detailed(directory: Path, agent: str | None = None) -> Stats:
    start = NOON - timedelta(hours=24)
    with open_store(directory, since=start, until=NOON) as tables:
        return stats(tables, Period(24, start, NOON, NOON), Limits(500, 5000), agent=agent)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 7.5)], ids=["all kept", "sampled"])
def test_details_are_what_plain_loops_find(tmp_path: Path, weights: tuple[float, ...]) -> None:
    rows = random_rows(31, 300, weights=weights)
    write(tmp_path, rows)
    found = detailed(tmp_path)
    expected = figures(rows, 500, 5000)
    queries = [row for row in rows if isinstance(row, QueryRow)]
    assert found.queries.total == pytest.approx(expected["queries"]["total"])
    for name, agent in found.agents.items():
        ours = [row for row in queries if (row.agent or "unknown") == name]
        roots = [row for row in ours if row.parent is None]
        sizes = [(row.result_size, row.weight) for row in roots if row.result_size is not None]
        errors: dict[str, float] = defaultdict(float)
        for row in roots:
            if failed(row):
                errors[row.error or ("unknown" if row.status == "error" else row.status)] += row.weight
        assert (agent.queries, agent.nested) == pytest.approx((total(roots), total(ours) - total(roots)))
        assert agent.cancelled == pytest.approx(total([row for row in roots if row.status == "cancelled"]))
        assert agent.p99_ms == pytest.approx(percentile(times(roots), 0.99))
        assert agent.average_result_bytes == pytest.approx(mean(sizes))
        assert agent.input_tokens == pytest.approx(sum((row.input_tokens or 0) * row.weight for row in roots))
        assert agent.errors == pytest.approx(errors)
        tools = sum(row.weight for row in roots for call in row.calls if call.kind == "tool")
        assert agent.tool_calls == pytest.approx(tools)
    assert set(found.agents) == set(expected["agents"])
    for kind, shown in (("tool", found.tools), ("graphql", found.graphql)):
        for name, detail in shown.items():
            ended = [call for call in calls(rows) if call[:2] == (kind, name) and call[2] is not None]
            busy = sum(duration / 1e6 * weight for _, _, duration, *_, weight in ended if duration is not None)
            assert detail.busy_ms == pytest.approx(busy)
            assert detail.p95_ms == pytest.approx(expected["tools" if kind == "tool" else "graphql"][name]["p95_ms"])
    chosen = sum(row.weight for row in queries if row.selection) + sum(isinstance(row, SelectionRow) for row in rows)
    assert sum(one.selections for one in found.selections.values()) == pytest.approx(chosen)
    assert msgspec.to_builtins(found.models) == {
        name: pytest.approx(model) for name, model in expected["models"].items()
    }
    assert msgspec.to_builtins(found.metrics) == {
        name: pytest.approx(metric) for name, metric in expected["metrics"].items()
    }
    assert sum(hour.queries for hour in found.hours) == pytest.approx(found.queries.total)
    assert [hour.start for hour in found.hours] == sorted({hour.start for hour in found.hours})


def test_stats_over_nothing_are_empty(tmp_path: Path) -> None:
    found = detailed(tmp_path)
    assert (found.queries.total, found.queries.success_rate) == (0, None)
    assert found.agents == found.tools == found.graphql == found.selections == found.models == {}
    assert found.hours == []


def test_stats_of_an_agent_that_is_not_there_name_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, random_rows(32, 50))
    with pytest.raises(UsageError, match="crewai, simple, unknown"):
        detailed(tmp_path, "nobody")
