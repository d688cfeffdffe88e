"""The figures of `metrics report`: what happened in a period, on one page."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from instrument.analysis import charts
from instrument.analysis.measures import Measure, commonest, counting, measures, measures_and_total, tallied, tallying
from instrument.analysis.results import (
    AgentFigures,
    CallFigures,
    Complexity,
    DataFigures,
    Period,
    QueryFigures,
    Report,
    ResponseTimes,
)
from instrument.errors import UsageError
from instrument.records import HIGH_COMPLEXITY
from instrument.rows.stored import utc_text
from instrument.store.tables import Tables, microseconds


def report(
    tables: Tables,
    *,
    hours: float,
    start: datetime,
    end: datetime,
    generated_at: datetime,
    slow_ms: float,
    very_slow_ms: float,
    agent: str | None = None,
) -> Report:
    """Work out the figures of the period that `tables` were opened for, of one agent's queries if one is named.

    Queries inside queries count in `tools`, `graphql` and `errors`, and nowhere else. An exception that left several
    records counts once, where it was raised. Raises UsageError when no query of the period is of that agent.
    """
    chosen = {"agent": agent} if agent is not None else {}
    of_agent = " AND agent_type = $agent" if chosen else ""
    roots = f"queries WHERE parent_id IS NULL{of_agent}"
    if agent is not None:
        check_agent(tables, agent)
    slower = tuple(counting(tables, f"duration_ns > {limit} * 1e6") for limit in (slow_ms, very_slow_ms))
    agents, everything = measures_and_total(tables, roots, "agent_type", (0.5, 0.95, 0.99), chosen, slower)
    kinds, call_errors = _calls(tables, f"calls WHERE true{of_agent}", chosen)
    shape = charts.shape(tables, of_agent, start, end, chosen)
    return Report(
        period=period(hours, start, end, generated_at),
        queries=query_figures(everything),
        agents={name: _agent_figures(one, everything) for name, one in agents.items()},
        response_times=_response_times(everything),
        entities=_entities(tables, roots, chosen),
        complexity=_complexity(tables, of_agent, chosen),
        tools=kinds.get("tool", {}),
        graphql=kinds.get("graphql", {}),
        errors=commonest(shape.errors + call_errors),
        data=data_figures(tables),
        activity=shape.activity,
        histogram=shape.histogram,
    )


def period(hours: float, start: datetime, end: datetime, generated_at: datetime) -> Period:
    """What the figures cover, as text."""
    return Period(hours, *(utc_text(microseconds(moment)) for moment in (start, end, generated_at)))


def check_agent(tables: Tables, agent: str) -> None:
    """Raise UsageError, with the names there are, unless some query is of this agent."""
    known = [name for (name,) in tables.rows("SELECT DISTINCT agent_type FROM queries ORDER BY ALL")]
    if agent not in known:
        there_are = f"there are {', '.join(known)}" if known else "there are no queries at all"
        raise UsageError(f"no query of agent {agent!r} in this period; {there_are}")


def query_figures(everything: Measure) -> QueryFigures:
    """How many queries, and how they ended."""
    successful = everything.count - everything.failed
    return QueryFigures(
        everything.count, successful, everything.failed, successful / everything.count if everything.count else None
    )


def data_figures(tables: Tables) -> DataFigures:
    """What the figures do not cover."""
    if "health" not in tables.kinds:
        return DataFigures(0, tables.skipped)
    return DataFigures(tables.rows("SELECT sum(dropped_total)::BIGINT FROM health")[0][0], tables.skipped)


def _agent_figures(one: Measure, everything: Measure) -> AgentFigures:
    return AgentFigures(
        queries=one.count,
        share=one.count / everything.count,
        success_rate=(one.count - one.failed) / one.count,
        average_ms=one.average_ms or 0.0,
        p95_ms=one.percentiles_ms[1],
    )


def _response_times(everything: Measure) -> ResponseTimes:
    p50, p95, p99 = everything.percentiles_ms or (None, None, None)
    slow, very_slow = everything.more or (0.0, 0.0)
    times = (everything.average_ms, everything.min_ms, everything.max_ms)
    return ResponseTimes(*times, p50, p95, p99, slow, very_slow)


def _calls(
    tables: Tables, source: str, chosen: dict[str, Any]
) -> tuple[dict[str, dict[str, CallFigures]], Counter[str]]:
    errors = tallying(tables, "error_type", "NOT success AND NOT passed_on")
    found: Counter[str] = Counter()
    kinds: dict[str, dict[str, CallFigures]] = {}
    for (kind, name), one in measures(tables, source, ("kind", "name"), (0.95,), chosen, (errors,)).items():
        p95_ms = one.percentiles_ms[0] if one.percentiles_ms else None
        kinds.setdefault(kind, {})[name] = CallFigures(one.count, one.failed, one.average_ms, p95_ms)
        found += tallied(one.more[0])
    return kinds, found


def _entities(tables: Tables, roots: str, chosen: dict[str, Any]) -> dict[str, float]:
    statement = f"""
        SELECT entity, {counting(tables)} AS counted
        FROM (SELECT unnest(entities_detected) AS entity, weight FROM {roots})
        WHERE entity IS NOT NULL GROUP BY entity ORDER BY counted DESC, entity"""
    return commonest(dict(tables.rows(statement, chosen)))


def _complexity(tables: Tables, of_agent: str, chosen: dict[str, Any]) -> Complexity:
    statement = f"""
        SELECT sum(complexity_score * weight) / sum(weight), coalesce(sum(weight) FILTER
            (complexity_score > {HIGH_COMPLEXITY}), 0)::DOUBLE, coalesce(sum(weight), 0)::DOUBLE
        FROM selections WHERE complexity_score IS NOT NULL AND NOT nested{of_agent}"""
    return Complexity(*tables.rows(statement, chosen)[0])
