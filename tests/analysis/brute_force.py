"""The report's figures by plain loops over the rows, to hold the SQL against."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from instrument.rows.stored import QueryRow, Row, SelectionRow, StandaloneCallRow, succeeded

Durations = list[tuple[float, float]]
"""(duration in ms, weight)"""


def percentile(durations: Durations, share: float) -> float | None:
    """By linear interpolation, each value standing `weight` times in the list."""
    if not durations:
        return None
    ordered = sorted(durations)
    rank = share * (sum(weight for _, weight in ordered) - 1)
    before = 0.0
    for place, (value, weight) in enumerate(ordered):
        last = before + weight - 1
        if rank <= last or place == len(ordered) - 1:
            return value
        if rank < last + 1:
            return value + (rank - last) * (ordered[place + 1][0] - value)
        before += weight
    raise AssertionError("unreachable")


def mean(pairs: Durations) -> float | None:
    weight = sum(weight for _, weight in pairs)
    return math.fsum(value * weight for value, weight in pairs) / weight if pairs else None


def times(queries: Sequence[QueryRow]) -> Durations:
    return [(row.duration / 1e6, row.weight) for row in queries]


def total(queries: Sequence[QueryRow]) -> float:
    return sum(row.weight for row in queries)


def figures(rows: list[Row], slow_ms: float, very_slow_ms: float) -> dict[str, Any]:
    queries = [row for row in rows if isinstance(row, QueryRow)]
    roots = [row for row in queries if row.parent is None]
    good = [row for row in roots if succeeded(row.status)]
    by_agent: dict[str, list[QueryRow]] = defaultdict(list)
    entities: dict[str, float] = defaultdict(float)
    for row in roots:
        by_agent[row.agent or "unknown"].append(row)
        for entity in row.entities or ():
            entities[entity] += row.weight
    scores = [(row.selection.score, row.weight) for row in roots if row.selection and row.selection.score is not None]
    scores += [(row.score, 1.0) for row in rows if isinstance(row, SelectionRow) and row.score is not None]
    return {
        "queries": {
            "total": total(roots),
            "successful": total(good),
            "failed": total(roots) - total(good),
            "success_rate": total(good) / total(roots),
        },
        "agents": {
            agent: {
                "queries": total(of_agent),
                "share": total(of_agent) / total(roots),
                "success_rate": total([row for row in of_agent if succeeded(row.status)]) / total(of_agent),
                "average_ms": mean(times(of_agent)),
                "p95_ms": percentile(times(of_agent), 0.95),
            }
            for agent, of_agent in by_agent.items()
        },
        "response_times": {
            "average_ms": mean(times(roots)),
            "min_ms": min(times(roots))[0],
            "max_ms": max(times(roots))[0],
            "p50_ms": percentile(times(roots), 0.5),
            "p95_ms": percentile(times(roots), 0.95),
            "p99_ms": percentile(times(roots), 0.99),
            "slow": total([row for row in roots if row.duration > slow_ms * 1e6]),
            "very_slow": total([row for row in roots if row.duration > very_slow_ms * 1e6]),
        },
        "entities": dict(entities),
        "complexity": {
            "average": mean(scores),
            "high": sum(weight for score, weight in scores if score > 0.7),
            "scored": sum(weight for _, weight in scores),
        },
        "tools": call_figures(rows, "tool"),
        "graphql": call_figures(rows, "graphql"),
        "errors": errors(rows),
    }


def calls(rows: list[Row]) -> list[tuple[str, str, int | None, str, str | None, bool, float]]:
    inside = [
        (call.kind, call.name, call.duration, call.status, call.error, call.passed_on, row.weight)
        for row in rows
        if isinstance(row, QueryRow)
        for call in row.calls
    ]
    loose = [
        (row.kind, row.name, row.duration, row.status, row.error, row.passed_on, row.weight)
        for row in rows
        if isinstance(row, StandaloneCallRow)
    ]
    return [*inside, *loose]


def call_figures(rows: list[Row], wanted: str) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for name in {call[1] for call in calls(rows) if call[0] == wanted}:
        ours = [call for call in calls(rows) if call[:2] == (wanted, name)]
        ended = [(duration / 1e6, weight) for _, _, duration, *_, weight in ours if duration is not None]
        found[name] = {
            "calls": sum(call[-1] for call in ours),
            "failed": sum(call[-1] for call in ours if call[2] is None or not succeeded(call[3])),
            "average_ms": mean(ended),
            "p95_ms": percentile(ended, 0.95),
        }
    return found


def errors(rows: list[Row]) -> dict[str, float]:
    counted: dict[str, float] = defaultdict(float)
    for row in rows:
        if isinstance(row, QueryRow) and not succeeded(row.status) and not row.passed_on:
            counted[row.error or ("unknown" if row.status == "error" else row.status)] += row.weight
    for _, _, duration, status, error, passed_on, weight in calls(rows):
        if error is not None and (duration is None or not succeeded(status)) and not passed_on:
            counted[error] += weight
    return dict(counted)
