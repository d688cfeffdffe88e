"""The figures of `metrics report`: what happened in a period, on one page."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from instrument._rows import utc_text
from instrument.analysis import charts
from instrument.analysis.measures import NOTHING, Measure, counting, measures
from instrument.analysis.results import (
    AgentFigures,
    CallFigures,
    Complexity,
    DataFigures,
    Histogram,
    Period,
    QueryFigures,
    Report,
    ResponseTimes,
)
from instrument.errors import UsageError
from instrument.records import HIGH_COMPLEXITY
from instrument.store.reading import Tables, microseconds

UNNAMED_ERROR = "unknown"


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
    everything = measures(tables, roots, (), (0.5, 0.95, 0.99), chosen).get((), NOTHING)
    kinds = calls_by_kind(tables, f"calls WHERE true{of_agent}", (0.95,), chosen)
    return Report(
        period=period(hours, start, end, generated_at),
        queries=query_figures(everything),
        agents=_agents(tables, roots, everything, chosen),
        response_times=_response_times(tables, roots, everything, slow_ms, very_slow_ms, chosen),
        entities=_entities(tables, roots, chosen),
        complexity=_complexity(tables, of_agent, chosen),
        tools={name: _call_figures(one) for name, one in kinds.get("tool", {}).items()},
        graphql={name: _call_figures(one) for name, one in kinds.get("graphql", {}).items()},
        errors=_errors(tables, of_agent, chosen),
        data=data_figures(tables),
        activity=charts.activity(tables, roots, start, end, chosen),
        histogram=_histogram(tables, roots, everything, chosen),
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


def calls_by_kind(
    tables: Tables, source: str, shares: tuple[float, ...], parameters: dict[str, Any]
) -> dict[str, dict[str, Measure]]:
    """Measure calls by kind, then name."""
    kinds: dict[str, dict[str, Measure]] = {}
    for (kind, name), measure in measures(tables, source, ("kind", "name"), shares, parameters).items():
        kinds.setdefault(kind, {})[name] = measure
    return kinds


def data_figures(tables: Tables) -> DataFigures:
    """What the figures do not cover."""
    dropped = tables.rows("SELECT coalesce(sum(dropped_total), 0)::BIGINT FROM health")[0][0]
    return DataFigures(dropped, tables.skipped)


def _agents(tables: Tables, roots: str, everything: Measure, chosen: dict[str, Any]) -> dict[str, AgentFigures]:
    return {
        agent: AgentFigures(
            queries=one.count,
            share=one.count / everything.count,
            success_rate=(one.count - one.failed) / one.count,
            average_ms=one.average_ms or 0.0,
            p95_ms=one.percentiles_ms[0],
        )
        for (agent,), one in measures(tables, roots, ("agent_type",), (0.95,), chosen).items()
    }


def _response_times(
    tables: Tables, roots: str, everything: Measure, slow_ms: float, very_slow_ms: float, chosen: dict[str, Any]
) -> ResponseTimes:
    slower = ", ".join(counting(tables, f"duration_ns > {limit} * 1e6") for limit in (slow_ms, very_slow_ms))
    slow, very_slow = tables.rows(f"SELECT {slower} FROM {roots}", chosen)[0]
    p50, p95, p99 = everything.percentiles_ms or (None, None, None)
    return ResponseTimes(everything.average_ms, everything.min_ms, everything.max_ms, p50, p95, p99, slow, very_slow)


def _entities(tables: Tables, roots: str, chosen: dict[str, Any]) -> dict[str, float]:
    statement = f"""
        SELECT entity, {counting(tables)} AS counted
        FROM (SELECT unnest(entities_detected) AS entity, weight FROM {roots})
        WHERE entity IS NOT NULL GROUP BY entity ORDER BY counted DESC, entity"""
    return dict(tables.rows(statement, chosen))


def _complexity(tables: Tables, of_agent: str, chosen: dict[str, Any]) -> Complexity:
    statement = f"""
        SELECT sum(complexity_score * weight) / sum(weight), coalesce(sum(weight) FILTER
            (complexity_score > {HIGH_COMPLEXITY}), 0)::DOUBLE, coalesce(sum(weight), 0)::DOUBLE
        FROM selections WHERE complexity_score IS NOT NULL AND NOT nested{of_agent}"""
    return Complexity(*tables.rows(statement, chosen)[0])


def _call_figures(measure: Measure) -> CallFigures:
    return CallFigures(measure.count, measure.failed, measure.average_ms, next(iter(measure.percentiles_ms), None))


def _errors(tables: Tables, of_agent: str, chosen: dict[str, Any]) -> dict[str, float]:
    count = counting(tables)
    statement = """
        SELECT coalesce(error_type, CASE status WHEN 'error' THEN '{unnamed}' ELSE status END) AS error, {count}
        FROM {source} WHERE NOT success AND NOT passed_on{of_agent}{named} GROUP BY error"""
    found: Counter[str] = Counter()
    for source, named in (("queries", ""), ("calls", " AND error_type IS NOT NULL")):
        filled = statement.format(unnamed=UNNAMED_ERROR, count=count, source=source, of_agent=of_agent, named=named)
        found.update(dict(tables.rows(filled, chosen)))
    return dict(sorted(found.items(), key=lambda error: (-error[1], error[0])))


def _histogram(tables: Tables, roots: str, everything: Measure, chosen: dict[str, Any]) -> Histogram:
    if everything.min_ms is None or everything.max_ms is None:
        return Histogram([], [])
    return charts.histogram(tables, roots, everything.min_ms, everything.max_ms, chosen)
