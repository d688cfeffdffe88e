"""The tables that every report asks, in ClickHouse: worked out there, nothing is copied out to be counted.

Each statement stands behind definitions (`WITH queries AS …`) that show the shipped tables as the analysis knows them,
for the period that was opened and the filters that were picked.
"""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from instrument.errors import RefusedError, StoreError, UsageError
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows.columns import read_compacted
from instrument.rows.stored import utc_text
from instrument.store.clickhouse.client import Client
from instrument.store.clickhouse.dialect import SETTINGS, filled_in, literal, only_select, translated
from instrument.store.clickhouse.schema import CALL
from instrument.store.own_sql import Answer
from instrument.store.public_tables import TABLES
from instrument.store.tables import Tables, microseconds

_FACTS = (
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
_US = "toUnixTimestamp64Micro({0})"
_AGENT = "if(agent_type = '', 'unknown', toString(agent_type))"
_CALL_STATUS = "if(isNull({0}duration_ns), 'abandoned', toString({0}status))"

_QUERIES = """
SELECT query_id, {start} AS started_us, start_time, addMicroseconds(start_time, intDiv(duration_ns, 1000)) AS end_time,
    duration_ns, duration_ns / 1e6 AS duration_ms, toString(status) AS status, status IN ('ok', 'closed') AS success,
    CAST(error_type, 'Nullable(String)') AS error_type, error_message, passed_on, {agent} AS agent_type, user_input,
    toString(name) AS name, parent_id, CAST(entities_detected, 'Array(String)') AS entities_detected, result_size_bytes,
    {totals}, CAST(model, 'Nullable(String)') AS model, first_chunk_ms,
    CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)') AS first_chunk_ns, nullIf(attributes, '{{}}') AS attributes,
    if(empty(metrics), NULL, toJSONString(metrics)) AS metrics, weight, nullIf(toString(host), '') AS host, process,
    CAST(selected_agent, 'Nullable(String)') AS selected_agent, complexity_score,
    CAST(selection_reason, 'Nullable(String)') AS selection_reason, selection_time
FROM {database}.queries{more} WHERE {period}
"""

_COUNTS = {"tool_calls": "tool", "graphql_queries": "graphql", "model_calls": "model"}
_SUMS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")

_UNFINISHED = """(SELECT query_id, `calls.name` AS name, {start} + intDiv(`calls.start_ns`, 1000) AS us
    FROM {database}.queries ARRAY JOIN `calls.name`, `calls.start_ns`, `calls.duration_ns`
    WHERE isNull(`calls.duration_ns`))"""
"""The calls that were open when their query was written; a late one of the same name and start is one of these."""

_MORE = """
LEFT JOIN (SELECT assumeNotNull(query_id) AS more_of, {counted}, {summed}
    FROM {database}.late_calls WHERE query_id IS NOT NULL GROUP BY query_id) AS more ON more_of = query_id"""

_CALLS = """
SELECT query_id, toString(kind) AS kind, toString(name) AS name, started + intDiv(start_ns, 1000) AS started_us,
    duration_ns, duration_ns / 1e6 AS duration_ms, {status} AS status,
    duration_ns IS NOT NULL AND status IN ('ok', 'closed') AS success,
    CAST(error_type, 'Nullable(String)') AS error_type, passed_on, {agent} AS agent_type, weight, {facts},
    CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)') AS first_chunk_ns
FROM (SELECT query_id, agent_type, weight, {start} AS started, {nested}
    FROM {database}.queries ARRAY JOIN {joined} WHERE {period}){unfilled}
UNION ALL
SELECT query_id, toString(kind), toString(name), {start}, duration_ns, duration_ns / 1e6, {status},
    duration_ns IS NOT NULL AND status IN ('ok', 'closed'), CAST(error_type, 'Nullable(String)'), passed_on,
    {late_agent}, weight, {facts}, CAST(round(first_chunk_ms * 1e6), 'Nullable(Int64)')
FROM {database}.late_calls{late_queries} WHERE {period}
"""

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

_PUBLIC = {
    ("calls", "start_time"): "fromUnixTimestamp64Micro(started_us, 'UTC')",
    ("selections", "timestamp"): "fromUnixTimestamp64Micro(selected_us, 'UTC')",
    ("health", "timestamp"): "fromUnixTimestamp64Micro(said_us, 'UTC')",
}
_AS_PARQUET = {"output_format_parquet_string_as_string": 1}

_NAMES = ("queries", "calls", "selections", "health", "lines")


class ClickHouseTables(Tables):
    """The tables of a database in ClickHouse for a period; a context manager."""

    def __init__(self, client: Client, since: datetime | None, until: datetime | None) -> None:
        self.client = client
        self.skipped_files, self.skipped, self.compacted = {}, 0, []
        self._period = (since, until)
        self._conditions: dict[str, str] = {}
        self._own_sql: OwnClickHouseSql | None = None
        self.kinds = frozenset[str]()
        self.weighted = False
        self.weighted = bool(self._counted("countIf(weight <> 1)", "queries"))
        self._late = bool(self._counted("countIf(query_id IS NOT NULL)", "late_calls"))

    def rows(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Every row that a statement of the analysis gives. Raises StoreError when the server refuses."""
        return [tuple(row) for row in self._answer(statement, parameters)["data"]]

    def arrays(self, statement: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """The columns that a statement gives, as numpy arrays of DOUBLE; NULL is NaN."""
        import numpy as np

        answer = self._answer(statement, parameters)
        names = [column["name"] for column in answer["meta"]]
        table = np.array(answer["data"], dtype=float).reshape(len(answer["data"]), len(names))
        return {name: table[:, place] for place, name in enumerate(names)}

    def picked(self, queries: str, parameters: dict[str, Any], inside: str | None = None) -> Tables:
        """The same tables with only what the conditions pick."""
        chosen = object.__new__(type(self))
        chosen.__dict__.update(self.__dict__)
        condition = translated(f"SELECT {filled_in(queries, parameters)}").removeprefix("SELECT ")
        within = (
            "query_id IN (SELECT query_id FROM queries)"
            if inside is None
            else translated(f"SELECT {filled_in(inside, parameters)}").removeprefix("SELECT ")
        )
        chosen._conditions = {"queries": condition, "calls": within, "selections": within}
        return chosen

    def records(self, condition: str = "true", parameters: dict[str, Any] | None = None) -> Iterator[QueryRecord]:
        """The queries that a condition picks, whole, by start."""
        wanted = translated(f"SELECT {filled_in(condition, parameters or {})}").removeprefix("SELECT ")
        fields = ", ".join(f"q.`calls.{name}` AS `calls.{name}`" for name in CALL)
        statement = (
            f"{self._defined('queries ' + wanted)} SELECT shown.*, toString(q.agent_type) AS agent, {fields}"
            f" FROM (SELECT * FROM queries WHERE {wanted}) AS shown"
            f" INNER JOIN {self._database}.queries AS q ON q.query_id = shown.query_id ORDER BY started_us, query_id"
        )
        late = self._late_calls()
        for row in self._run(f"{statement} FORMAT JSON")["data"]:
            yield _record(row, late.get(row["query_id"], []))

    def _late_calls(self) -> dict[str, list[dict[str, Any]]]:
        """The calls that ended after their query was written, by its id."""
        found: dict[str, list[dict[str, Any]]] = {}
        if self._late:
            statement = (
                f"SELECT {', '.join(CALL)}, query_id, {_US.format('start_time')} AS us FROM {self._database}.late_calls"
                " WHERE query_id IS NOT NULL ORDER BY start_time, record_id FORMAT JSON"
            )
            for row in self._run(statement)["data"]:
                found.setdefault(row["query_id"], []).append(row)
        return found

    def loose_selections(self) -> Iterator[SelectionRecord]:
        """The selections that stand apart, by time."""
        if self._conditions:
            return
        moment = _US.format("timestamp")
        statement = (
            f"SELECT query_id, user_input, selected_agent, complexity_score, selection_reason, {moment} AS us"
            f" FROM {self._database}.selections WHERE {self._between('timestamp')} ORDER BY timestamp, record_id"
        )
        for row in self._run(f"{statement} FORMAT JSON")["data"]:
            stamp = utc_text(row.pop("us"))
            yield SelectionRecord(**row | {"query_id": row["query_id"] or "", "timestamp": stamp})

    def loose_calls(self) -> Iterator[CallRecord]:
        """The calls outside any query, by start."""
        if self._conditions:
            return
        fields = ", ".join(CALL)
        statement = (
            f"SELECT {fields}, weight, {_US.format('start_time')} AS us FROM {self._database}.late_calls"
            f" WHERE query_id IS NULL AND {self._between('start_time')} ORDER BY start_time, record_id"
        )
        for row in self._run(f"{statement} FORMAT JSON")["data"]:
            yield _call(row, start_time=utc_text(row["us"]), weight=row["weight"])

    def own_sql(self, writable: Path | None = None) -> OwnClickHouseSql:
        """The public tables for statements of a user's own."""
        self._own_sql = OwnClickHouseSql(self)
        return self._own_sql

    def public_parquet(self, statement: str, timeout: float | None) -> bytes:
        """What a user's own SELECT answers, as a Parquet file. Raises UsageError for what is no SELECT."""
        written = translated(only_select(statement, frozenset(TABLES)))
        tables = []
        for name, columns in TABLES.items():
            shown = ", ".join(f"{_PUBLIC.get((name, each.name), each.name)} AS {each.name}" for each in columns)
            tables.append(f"shown_{name} AS ({self._shown(name)}), {name} AS (SELECT {shown} FROM shown_{name})")
        limits = {"max_execution_time": timeout or 0, "readonly": 2}
        text = f"WITH {', '.join(tables)} SELECT * FROM ({written}) FORMAT Parquet"
        try:
            return self.client.content(text, **SETTINGS | _AS_PARQUET | limits)
        except RefusedError as error:
            raise UsageError(f"the statement cannot be run: {error.problem}") from None

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        self.client.close()
        if self._own_sql is not None:
            self._own_sql.close()

    # -- how a statement is asked ------------------------------------------------------------------------------------

    @property
    def _database(self) -> str:
        return "`" + self.client.database.replace("`", "\\`") + "`"

    def _answer(self, statement: str, parameters: dict[str, Any] | None) -> dict[str, Any]:
        written = translated(filled_in(statement, parameters or {}))
        return self._run(f"{self._defined(written)} {written} FORMAT JSONCompact")

    def _defined(self, statement: str) -> str:
        """The definitions of the tables that a statement names, and of those that the filters on these name."""
        named, text = set[str](), statement
        while more := {name for name in _NAMES if re.search(rf"\b(all_)?{name}\b", text)} - named:
            named |= more
            text = " ".join(self._conditions.get(name, "") for name in more)
        ordered = [name for name in _NAMES if name in named]
        whole = [f"all_{name} AS ({self._shown(name)})" for name in ordered]
        chosen = [
            f"{name} AS (SELECT * FROM all_{name} WHERE {self._conditions.get(name, 'true')})" for name in ordered
        ]
        return f"WITH {', '.join(whole + chosen)}" if ordered else ""

    def _shown(self, name: str) -> str:
        """The SELECT that shows a shipped table as the analysis knows it."""
        if name == "lines":
            return f"SELECT {_US.format('start_time')} AS t FROM {self._database}.queries WHERE {self._between()}"
        start = _US.format("start_time")
        unfilled = (
            " WHERE duration_ns IS NOT NULL OR (query_id, name, started + intDiv(start_ns, 1000)) NOT IN"
            f" (SELECT assumeNotNull(query_id), name, {start} FROM {self._database}.late_calls"
            " WHERE query_id IS NOT NULL)"
        )
        unfinished = _UNFINISHED.format(database=self._database, start=start)
        counted = ", ".join(
            f"countIf(kind = '{kind}' AND (assumeNotNull(query_id), name, {start}) NOT IN {unfinished}) AS more_{each}"
            for each, kind in _COUNTS.items()
        )
        summed = ", ".join(f"sum({each}) AS more_{each}" for each in _SUMS)
        more = _MORE.format(database=self._database, counted=counted, summed=summed)
        with_late = [f"{each} + ifNull(more_{each}, 0) AS {each}" for each in _COUNTS] + [
            f"if(isNull(more_{each}), {each}, ifNull({each}, 0) + more_{each}) AS {each}" for each in _SUMS
        ]
        late_queries = (
            f" LEFT JOIN (SELECT query_id AS agent_of, {_AGENT} AS late_agent FROM {self._database}.queries"
            f" WHERE query_id IN (SELECT query_id FROM {self._database}.late_calls)) AS agents ON agent_of = query_id"
        )
        template = {"queries": _QUERIES, "calls": _CALLS, "selections": _SELECTIONS, "health": _HEALTH}[name]
        return template.format(
            database=self._database,
            start=start,
            totals=", ".join(with_late if self._late else [*_COUNTS, *_SUMS]),
            more=more if self._late else "",
            late_agent="late_agent" if self._late else "CAST(NULL, 'Nullable(String)')",
            late_queries=late_queries if self._late else "",
            us_chosen=_US.format("assumeNotNull(selection_time)"),
            us_stamp=_US.format("timestamp"),
            agent=_AGENT,
            status=_CALL_STATUS.format(""),
            period=self._between(),
            stamped=self._between("timestamp"),
            facts=", ".join(
                f"CAST({each}, 'Nullable(String)') AS {each}" if each in _TEXTS else each for each in _FACTS
            ),
            nested=", ".join(f"`calls.{each}` AS {each}" for each in _NESTED),
            joined=", ".join(f"`calls.{each}`" for each in _NESTED),
            unfilled=unfilled if self._late else "",
        )

    def _between(self, column: str = "start_time") -> str:
        since, until = self._period
        conditions = [
            f"{column} {operator} fromUnixTimestamp64Micro({microseconds(moment)}, 'UTC')"
            for operator, moment in ((">=", since), ("<=", until))
            if moment is not None
        ]
        return " AND ".join(conditions) or "true"

    def _counted(self, expression: str, table: str) -> int:
        column = "start_time"
        statement = f"SELECT {expression} AS n FROM {self._database}.{table} WHERE {self._between(column)} FORMAT JSON"
        return int(self._run(statement)["data"][0]["n"])

    def _run(self, statement: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self.client.run(statement, **SETTINGS))
        except RefusedError as error:
            if error.code == 60:  # no such table
                problem = "there is nothing of ours here; ship a store first: metrics ship --to ADDRESS"
                raise StoreError(self.client.name, problem) from None
            raise
        return answer


class OwnClickHouseSql:
    """A user's own statements over the public tables; each is answered by the server."""

    def __init__(self, tables: ClickHouseTables) -> None:
        self._tables = tables
        self._kept = tempfile.TemporaryDirectory(prefix="agent-instrument-")

    def relation(self, statement: str, parameters: Any = None) -> Any:
        """The answer as a DuckDB relation, fetched already."""
        return self._relation(_with(statement, parameters), None)

    def answer(self, statement: str, timeout: float | None = None) -> Answer:
        """Run a statement, for at most `timeout` seconds."""
        relation = self._relation(statement, timeout)
        return Answer(relation, statement, lambda: list(relation.fetchmany(1000)))

    def write_parquet(self, statement: str, file: Path, timeout: float | None = None) -> None:
        """Write what a statement answers to a file."""
        file.write_bytes(self._tables.public_parquet(statement, timeout))

    def close(self) -> None:
        """Remove what was fetched; harmless when repeated."""
        self._kept.cleanup()

    def _relation(self, statement: str, timeout: float | None) -> Any:
        import duckdb

        file = Path(self._kept.name, f"{uuid.uuid4().hex}.parquet")
        self.write_parquet(statement, file, timeout)
        return duckdb.connect().sql(f"FROM {read_compacted([str(file)])}")


def _with(statement: str, parameters: Any) -> str:
    if isinstance(parameters, list | tuple):
        for value in parameters:
            statement = statement.replace("?", literal(value), 1)
        return statement
    return filled_in(statement, parameters or {})


_TEXTS = ("model", "provider")
_NESTED = ("kind", "name", "start_ns", "duration_ns", "status", "error_type", "passed_on", *_FACTS)
_PLAIN = set(QueryRecord.__struct_fields__) - {"selection", "calls", "attributes", "metrics"}


def _record(row: dict[str, Any], late: list[dict[str, Any]]) -> QueryRecord:
    """A query out of its row, with the calls that ended after it: in the place of one that was open, or behind all."""
    fields = {name: row[name] for name in _PLAIN & row.keys()}
    fields["agent_type"] = row["agent"]
    fields["start_time"] = utc_text(row["started_us"])
    fields["end_time"] = utc_text(row["started_us"] + row["duration_ns"] // 1000)
    fields["success"], fields["passed_on"] = bool(row["success"]), bool(row["passed_on"])
    fields["attributes"] = msgspec.json.decode(row["attributes"]) if row["attributes"] else {}
    fields["metrics"] = msgspec.json.decode(row["metrics"]) if row["metrics"] else {}
    calls = [_call({name: row[f"calls.{name}"][place] for name in CALL}) for place in range(len(row["calls.name"]))]
    for other in late:
        other["start_ns"] = (other["us"] - row["started_us"]) * 1000
        call = msgspec.structs.replace(_call(other), late=True)
        places = [
            place
            for place, open_call in enumerate(calls)
            if open_call.duration_ms is None and open_call.name == call.name
        ]
        if places:
            known = calls[places[0]]
            calls[places[0]] = msgspec.structs.replace(call, start_ms=known.start_ms, parent=known.parent)
        else:
            calls.append(call)
    return QueryRecord(**fields, calls=calls, selection=_selection(row))


def _call(row: dict[str, Any], **more: Any) -> CallRecord:
    fields = {name: row[name] for name in CALL if name not in ("start_ns", "duration_ns")}
    fields["start_ms"] = row["start_ns"] / 1e6
    fields["duration_ms"] = None if row["duration_ns"] is None else row["duration_ns"] / 1e6
    fields["success"] = row["duration_ns"] is not None and row["status"] in ("ok", "closed")
    fields["passed_on"], fields["late"] = bool(row["passed_on"]), bool(row["late"])
    return CallRecord(**fields, **more)


def _selection(row: dict[str, Any]) -> SelectionRecord | None:
    if row["selected_agent"] is None:
        return None
    return SelectionRecord(
        query_id=row["query_id"],
        user_input=row["user_input"],
        selected_agent=row["selected_agent"],
        complexity_score=row["complexity_score"],
        selection_reason=row["selection_reason"],
        timestamp=str(row["selection_time"]).replace(" ", "T") + "Z",
    )


def open_tables(address: str, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open a database for reading, or a period of it. Raises StoreError where it cannot be reached."""
    client = Client(address)
    try:
        return ClickHouseTables(client, since, until)
    except BaseException:
        client.close()
        raise
