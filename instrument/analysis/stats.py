"""The figures of `metrics stats`: everything in detail, per agent, tool, operation, model, metric, hour and day."""

from __future__ import annotations

from typing import Any

from instrument.analysis.charts import ERROR
from instrument.analysis.groups import costs
from instrument.analysis.measures import (
    FAILED,
    NOTHING,
    Measure,
    averaging,
    commonest,
    counting,
    measures,
    measures_and_total,
    rate,
    summing,
    tallied,
    tallying,
)
from instrument.analysis.models import model_figures
from instrument.analysis.recorded_metrics import metric_figures
from instrument.analysis.report import check_agent, data_figures, query_figures
from instrument.analysis.results import (
    AgentDetail,
    CallDetail,
    HourFigures,
    Limits,
    Period,
    SelectionFigures,
    Stats,
)
from instrument.store.tables import Tables, instant

MOST_REASONS = 10
"""How many reasons of a selector are named, the commonest."""

MOST_HOURS = 72
"""A period of more hours than this is shown by its days, too."""

_SHARES = (0.5, 0.95, 0.99)
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


def stats(
    tables: Tables, period: Period, limits: Limits, *, agent: str | None = None, exact: bool | None = None
) -> Stats:
    """Work out every figure of the period that `tables` were opened for, of one agent's queries if one is named.

    `errors` of an agent are those its queries failed with, of a tool those its calls failed with, so an exception that
    left both stands at both. `exact` is as in `Tables.rolled_up`; selections, metrics and first chunks are worked out
    over records. Raises UsageError when no query of the period is of that agent.
    """
    chosen = {"agent": agent} if agent is not None else {}
    of_agent = " AND agent_type = $agent" if chosen else ""
    if agent is not None:
        check_agent(tables, agent)
    roots = f"queries WHERE parent_id IS NULL{of_agent}"
    rolled = tables.rolled_up(exact)
    figures = _query_figures(rolled, limits)
    agents, everything = measures_and_total(rolled, roots, "agent_type", _SHARES, chosen, figures)
    chunks = _first_chunks(tables, roots, chosen)
    nested = _counts(rolled, "agent_type", f"queries WHERE parent_id IS NOT NULL{of_agent}", chosen)
    calls = _calls(rolled, f"calls WHERE true{of_agent}", chosen)
    return Stats(
        period=period,
        queries=query_figures(everything),
        agents={
            name: _agent_detail(agents.get(name, NOTHING), everything, nested.get(name, 0), chunks.get(name))
            for name in (*agents, *(name for name in nested if name not in agents))
        },
        tools=calls.get("tool", {}),
        graphql=calls.get("graphql", {}),
        selections=_selections(tables, of_agent, chosen),
        models=model_figures(rolled, of_agent, chosen, any_calls="model" in calls),
        metrics=metric_figures(tables, roots, chosen),
        hours=_over_time(rolled, roots, chosen, _HOUR),
        days=_over_time(rolled, roots, chosen, _DAY) if period.hours > MOST_HOURS else [],
        data=data_figures(rolled),
    )


def _query_figures(tables: Tables, limits: Limits) -> tuple[str, ...]:
    return (
        *costs(tables),
        counting(tables, f"duration_ns > {limits.slow_ms} * 1e6"),
        counting(tables, f"duration_ns > {limits.very_slow_ms} * 1e6"),
        summing(tables, "tool_calls"),
        summing(tables, "graphql_queries"),
        averaging("result_size_bytes"),
        tallying(tables, f"({ERROR})", FAILED),
    )


_NO_FIGURES: list[Any] = [0, 0, None, 0, 0, 0, 0, None, None]


def _first_chunks(tables: Tables, roots: str, chosen: dict[str, Any]) -> dict[str, Measure]:
    streams = f"{roots} AND first_chunk_ns IS NOT NULL"
    found = measures(tables, streams, ("agent_type",), (0.95,), chosen, column="first_chunk_ns")
    return {name: one for (name,), one in found.items()}


def _agent_detail(one: Measure, everything: Measure, nested: float, chunks: Measure | None) -> AgentDetail:
    p50, p95, p99 = one.percentiles_ms or (0.0, 0.0, 0.0)
    input_tokens, output_tokens, cost, slow, very_slow, tools, graphql, size, errors = one.more or _NO_FIGURES
    return AgentDetail(
        queries=one.count,
        nested=nested,
        share=one.count / everything.count if everything.count else 0.0,
        successful=one.successful,
        failed=one.failed,
        cancelled=one.cancelled,
        success_rate=one.success_rate,
        busy_ms=one.total_ms,
        average_ms=one.average_ms or 0.0,
        min_ms=one.min_ms or 0.0,
        max_ms=one.max_ms or 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        slow=slow,
        very_slow=very_slow,
        tool_calls=tools,
        graphql_queries=graphql,
        average_result_bytes=size,
        average_first_chunk_ms=chunks.average_ms if chunks else None,
        first_chunk_p95_ms=chunks.percentiles_ms[0] if chunks else None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens=input_tokens + output_tokens,
        cost_usd=cost,
        errors=commonest(tallied(errors)),
    )


def _calls(tables: Tables, source: str, chosen: dict[str, Any]) -> dict[str, dict[str, CallDetail]]:
    errors = (tallying(tables, "error_type", FAILED),)
    kinds: dict[str, dict[str, CallDetail]] = {}
    for (kind, name), one in measures(tables, source, ("kind", "name"), _SHARES, chosen, errors).items():
        kinds.setdefault(kind, {})[name] = _call_detail(one)
    return kinds


def _call_detail(one: Measure) -> CallDetail:
    p50, p95, p99 = one.percentiles_ms or (None, None, None)
    return CallDetail(
        calls=one.count,
        failed=one.failed,
        cancelled=one.cancelled,
        failure_rate=rate(one.failed, one.successful),
        average_ms=one.average_ms,
        min_ms=one.min_ms,
        max_ms=one.max_ms,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        busy_ms=one.total_ms,
        errors=commonest(tallied(one.more[0])),
    )


def _selections(tables: Tables, of_agent: str, chosen: dict[str, Any]) -> dict[str, SelectionFigures]:
    statement = f"""
        SELECT selected_agent, {counting(tables)} AS counted, {averaging("complexity_score")},
            {tallying(tables, "selection_reason", "true")}
        FROM selections WHERE true{of_agent} GROUP BY selected_agent ORDER BY counted DESC, selected_agent"""
    return {
        name: SelectionFigures(count, score, dict(list(commonest(tallied(reasons)).items())[:MOST_REASONS]))
        for name, count, score, reasons in tables.rows(statement, chosen)
    }


def _counts(tables: Tables, column: str, source: str, chosen: dict[str, Any]) -> dict[str, float]:
    return commonest(dict(tables.rows(f"SELECT {column}, {counting(tables)} FROM {source} GROUP BY {column}", chosen)))


def _over_time(tables: Tables, roots: str, chosen: dict[str, Any], step: int) -> list[HourFigures]:
    """The queries by when they started, in steps of so many µs; steps without a query are left out."""
    found = measures(tables, roots, (f"started_us // {step}",), (0.95,), chosen)
    return [
        HourFigures(
            instant(place * step), one.count, one.failed, one.cancelled, one.average_ms or 0.0, one.percentiles_ms[0]
        )
        for (place,), one in sorted(found.items())
    ]
