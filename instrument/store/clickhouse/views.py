"""The shipped tables as the analysis knows them: the SELECTs behind `queries`, `calls`, `selections` and `health`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from instrument.store.tables import microseconds

FACTS = (
    "model",
    "provider",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "first_chunk_ms",
    "cost_usd",
    "input",
    "output",
    "variables_hash",
)
US = "toUnixTimestamp64Micro({0})"
"""A moment as µs since 1970."""

_AGENT = "if(agent_type = '', 'unknown', toString(agent_type))"
_CALL_STATUS = "if(isNull(duration_ns), 'abandoned', toString(status))"
_TEXTS = ("model", "provider")
_NESTED = ("kind", "name", "start_ns", "duration_ns", "status", "error_type", "passed_on", *FACTS)
_START = US.format("start_time")

_QUERIES = """
SELECT query_id, {start} AS started_us, start_time, addMicroseconds(start_time, intDiv(duration_ns, 1000)) AS end_time,
    duration_ns, duration_ns / 1e6 AS duration_ms, toString(status) AS status,
    CAST(status IN ('ok', 'closed'), 'Bool') AS success,
    CAST(error_type, 'Nullable(String)') AS error_type, error_message, passed_on, {agent} AS agent_type, user_input,
    toString(name) AS name, parent_id, CAST(entities_detected, 'Array(String)') AS entities_detected, result_size_bytes,
    {totals}, CAST(model, 'Nullable(String)') AS model, first_chunk_ms,
    CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)') AS first_chunk_ns, nullIf(attributes, '{{}}') AS attributes,
    if(empty(metrics), NULL, toJSONString(metrics)) AS metrics, weight, nullIf(toString(host), '') AS host, process,
    CAST(selected_agent, 'Nullable(String)') AS selected_agent, complexity_score,
    CAST(selection_reason, 'Nullable(String)') AS selection_reason, selection_time,
    CAST((toUnixTimestamp64Micro(selection_time), toString(selected_agent), complexity_score, selection_reason),
        'Tuple(t Nullable(Int64), a Nullable(String), score Nullable(Float64), why Nullable(String))') AS selection
FROM {database}.queries{more} WHERE {period}
"""

_COUNTS = {"tool_calls": "tool", "graphql_queries": "graphql", "model_calls": "model"}
_SUMS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")

_UNFINISHED = """(SELECT query_id, `calls.name` AS name, {start} + intDiv(`calls.start_ns`, 1000) AS us
    FROM {database}.queries ARRAY JOIN `calls.name`, `calls.start_ns`, `calls.duration_ns`
    WHERE isNull(`calls.duration_ns`) AND {moments})"""
"""The calls that were open when their query was written; a late one of the same name and start is one of these."""

_MORE = """
LEFT JOIN (SELECT assumeNotNull(query_id) AS more_of, {counted}, {summed}
    FROM {database}.late_calls WHERE query_id IS NOT NULL AND {moments} GROUP BY query_id) AS more
    ON more_of = query_id"""

_CALLS = """
SELECT query_id, toString(kind) AS kind, toString(name) AS name, started + intDiv(start_ns, 1000) AS started_us,
    duration_ns, duration_ns / 1e6 AS duration_ms, {status} AS status,
    CAST(duration_ns IS NOT NULL AND status IN ('ok', 'closed'), 'Bool') AS success,
    CAST(error_type, 'Nullable(String)') AS error_type, passed_on, {agent} AS agent_type, weight, {facts},
    CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)') AS first_chunk_ns
FROM (SELECT query_id, agent_type, weight, {start} AS started, {nested}
    FROM {database}.queries ARRAY JOIN {joined} WHERE {period}){unfilled}
UNION ALL
SELECT query_id, toString(kind), toString(name), {start}, duration_ns, duration_ns / 1e6, {status},
    CAST(duration_ns IS NOT NULL AND status IN ('ok', 'closed'), 'Bool'), CAST(error_type, 'Nullable(String)'),
    passed_on, {late_agent}, weight, {facts}, CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)')
FROM {database}.late_calls{late_queries} WHERE {moments}
"""

_UNFILLED = """
WHERE duration_ns IS NOT NULL OR (query_id, name, started + intDiv(start_ns, 1000)) NOT IN
    (SELECT assumeNotNull(query_id), name, {start} FROM {database}.late_calls
    WHERE query_id IS NOT NULL AND {moments})"""

_LATE_QUERIES = """
LEFT JOIN (SELECT query_id AS agent_of, {agent} AS late_agent FROM {database}.queries
    WHERE {moments} AND query_id IN {late}) AS agents ON agent_of = query_id"""

_LINKED = """
LEFT JOIN (SELECT linked_of, choice.1 AS linked_agent, choice.2 AS linked_score, choice.3 AS linked_reason
    FROM (SELECT assumeNotNull(query_id) AS linked_of, argMin((toNullable(toString(selected_agent)), complexity_score,
            CAST(selection_reason, 'Nullable(String)')), (timestamp, record_id)) AS choice
        FROM {database}.selections WHERE query_id IS NOT NULL GROUP BY query_id)) AS linked ON linked_of = query_id"""

_SELECTIONS = """
SELECT CAST(query_id, 'Nullable(String)') AS query_id, {us_chosen} AS selected_us,
    toString(assumeNotNull(selected_agent)) AS selected_agent, complexity_score,
    CAST(selection_reason, 'Nullable(String)') AS selection_reason, {agent} AS agent_type,
    parent_id IS NOT NULL AS nested, weight
FROM {database}.queries WHERE selected_agent IS NOT NULL AND {period}
UNION ALL
SELECT query_id, {us_stamp}, toString(selected_agent), complexity_score, CAST(selection_reason, 'Nullable(String)'),
    toString(selected_agent), false, 1
FROM {database}.selections WHERE {stamped}
"""

_HEALTH = """
SELECT {us_stamp} AS said_us, arraySum(mapValues(dropped)) AS dropped_total, dropped, problems,
    nullIf(toString(host), '') AS host, process
FROM {database}.health WHERE {stamped}
"""

_LINES = "SELECT {start} AS t FROM {database}.queries WHERE {period}"

_SHOWN = {"queries": _QUERIES, "calls": _CALLS, "selections": _SELECTIONS, "health": _HEALTH, "lines": _LINES}
NAMES = tuple(_SHOWN)


class Shipped(NamedTuple):
    """A database and the period of it that is read; `late` says whether any call ended after its query was written.

    Queries of the days `left_out` (`2026-11-25`, …), and their calls, are shown only where any call ended late.
    """

    database: str
    since: datetime | None
    until: datetime | None
    late: bool
    left_out: Collection[str] = ()

    def shown(self, name: str) -> str:
        """The SELECT that shows one table as the analysis knows it."""
        fixed = {
            "database": self.database,
            "start": _START,
            "agent": _AGENT,
            "status": _CALL_STATUS,
            "us_chosen": US.format("assumeNotNull(selection_time)"),
            "us_stamp": US.format("timestamp"),
            "period": self.queries_between,
            "moments": self.between("start_time"),
            "stamped": self.between("timestamp"),
            "facts": ", ".join(
                f"CAST({each}, 'Nullable(String)') AS {each}" if each in _TEXTS else each for each in FACTS
            ),
            "nested": ", ".join(f"`calls.{each}` AS {each}" for each in _NESTED),
            "joined": ", ".join(f"`calls.{each}`" for each in _NESTED),
        }
        return _SHOWN[name].format(**fixed, **(self._with_late() if self.late else _WITHOUT_LATE))

    def linked(self) -> str:
        """The join that finds the first selection of a query that was written apart from it."""
        return _LINKED.format(database=self.database)

    def between(self, column: str) -> str:
        """The condition for the period, over a column of moments."""
        conditions = [
            f"{column} {operator} fromUnixTimestamp64Micro({microseconds(moment)}, 'UTC')"
            for operator, moment in ((">=", self.since), ("<=", self.until))
            if moment is not None
        ]
        return " AND ".join(conditions) or "true"

    @property
    def queries_between(self) -> str:
        """The condition for the queries that are shown."""
        days = ", ".join(f"'{day}'" for day in sorted(self.left_out))
        late = f" OR query_id IN {self.with_late_calls}" if self.late else ""
        return self.between("start_time") + (f" AND (toDate(start_time) NOT IN ({days}){late})" if days else "")

    @property
    def with_late_calls(self) -> str:
        """The ids of the queries of which a call of this period ended after they were written."""
        moments = self.between("start_time")
        return (
            f"(SELECT assumeNotNull(query_id) FROM {self.database}.late_calls WHERE query_id IS NOT NULL AND {moments})"
        )

    def _with_late(self) -> dict[str, str]:
        """What the SELECTs have in them where calls ended after their query was written."""
        said = {"database": self.database, "start": _START, "moments": self.between("start_time")}
        unfinished = _UNFINISHED.format(**said)
        counted = ", ".join(
            f"countIf(kind = '{kind}' AND (assumeNotNull(query_id), name, {_START}) NOT IN {unfinished}) AS more_{each}"
            for each, kind in _COUNTS.items()
        )
        summed = ", ".join(f"sum({each}) AS more_{each}" for each in _SUMS)
        totals = [f"{each} + ifNull(more_{each}, 0) AS {each}" for each in _COUNTS]
        totals += [f"if(isNull(more_{each}), {each}, ifNull({each}, 0) + more_{each}) AS {each}" for each in _SUMS]
        return {
            "totals": ", ".join(totals),
            "more": _MORE.format(**said, counted=counted, summed=summed),
            "unfilled": _UNFILLED.format(**said),
            "late_agent": "late_agent",
            "late_queries": _LATE_QUERIES.format(**said, agent=_AGENT, late=self.with_late_calls),
        }


_WITHOUT_LATE = {
    "totals": ", ".join([*_COUNTS, *_SUMS]),
    "more": "",
    "unfilled": "",
    "late_agent": "CAST(NULL, 'Nullable(String)')",
    "late_queries": "",
}
