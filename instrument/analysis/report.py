"""The figures of `metrics report`: what happened in a period, on one page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from instrument.analysis import charts
from instrument.analysis.groups import breakdown, costs, group_figures
from instrument.analysis.measures import (
    FAILED,
    Measure,
    commonest,
    counting,
    measures,
    measures_and_total,
    tallied,
    tallying,
)
from instrument.analysis.models import model_figures
from instrument.analysis.recorded_metrics import metric_figures
from instrument.analysis.results import (
    CallFigures,
    Complexity,
    DataFigures,
    FirstChunk,
    Limits,
    Period,
    QueryFigures,
    Report,
    ResponseTimes,
)
from instrument.analysis.timeline import CALLS
from instrument.errors import UsageError
from instrument.records import HIGH_COMPLEXITY
from instrument.store.tables import Tables

SHARES = (0.5, 0.95, 0.99)
"""The percentiles of a report's response times."""


def report(
    tables: Tables,
    period: Period,
    limits: Limits,
    *,
    agent: str | None = None,
    by: str | None = None,
    exact: bool | None = None,
) -> Report:
    """Work out the figures of the period that `tables` were opened for, of one agent's queries if one is named.

    `by` names what to break the queries down by: `groups.breakdown` says which names there are. Queries inside queries
    count in `tools`, `graphql`, `models` and `call_errors`, and nowhere else. `exact` is as in `Tables.rolled_up`; what
    roll-ups do not have (entities, complexity, metrics, first chunks, `by`) is worked out over records. Raises
    UsageError when no query of the period is of that agent, and when nothing has what `by` names.
    """
    chosen = {"agent": agent} if agent is not None else {}
    of_agent = " AND agent_type = $agent" if chosen else ""
    roots = f"queries WHERE parent_id IS NULL{of_agent}"
    if agent is not None:
        check_agent(tables, agent)
    rolled = tables.rolled_up(exact)
    figures = figures_of_queries(rolled, limits)
    agents, everything = measures_and_total(rolled, roots, "agent_type", SHARES, chosen, figures)
    streams, recorded = everything.more[3:5] or (0, 0)
    kinds, call_errors = _calls(rolled, f"{CALLS}{of_agent}", chosen)
    shape = charts.shape(rolled, roots, period.start, period.end, chosen)
    return Report(
        period=period,
        queries=query_figures(everything),
        agents={name: group_figures(one, everything) for name, one in agents.items()},
        response_times=_response_times(everything),
        first_chunk=_first_chunk(tables, roots, chosen) if streams else FirstChunk(0, None, None, None),
        entities=_entities(tables, roots, chosen),
        complexity=_complexity(tables, of_agent, chosen),
        tools=kinds.get("tool", {}),
        graphql=kinds.get("graphql", {}),
        models=model_figures(rolled, of_agent, chosen, any_calls="model" in kinds),
        errors=commonest(shape.errors),
        call_errors=commonest(call_errors),
        metrics=metric_figures(tables, roots, chosen) if recorded else {},
        data=data_figures(rolled),
        activity=shape.activity,
        histogram=shape.histogram,
        breakdown=None if by is None else breakdown(tables, roots, chosen, by, everything),
    )


def figures_of_queries(tables: Tables, limits: Limits) -> tuple[str, ...]:
    """The SQL aggregates that a report has of queries beside their durations."""
    slower = (counting(tables, f"duration_ns > {limit} * 1e6") for limit in limits)
    return (*costs(tables), "count(first_chunk_ns)", "count(metrics)", *slower)  # what there is none of is not asked


def figures_of_calls(tables: Tables) -> tuple[str, ...]:
    """The SQL aggregates that a report has of calls beside their durations."""
    return (tallying(tables, "error_type", f"{FAILED} AND NOT passed_on"),)


def check_agent(tables: Tables, agent: str) -> None:
    """Raise UsageError, with the names there are, unless some query is of this agent."""
    known = [name for (name,) in tables.rows("SELECT DISTINCT agent_type FROM queries ORDER BY ALL")]
    if agent not in known:
        there_are = f"there are {', '.join(known)}" if known else "there are no queries at all"
        raise UsageError(f"no query of agent {agent!r} in this period; {there_are}")


def query_figures(everything: Measure) -> QueryFigures:
    """How many queries, and how they ended."""
    return QueryFigures(
        everything.count, everything.successful, everything.failed, everything.cancelled, everything.success_rate
    )


def data_figures(tables: Tables) -> DataFigures:
    """What the figures do not cover."""
    if "health" not in tables.kinds:
        return DataFigures(0, tables.skipped, percentiles=tables.accuracy)
    entries = "SELECT unnest(map_entries(dropped)) AS entry FROM health"
    statement = f"SELECT entry.key, sum(entry.value)::BIGINT FROM ({entries}) GROUP BY ALL ORDER BY 2 DESC, 1"
    reasons = dict(tables.rows(statement))
    return DataFigures(sum(reasons.values()), tables.skipped, reasons, tables.accuracy)


def _response_times(everything: Measure) -> ResponseTimes:
    p50, p95, p99 = everything.percentiles_ms or (None, None, None)
    *_, slow, very_slow = everything.more or (0, 0)
    times = (everything.average_ms, everything.min_ms, everything.max_ms)
    return ResponseTimes(*times, p50, p95, p99, slow, very_slow)


def _first_chunk(tables: Tables, roots: str, chosen: dict[str, Any]) -> FirstChunk:
    streams = f"{roots} AND first_chunk_ns IS NOT NULL"
    found = measures(tables, streams, (), (0.5, 0.95), chosen, column="first_chunk_ns").get(())
    return (
        FirstChunk(found.count, found.average_ms, *found.percentiles_ms) if found else FirstChunk(0, None, None, None)
    )


def _calls(
    tables: Tables, source: str, chosen: dict[str, Any]
) -> tuple[dict[str, dict[str, CallFigures]], Counter[str]]:
    found: Counter[str] = Counter()
    kinds: dict[str, dict[str, CallFigures]] = {}
    measured = measures(tables, source, ("kind", "name"), (0.95,), chosen, figures_of_calls(tables))
    for (kind, name), one in measured.items():
        kinds.setdefault(kind, {})[name] = CallFigures(
            calls=one.count,
            failed=one.failed,
            cancelled=one.cancelled,
            average_ms=one.average_ms,
            p95_ms=one.percentiles_ms[0] if one.percentiles_ms else None,
            busy_ms=one.total_ms,
        )
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
        SELECT sum(complexity_score * weight) / sum(weight),
            {counting(tables, f"complexity_score > {HIGH_COMPLEXITY}")}, {counting(tables)}
        FROM selections WHERE complexity_score IS NOT NULL AND NOT nested{of_agent}"""
    return Complexity(*tables.rows(statement, chosen)[0])
