"""The tables that every report asks, in ClickHouse: worked out there, nothing is copied out to be counted.

Each statement stands behind definitions (`WITH queries AS …`) that show the shipped tables as the analysis knows them,
for the period that was opened and the filters that were picked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any

from instrument.errors import RefusedError, StoreError
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows.stored import utc_text
from instrument.store.clickhouse import cells
from instrument.store.clickhouse.client import Client
from instrument.store.clickhouse.dialect import SETTINGS, filled_in, translated
from instrument.store.clickhouse.own_statements import OwnClickHouseSql
from instrument.store.clickhouse.schema import CALL, TABLES
from instrument.store.clickhouse.views import NAMES, US, Shipped
from instrument.store.clickhouse.whole_records import call_record, query_record, selection_record
from instrument.store.tables import Tables

_NO_TABLE, _NO_COLUMN = 60, 47
_MINUTE_US = 60_000_000


class ClickHouseTables(Tables):
    """The tables of a database in ClickHouse for a period; a context manager."""

    unseen_model_calls = "model_calls"
    has_lines = False

    def __init__(self, client: Client, since: datetime | None, until: datetime | None) -> None:
        self.client = client
        self.skipped_files, self.skipped, self.compacted = {}, 0, []
        self.shipped = Shipped("`" + client.database.replace("`", "\\`") + "`", since, until, late=False)
        self._conditions: dict[str, str] = {}
        self._by_agent_alone = True
        self._own_sql: OwnClickHouseSql | None = None
        self._days: dict[bool | None, list[str]] = {}
        self.weighted = bool(self._counted("countIf(weight <> 1)", "queries"))
        self.shipped = self.shipped._replace(late=bool(self._counted("countIf(query_id IS NOT NULL)", "late_calls")))
        self.kinds = frozenset({"health"} if self._counted("count()", "health", "timestamp") else ())

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
        chosen = copy(self)
        within = "query_id IN (SELECT query_id FROM queries)" if inside is None else _condition(inside, parameters)
        chosen._conditions = {"queries": _condition(queries, parameters), "calls": within, "selections": within}
        chosen._by_agent_alone = inside is not None
        chosen.is_picked = True
        return chosen

    def rolled_up(self, exact: bool | None = None) -> Tables:
        """The same tables with cells of the roll-ups in the place of records, where these are many."""
        if exact or not self._by_agent_alone:
            return self
        days = self._rolled_days(exact)
        return RolledTables(self, days) if days else self

    def counted(self, first_us: int, step_us: int) -> Tables:
        """The same tables with minutes in the place of records, where these are many, if all steps begin with one."""
        if first_us % _MINUTE_US or step_us % _MINUTE_US or not self._by_agent_alone:
            return self
        days = self._rolled_days(None)
        return CountedTables(self, days) if days else self

    def _rolled_days(self, exact: bool | None) -> list[str]:
        """The days to read from roll-ups; looked up once for these tables and those picked of them."""
        if exact not in self._days:
            self._days[exact] = cells.rolled_days(self, exact)
        return self._days[exact]

    def records(self, condition: str = "true", parameters: dict[str, Any] | None = None) -> Iterator[QueryRecord]:
        """The queries that a condition picks, whole, by start."""
        wanted = _condition(condition, parameters or {})
        defined, chosen = self._defined("queries " + wanted), f"(SELECT query_id FROM queries WHERE {wanted})"
        listed = ", ".join(f"`calls.{name}`" for name in CALL)
        statement = (
            f"{defined} SELECT shown.*, agent, {listed} FROM (SELECT * FROM queries WHERE {wanted}) AS shown"
            f" INNER JOIN (SELECT query_id AS of_id, toString(agent_type) AS agent, {listed}"
            f" FROM {self.shipped.database}.queries WHERE {self.shipped.queries_between} AND query_id IN {chosen})"
            " AS whole ON of_id = query_id ORDER BY started_us, query_id"
        )
        late, linked = self._late_calls(defined, chosen), self._linked(defined, chosen)
        for row in self._run(f"{statement} FORMAT JSON")["data"]:
            yield query_record(row, late.get(row["query_id"], []), linked.get(row["query_id"]))

    def _late_calls(self, defined: str, chosen: str) -> dict[str, list[dict[str, Any]]]:
        """The calls that ended after their query was written, by its id, for the queries that are chosen."""
        found: dict[str, list[dict[str, Any]]] = {}
        if self.shipped.late:
            statement = (
                f"{defined} SELECT {', '.join(CALL)}, query_id, {US.format('start_time')} AS us"
                f" FROM {self.shipped.database}.late_calls WHERE {self.shipped.between('start_time')}"
                f" AND query_id IN {chosen} ORDER BY start_time, record_id FORMAT JSON"
            )
            for row in self._run(statement)["data"]:
                found.setdefault(row["query_id"], []).append(row)
        return found

    def loose_selections(self) -> Iterator[SelectionRecord]:
        """The selections that stand apart, by time; those of these queries are with them."""
        if not self._conditions:
            yield from self._selections("", f"record_id NOT IN ({self._first_linked()})")

    def _linked(self, defined: str, chosen: str) -> dict[str, SelectionRecord]:
        """The first selection that was written apart from its query, by the query's id, for those that are chosen."""
        condition = f"record_id IN ({self._first_linked()}) AND query_id IN {chosen}"
        return {one.query_id: one for one in self._selections(defined, condition, "true")}

    def _first_linked(self) -> str:
        database = self.shipped.database
        return (
            f"SELECT argMin(record_id, (timestamp, record_id)) FROM {database}.selections WHERE query_id IN"
            f" (SELECT query_id FROM {database}.queries WHERE selected_agent IS NULL"
            f" AND {self.shipped.queries_between}) GROUP BY query_id"
        )

    def _selections(self, defined: str, condition: str, period: str | None = None) -> Iterator[SelectionRecord]:
        statement = (
            f"{defined} SELECT query_id, user_input, selected_agent, complexity_score, selection_reason,"
            f" {US.format('timestamp')} AS us FROM {self.shipped.database}.selections"
            f" WHERE {period or self.shipped.between('timestamp')} AND {condition} ORDER BY timestamp, record_id"
        )
        yield from map(selection_record, self._run(f"{statement} FORMAT JSON")["data"])

    def loose_calls(self) -> Iterator[CallRecord]:
        """The calls outside any query, by start."""
        if self._conditions:
            return
        statement = (
            f"SELECT {', '.join(CALL)}, weight, {US.format('start_time')} AS us FROM {self.shipped.database}.late_calls"
            f" WHERE query_id IS NULL AND {self.shipped.between('start_time')} ORDER BY start_time, record_id"
        )
        for row in self._run(f"{statement} FORMAT JSON")["data"]:
            yield call_record(row, start_time=utc_text(row["us"]), weight=row["weight"])

    def own_sql(self, writable: Path | None = None) -> OwnClickHouseSql:
        """The public tables for statements of a user's own."""
        self._own_sql = OwnClickHouseSql(self)
        return self._own_sql

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        self.client.close()
        if self._own_sql is not None:
            self._own_sql.close()

    # -- how a statement is asked ------------------------------------------------------------------------------------

    def _answer(self, statement: str, parameters: dict[str, Any] | None) -> dict[str, Any]:
        written = translated(filled_in(statement, parameters or {}))
        defined = self._defined(written)
        if defined and written.startswith("WITH "):
            written = f", {written.removeprefix('WITH ')}"
        return self._run(f"{defined} {written} FORMAT JSONCompact")

    def _defined(self, statement: str) -> str:
        """The definitions of the tables that a statement names, and of those that the filters on these name."""
        named, text = set[str](), statement
        while more := {name for name in NAMES if re.search(rf"\b(all_)?{name}\b", text)} - named:
            named |= more
            text = " ".join(self._conditions.get(name, "") for name in more)
        ordered = [name for name in NAMES if name in named]
        said = " ".join([statement, *self._conditions.values()])
        whole = [f"all_{name} AS ({self._shown(name, said)})" for name in ordered]
        chosen = [
            f"{name} AS (SELECT * FROM all_{name} WHERE {self._conditions.get(name, 'true')})" for name in ordered
        ]
        return f"WITH {', '.join(whole + chosen)}" if ordered else ""

    def _shown(self, name: str, said: str) -> str:
        """The SELECT that shows a table; `said` is all that the statement says."""
        return self.shipped.shown(name)

    def _counted(self, expression: str, table: str, column: str = "start_time") -> int:
        source = f"{self.shipped.database}.{table} WHERE {self.shipped.between(column)}"
        return int(self._run(f"SELECT {expression} AS n FROM {source} FORMAT JSON")["data"][0]["n"])

    def _run(self, statement: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self.client.run(statement, **SETTINGS))
        except RefusedError as error:
            if error.code == _NO_TABLE:
                problem = "there is nothing of ours here; ship a store first: metrics ship --to ADDRESS"
                raise StoreError(self.client.name, problem) from None
            if error.code == _NO_COLUMN and (missing := self._missing_columns()):
                problem = f"an earlier version made its tables (no {', '.join(missing)}); ship once with this one"
                raise StoreError(self.client.name, problem) from None
            raise
        return answer

    def _missing_columns(self) -> list[str]:
        found = self.client.rows("SELECT table, name FROM system.columns WHERE database = currentDatabase()")
        there = {(row["table"], row["name"]) for row in found}
        return [
            f"{name}.{column}"
            for name, table in TABLES.items()
            for column in table.columns
            if (name, column) not in there
        ]


class RolledTables(ClickHouseTables):
    """The tables of ClickHouse with cells of the roll-ups in the place of the queries and calls of some days."""

    accuracy = cells.ACCURACY
    extents = ("shortest_ns", "longest_ns")

    def __init__(self, exact: ClickHouseTables, days: list[str]) -> None:
        self.__dict__.update(exact.__dict__)
        self._exact, self._of_cells = exact, days
        self.weighted = True

    @property
    def exact(self) -> Tables:
        """The tables with every record."""
        return self._exact

    def _shown(self, name: str, said: str) -> str:
        if name not in ("queries", "calls"):
            return super()._shown(name, said)
        return cells.shown(name, said, self.shipped, self._of_cells)


class CountedTables(RolledTables):
    """The tables with how many queries there were by minute in the place of those of some days."""

    def _shown(self, name: str, said: str) -> str:
        if name != "queries":
            return self.shipped.shown(name)
        return cells.counted(said, self.shipped, self._of_cells)


def _condition(condition: str, parameters: dict[str, Any]) -> str:
    """A condition of the analysis in ClickHouse's words."""
    return translated(f"SELECT {filled_in(condition, parameters)}").removeprefix("SELECT ")


def open_tables(address: str, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open a database for reading, or a period of it. Raises StoreError where it cannot be reached."""
    client = Client(address)
    try:
        return ClickHouseTables(client, since, until)
    except BaseException:
        client.close()
        raise
