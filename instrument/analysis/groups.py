"""Queries by what they have in common: their agent, model, host, process, session, an attribute or an entity."""

from __future__ import annotations

from typing import Any

from instrument.analysis.filters import FIELDS
from instrument.analysis.measures import Measure, measures, summing
from instrument.analysis.results import AgentFigures, Breakdown
from instrument.errors import UsageError
from instrument.rows.columns import literal
from instrument.store.tables import Tables

_PROCESS = "CASE WHEN process IS NOT NULL THEN concat_ws(' on ', process::VARCHAR, host) END"
_COLUMNS = {
    name: FIELDS[name].sql for name in ("agent", "model", "host", "session", "status", "outcome", "error", "name")
} | {"process": _PROCESS}
"""What queries can be grouped by beside entities and attributes, in SQL."""

NONE = "(none)"
"""The group of the queries that have no value."""

_NAMED = 12


def costs(tables: Tables) -> tuple[str, str, str]:
    """The SQL aggregates of a group's input tokens, output tokens and cost, first among its further figures."""
    return summing(tables, "input_tokens"), summing(tables, "output_tokens"), "sum(cost_usd * weight)"


def group_figures(one: Measure, everything: Measure) -> AgentFigures:
    """The figures of one group of queries; `one.more` begins with what `costs` asks for."""
    input_tokens, output_tokens, cost = one.more[:3]
    return AgentFigures(
        queries=one.count,
        share=one.count / everything.count,
        failed=one.failed,
        cancelled=one.cancelled,
        success_rate=one.success_rate,
        average_ms=one.average_ms or 0.0,
        p95_ms=one.percentiles_ms[1],
        busy_ms=one.total_ms,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens=input_tokens + output_tokens,
        cost_usd=cost,
    )


def breakdown(tables: Tables, roots: str, chosen: dict[str, Any], by: str, everything: Measure) -> Breakdown:
    """Break the queries of `roots` down by `by`: agent, model, host, process, session, entity, an attribute.

    A query without a value is in the group `(none)`; one with several entities is in each one's group. Raises
    UsageError, with the names there are, when no query has such an attribute.
    """
    source, expression = grouping(tables, roots, chosen, by)
    found = measures(tables, source, (expression,), (0.5, 0.95), chosen, costs(tables))
    return Breakdown(by, {name: group_figures(one, everything) for (name,), one in found.items()})


def grouping(tables: Tables, roots: str, chosen: dict[str, Any], by: str) -> tuple[str, str]:
    """The FROM clause and the SQL expression that group the queries of `roots` by a name; UsageError as `breakdown`."""
    if by in _COLUMNS:
        return roots, f"coalesce(nullif({_COLUMNS[by]}, ''), '{NONE}')"
    if by == "entity":
        entities = "CASE WHEN len(entities_detected) > 0 THEN list_distinct(entities_detected) ELSE [NULL] END"
        return f"(SELECT *, unnest({entities}) AS entity FROM {roots})", f"coalesce(entity, '{NONE}')"
    return roots, f"coalesce({attribute(tables, roots, chosen, by)}, '{NONE}')"


def attribute(tables: Tables, roots: str, chosen: dict[str, Any], name: str) -> str:
    """The SQL expression for an attribute as text, NULL where a query has none. Raises UsageError if none has it."""
    value = f"(attributes ->> {literal(_pointer(name))})"
    if tables.rows(f"SELECT 1 FROM {roots} AND {value} IS NOT NULL LIMIT 1", chosen):
        return value
    keys = f"SELECT DISTINCT unnest(json_keys(attributes)) AS key FROM {roots} AND json_type(attributes) = 'OBJECT'"
    known = [key for (key,) in tables.rows(f"SELECT key FROM ({keys}) ORDER BY key LIMIT {_NAMED + 1}", chosen)]
    more = " and more" if len(known) > _NAMED else ""
    attributes = f"; attributes there are: {', '.join(known[:_NAMED])}{more}" if known else "; no query has attributes"
    raise UsageError(f"no query has an attribute {name!r}; others: {', '.join((*_COLUMNS, 'entity'))}{attributes}")


def _pointer(key: str) -> str:
    """The JSON pointer to a key of the outermost object."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
