"""Statements of a user's own, over the public tables in ClickHouse."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instrument.errors import RefusedError, UsageError
from instrument.rows.columns import read_compacted
from instrument.store.clickhouse.dialect import SETTINGS, filled_in, literal, only_select, translated
from instrument.store.own_sql import Answer
from instrument.store.public_tables import TABLES
from instrument.store.tables import connect

if TYPE_CHECKING:
    from instrument.store.clickhouse.tables import ClickHouseTables

_PUBLIC = {
    ("calls", "start_time"): "fromUnixTimestamp64Micro(started_us, 'UTC')",
    ("selections", "timestamp"): "fromUnixTimestamp64Micro(selected_us, 'UTC')",
    ("health", "timestamp"): "fromUnixTimestamp64Micro(said_us, 'UTC')",
}
_CHOSEN = {
    "selected_agent": "if(selected_agent IS NULL, linked_agent, selected_agent)",
    "complexity_score": "if(selected_agent IS NULL, linked_score, complexity_score)",
    "selection_reason": "if(selected_agent IS NULL, linked_reason, selection_reason)",
}
"""A query's selection, of its own or written apart from it."""

_AS_PARQUET = {"output_format_parquet_string_as_string": 1}


class OwnClickHouseSql:
    """A user's own statements over the public tables; each is answered by the server."""

    def __init__(self, tables: ClickHouseTables) -> None:
        self._tables = tables
        self._kept = tempfile.TemporaryDirectory(prefix="agent-instrument-")

    def relation(self, statement: str, parameters: Any = None) -> Any:
        """The answer as a DuckDB relation, fetched already."""
        return connect().sql(self._file_of(_with(statement, parameters), None))

    def answer(self, statement: str, timeout: float | None = None) -> Answer:
        """Run a statement, for at most `timeout` seconds."""
        connection = connect().execute(self._file_of(statement, timeout))
        return Answer(connection, statement, lambda: connection.fetchmany(1000))

    def write_parquet(self, statement: str, file: Path, timeout: float | None = None) -> None:
        """Write what a statement answers to a file."""
        file.write_bytes(self._fetched(statement, timeout))

    def close(self) -> None:
        """Remove what was fetched; harmless when repeated."""
        self._kept.cleanup()

    def _file_of(self, statement: str, timeout: float | None) -> str:
        """What a statement answers, as a FROM clause over the file that it was fetched into."""
        file = Path(self._kept.name, f"{uuid.uuid4().hex}.parquet")
        self.write_parquet(statement, file, timeout)
        return f"FROM {read_compacted([str(file)])}"

    def _fetched(self, statement: str, timeout: float | None) -> bytes:
        """What a SELECT answers, as a Parquet file. Raises UsageError for what is no SELECT."""
        written = translated(only_select(statement, frozenset(TABLES)))
        tables = []
        for name, columns in TABLES.items():
            of_name = {each.name: _PUBLIC.get((name, each.name), each.name) for each in columns}
            of_name |= _CHOSEN if name == "queries" else {}
            shown = ", ".join(f"{sql} AS {column}" for column, sql in of_name.items())
            more = self._tables.shipped.linked() if name == "queries" else ""
            tables.append(
                f"shown_{name} AS ({self._tables.shipped.shown(name)}),"
                f" {name} AS (SELECT {shown} FROM shown_{name}{more})"
            )
        limits = {"max_execution_time": timeout or 0, "readonly": 2}
        text = f"WITH {', '.join(tables)} SELECT * FROM ({written}) FORMAT Parquet"
        try:
            return self._tables.client.content(text, **SETTINGS | _AS_PARQUET | limits)
        except RefusedError as error:
            if error.later:
                raise
            raise UsageError(f"the statement cannot be run: {error.problem}") from None


def _with(statement: str, parameters: Any) -> str:
    if isinstance(parameters, list | tuple):
        for value in parameters:
            statement = statement.replace("?", literal(value), 1)
        return statement
    return filled_in(statement, parameters or {})
