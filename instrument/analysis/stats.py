"""The figures of `metrics stats`: everything in detail, per agent, tool, operation and hour."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from instrument.analysis.charts import ERROR
from instrument.analysis.measures import (
    NOTHING,
    Measure,
    commonest,
    counting,
    measures,
    measures_and_total,
    tallied,
    tallying,
)
from instrument.analysis.report import check_agent, data_figures, period, query_figures
from instrument.analysis.results import AgentDetail, CallDetail, HourFigures, SelectionFigures, Stats
from instrument.rows.stored import utc_text
from instrument.store.tables import Tables

MOST_REASONS = 10
"""How many reasons of a selector are named, the commonest."""

_SHARES = (0.5, 0.95, 0.99)
_HOUR = 3_600_000_000


def stats(
    tables: Tables,
    *,
    hours: float,
    start: datetime,
    end: datetime,
    generated_at: datetime,
    slow_ms: float,
    very_slow_ms: float,
    agent: str | None = None,
) -> Stats:
    """Work out every figure of the period that `tables` were opened for, of one agent's queries if one is named.

    `errors` of an agent are those its queries failed with, of a tool those its calls failed with, so an exception that
    left both stands at both. Raises UsageError when no query of the period is of that agent.
    """
    chosen = {"agent": agent} if agent is not None else {}
    of_agent = " AND agent_type = $agent" if chosen else ""
    if agent is not None:
        check_agent(tables, agent)
    roots = f"queries WHERE parent_id IS NULL{of_agent}"
    figures = _query_figures(tables, slow_ms, very_slow_ms)
    agents, everything = measures_and_total(tables, roots, "agent_type", _SHARES, chosen, figures)
    nested = _counts(tables, "agent_type", f"queries WHERE parent_id IS NOT NULL{of_agent}", chosen)
    calls = _calls(tables, f"calls WHERE true{of_agent}", chosen)
    return Stats(
        period=period(hours, start, end, generated_at),
        queries=query_figures(everything),
        agents={
            name: _agent_detail(agents.get(name, NOTHING), everything, nested.get(name, 0.0))
            for name in (*agents, *(name for name in nested if name not in agents))
        },
        tools=calls.get("tool", {}),
        graphql=calls.get("graphql", {}),
        selections=_selections(tables, of_agent, chosen),
        models=_counts(tables, "model", f"queries WHERE model IS NOT NULL{of_agent}", chosen),
        hours=_hours(tables, roots, chosen),
        data=data_figures(tables),
    )


def _query_figures(tables: Tables, slow_ms: float, very_slow_ms: float) -> tuple[str, ...]:
    return (
        counting(tables, "status = 'cancelled'"),
        counting(tables, f"duration_ns > {slow_ms} * 1e6"),
        counting(tables, f"duration_ns > {very_slow_ms} * 1e6"),
        "sum(tool_calls * weight)::DOUBLE",
        "sum(graphql_queries * weight)::DOUBLE",
        _mean("result_size_bytes"),
        _mean("first_chunk_ms"),
        "coalesce(sum(input_tokens * weight), 0)::DOUBLE",
        "coalesce(sum(output_tokens * weight), 0)::DOUBLE",
        tallying(tables, f"({ERROR})", "NOT success"),
    )


def _mean(column: str) -> str:
    return f"sum({column} * weight) / sum(weight) FILTER ({column} IS NOT NULL)"


def _agent_detail(one: Measure, everything: Measure, nested: float) -> AgentDetail:
    p50, p95, p99 = one.percentiles_ms or (0.0, 0.0, 0.0)
    cancelled, slow, very_slow, tools, graphql, size, chunk, tokens_in, tokens_out, errors = one.more or _NO_FIGURES
    return AgentDetail(
        queries=one.count,
        nested=nested,
        share=one.count / everything.count if everything.count else 0.0,
        successful=one.count - one.failed,
        failed=one.failed,
        cancelled=cancelled,
        success_rate=(one.count - one.failed) / one.count if one.count else 0.0,
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
        average_first_chunk_ms=chunk,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        errors=commonest(tallied(errors)),
    )


_NO_FIGURES: list[Any] = [0.0, 0.0, 0.0, 0.0, 0.0, None, None, 0.0, 0.0, None]


def _calls(tables: Tables, source: str, chosen: dict[str, Any]) -> dict[str, dict[str, CallDetail]]:
    figures = ("coalesce(sum(duration_ns * weight), 0) / 1e6", tallying(tables, "error_type", "NOT success"))
    kinds: dict[str, dict[str, CallDetail]] = {}
    for (kind, name), one in measures(tables, source, ("kind", "name"), _SHARES, chosen, figures).items():
        kinds.setdefault(kind, {})[name] = _call_detail(one)
    return kinds


def _call_detail(one: Measure) -> CallDetail:
    p50, p95, p99 = one.percentiles_ms or (None, None, None)
    busy_ms, errors = one.more
    return CallDetail(
        calls=one.count,
        failed=one.failed,
        failure_rate=one.failed / one.count,
        average_ms=one.average_ms,
        min_ms=one.min_ms,
        max_ms=one.max_ms,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        busy_ms=busy_ms,
        errors=commonest(tallied(errors)),
    )


def _selections(tables: Tables, of_agent: str, chosen: dict[str, Any]) -> dict[str, SelectionFigures]:
    statement = f"""
        SELECT selected_agent, {counting(tables)} AS counted, {_mean("complexity_score")},
            {tallying(tables, "selection_reason", "true")}
        FROM selections WHERE true{of_agent} GROUP BY selected_agent ORDER BY counted DESC, selected_agent"""
    return {
        name: SelectionFigures(count, score, dict(list(commonest(tallied(reasons)).items())[:MOST_REASONS]))
        for name, count, score, reasons in tables.rows(statement, chosen)
    }


def _counts(tables: Tables, column: str, source: str, chosen: dict[str, Any]) -> dict[str, float]:
    return commonest(dict(tables.rows(f"SELECT {column}, {counting(tables)} FROM {source} GROUP BY {column}", chosen)))


def _hours(tables: Tables, roots: str, chosen: dict[str, Any]) -> list[HourFigures]:
    found = measures(tables, roots, (f"started_us // {_HOUR}",), (0.95,), chosen)
    return [
        HourFigures(utc_text(hour * _HOUR), one.count, one.failed, one.average_ms or 0.0, one.percentiles_ms[0])
        for (hour,), one in sorted(found.items())
    ]
