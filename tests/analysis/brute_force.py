"""The report's figures by plain loops over the rows, to hold the SQL against."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instrument.rows.live import ModelFacts
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


def failed(row: QueryRow) -> bool:
    return not succeeded(row.status) and row.status != "cancelled"


def success_rate(queries: Sequence[QueryRow]) -> float | None:
    good, bad = total([row for row in queries if succeeded(row.status)]), total(list(filter(failed, queries)))
    return good / (good + bad) if good + bad else None


def cost(queries: Sequence[QueryRow]) -> float | None:
    known = [usd * row.weight for row in queries if (usd := cost_of(row)) is not None]
    return math.fsum(known) if known else None


def tokens(queries: Sequence[QueryRow], kind: str) -> float:
    return sum((getattr(row, f"{kind}_tokens") or 0) * row.weight for row in queries)


def group(queries: Sequence[QueryRow], everything: float) -> dict[str, Any]:
    """The figures of an agent, or of whatever else queries have in common."""
    return {
        "queries": total(queries),
        "share": total(queries) / everything,
        "failed": total(list(filter(failed, queries))),
        "cancelled": total([row for row in queries if row.status == "cancelled"]),
        "success_rate": success_rate(queries),
        "average_ms": mean(times(queries)),
        "p95_ms": percentile(times(queries), 0.95),
        "busy_ms": math.fsum(duration * weight for duration, weight in times(queries)),
        "input_tokens": tokens(queries, "input"),
        "output_tokens": tokens(queries, "output"),
        "tokens": tokens(queries, "input") + tokens(queries, "output"),
        "cost_usd": cost(queries),
    }


@dataclass
class ModelUse:
    """A model's call, or a query that names a model and has no calls of it."""

    duration: int | None
    status: str
    weight: float
    input_tokens: int | None
    output_tokens: int | None
    first_chunk: int | None
    cost: float | None


def model_uses(rows: list[Row]) -> dict[str, list[ModelUse]]:
    found: dict[str, list[ModelUse]] = defaultdict(list)
    for row in (row for row in rows if isinstance(row, QueryRow)):
        of_models = [call for call in row.calls if call.kind == "model"]
        for call in of_models:
            facts = call.facts or ModelFacts()
            found[facts.model or call.name].append(
                ModelUse(
                    call.duration,
                    "abandoned" if call.duration is None else call.status,
                    row.weight,
                    facts.input_tokens,
                    facts.output_tokens,
                    facts.first_chunk,
                    facts.cost_usd,
                )
            )
        if row.model is not None and not of_models:
            figures = (row.input_tokens, row.output_tokens, row.first_chunk, cost_of(row))
            found[row.model].append(ModelUse(row.duration, row.status, row.weight, *figures))
    return found


def cost_of(row: QueryRow) -> float | None:
    return row.cost_usd if row.cost_usd is not None else (row.metrics or {}).get("cost_usd")


def model(uses: list[ModelUse]) -> dict[str, Any]:
    ended = [(use.duration / 1e6, use.weight) for use in uses if use.duration is not None]
    chunks = [(use.first_chunk / 1e6, use.weight) for use in uses if use.first_chunk is not None]
    seconds = sum((use.duration or 0) / 1e9 * use.weight for use in uses if use.output_tokens is not None)
    made = sum((use.output_tokens or 0) * use.weight for use in uses)
    costs = [use.cost * use.weight for use in uses if use.cost is not None]
    return {
        "calls": sum(use.weight for use in uses),
        "failed": sum(use.weight for use in uses if use.status in ("error", "abandoned")),
        "cancelled": sum(use.weight for use in uses if use.status == "cancelled"),
        "average_ms": mean(ended),
        "p95_ms": percentile(ended, 0.95),
        "busy_ms": math.fsum(duration * weight for duration, weight in ended),
        "first_chunk_p95_ms": percentile(chunks, 0.95),
        "input_tokens": sum((use.input_tokens or 0) * use.weight for use in uses),
        "output_tokens": made,
        "tokens_per_second": made / seconds if made and seconds else None,
        "cost_usd": math.fsum(costs) if costs else None,
    }


def metrics(queries: Sequence[QueryRow]) -> dict[str, dict[str, float | None]]:
    values: dict[str, Durations] = defaultdict(list)
    for row in queries:
        for name, value in (row.metrics or {}).items():
            values[name].append((value, row.weight))
    return {
        name: {
            "count": sum(weight for _, weight in pairs),
            "mean": mean(pairs),
            "p50": percentile(pairs, 0.5),
            "p95": percentile(pairs, 0.95),
            "sum": math.fsum(value * weight for value, weight in pairs),
        }
        for name, pairs in values.items()
    }


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
    chunks = [(row.first_chunk / 1e6, row.weight) for row in roots if row.first_chunk is not None]
    return {
        "queries": {
            "total": total(roots),
            "successful": total(good),
            "failed": total(list(filter(failed, roots))),
            "cancelled": total([row for row in roots if row.status == "cancelled"]),
            "success_rate": success_rate(roots),
        },
        "agents": {agent: group(of_agent, total(roots)) for agent, of_agent in by_agent.items()},
        "first_chunk": {
            "streams": sum(weight for _, weight in chunks),
            "average_ms": mean(chunks),
            "p50_ms": percentile(chunks, 0.5),
            "p95_ms": percentile(chunks, 0.95),
        },
        "models": {name: model(uses) for name, uses in model_uses(rows).items()},
        "metrics": metrics(roots),
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
        "errors": errors(roots),
        "call_errors": call_errors(rows),
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
            "failed": sum(call[-1] for call in ours if call_failed(call[2], call[3])),
            "cancelled": sum(call[-1] for call in ours if call[2] is not None and call[3] == "cancelled"),
            "busy_ms": math.fsum(duration * weight for duration, weight in ended),
            "average_ms": mean(ended),
            "p95_ms": percentile(ended, 0.95),
        }
    return found


def call_failed(duration: int | None, status: str) -> bool:
    return duration is None or (not succeeded(status) and status != "cancelled")


def errors(queries: Sequence[QueryRow]) -> dict[str, float]:
    """What failed queries failed with."""
    counted: dict[str, float] = defaultdict(float)
    for row in filter(failed, queries):
        counted[row.error or ("unknown" if row.status == "error" else row.status)] += row.weight
    return dict(counted)


def call_errors(rows: list[Row]) -> dict[str, float]:
    """What calls raised, where it was raised."""
    counted: dict[str, float] = defaultdict(float)
    for _, _, duration, status, error, passed_on, weight in calls(rows):
        if error is not None and call_failed(duration, status) and not passed_on:
            counted[error] += weight
    return dict(counted)
