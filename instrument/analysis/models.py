"""What the models of a period did, by name: their calls, and queries that name a model without calls of it."""

from __future__ import annotations

from typing import Any

from instrument.analysis.groups import costs
from instrument.analysis.measures import Measure, measures, summing
from instrument.analysis.results import ModelFigures
from instrument.store.tables import Tables

_FACTS = ("duration_ns", "status", "success", "weight", "input_tokens", "output_tokens", "first_chunk_ns", "cost_usd")
_CALLS = "SELECT coalesce(model, name) AS model, {facts} FROM calls WHERE kind = 'model'{condition}"
_QUERIES = "SELECT model, {facts} FROM queries WHERE model IS NOT NULL AND {calls} = 0{condition}"


def model_figures(
    tables: Tables, condition: str, chosen: dict[str, Any], *, any_calls: bool
) -> dict[str, ModelFigures]:
    """The figures of each model, the one with the most calls first; `condition` narrows queries and calls.

    `any_calls` says whether there are calls of kind `model`; a query that has some is not counted itself.
    """
    source = _source(tables, condition, any_calls=any_calls)
    generating_ms = f"{summing(tables, 'CASE WHEN output_tokens IS NOT NULL THEN duration_ns END')} / 1e6"
    figures = (*costs(tables), generating_ms, "count(first_chunk_ns)")
    found = measures(tables, source, ("model",), (0.95,), chosen, figures)
    first: dict[tuple[Any, ...], Measure] = {}
    if any(one.more[-1] for one in found.values()):
        streams = f"{_source(tables.exact, condition, any_calls=any_calls)} WHERE first_chunk_ns IS NOT NULL"
        first = measures(tables.exact, streams, ("model",), (0.95,), chosen, column="first_chunk_ns")
    return {group[0]: _figures(one, first.get(group)) for group, one in found.items()}


def _source(tables: Tables, condition: str, *, any_calls: bool) -> str:
    facts = ", ".join(dict.fromkeys((*_FACTS, *tables.extents)))
    # To count the calls in every query means to read them all: where none is of a model, only what imports said counts.
    calls = "model_calls" if any_calls else tables.unseen_model_calls
    listed = [
        each.format(facts=facts, condition=condition, calls=calls)
        for each in ((_CALLS, _QUERIES) if any_calls else (_QUERIES,))
    ]
    return f"({' UNION ALL '.join(listed)})"


def _figures(one: Measure, chunk: Measure | None) -> ModelFigures:
    input_tokens, output_tokens, cost, generating_ms, _ = one.more
    return ModelFigures(
        calls=one.count,
        failed=one.failed,
        cancelled=one.cancelled,
        average_ms=one.average_ms,
        p95_ms=one.percentiles_ms[0] if one.percentiles_ms else None,
        busy_ms=one.total_ms,
        first_chunk_p95_ms=chunk.percentiles_ms[0] if chunk else None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens_per_second=output_tokens / generating_ms * 1000 if output_tokens and generating_ms else None,
        cost_usd=cost,
    )
