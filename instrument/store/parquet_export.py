"""Parquet exports: a row a query, with the columns of the public table `queries` and what is inside a query beside.

`calls` is a list of structs with the fields of a call's record, `entities_detected` a list of texts; `attributes` and
`metrics` are JSON texts; times are timestamps in UTC. The rows are the records that JSON exports have, brought over as
JSON Lines, so that calls that ended late and selections that came apart are where they belong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from instrument.errors import StoreError
from instrument.interchange import entries
from instrument.interchange.incoming import CannotTakeError, Line, Reader
from instrument.interchange.json_values import DAMAGED, decode
from instrument.records import QueryRecord
from instrument.rows.columns import literal, read_compacted, read_lines
from instrument.rows.stored import LONGEST_LINE
from instrument.store.engine import duckdb
from instrument.store.public_tables import TABLES

_CALL_FIELDS = {
    "kind": "VARCHAR",
    "name": "VARCHAR",
    "start_ms": "DOUBLE",
    "duration_ms": "DOUBLE",
    "success": "BOOLEAN",
    "status": "VARCHAR",
    "error_type": "VARCHAR",
    "error_message": "VARCHAR",
    "passed_on": "BOOLEAN",
    "result_size_bytes": "BIGINT",
    "variables_hash": "VARCHAR",
    "parent": "BIGINT",
    "late": "BOOLEAN",
    "model": "VARCHAR",
    "provider": "VARCHAR",
    "input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT",
    "first_chunk_ms": "DOUBLE",
    "cost_usd": "DOUBLE",
    "input": "VARCHAR",
    "output": "VARCHAR",
}
_CALLS = f"STRUCT({', '.join(f'{name} {kind}' for name, kind in _CALL_FIELDS.items())})[]"
_SELECTION = {
    "selected_agent": "selected_agent",
    "complexity_score": "complexity_score",
    "selection_reason": "selection_reason",
    "selection_time": "timestamp",
    "selection_input": "user_input",
}
_SELECTION_TYPES = {"selection_time": "TIMESTAMP", "selection_input": "VARCHAR"}

COLUMNS = {column.name: column.type for column in TABLES["queries"]} | _SELECTION_TYPES | {"calls": _CALLS}
"""The columns of an export and their types."""

_CHOICE = "STRUCT(" + ", ".join(f"{inner} {COLUMNS[name]}" for name, inner in _SELECTION.items()) + ")"
_IN_RECORDS = {name: kind for name, kind in COLUMNS.items() if name not in _SELECTION} | {"selection": _CHOICE}
_NOBODY = "unknown"
"""The agent, in tables, of a query of which nobody said one."""

_TIMES = tuple(name for name, kind in COLUMNS.items() if kind == "TIMESTAMP")
_DEFAULTS = {"status": "'ok'", "passed_on": "false", "name": "''", "model_calls": "0", "weight": "1"}
# What is left out of an entry because it is the default, and is said in a table.
_CALL_DEFAULTS = {"status": "'ok'", "passed_on": "false", "late": "false"}


def write(connection: duckdb.DuckDBPyConnection, records: Iterable[QueryRecord], file: Path) -> None:
    """Write records to a Parquet file; raises OSError or duckdb.IOException when it cannot be written."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl", dir=file.parent) as lines:
        longest = LONGEST_LINE
        for record in records:
            line = msgspec.json.encode(record) + b"\n"
            longest = max(longest, len(line) + 1)
            lines.write(line)
        lines.flush()
        source = read_lines(lines.name, _IN_RECORDS, longest)
        selected = ", ".join(map(_selected, COLUMNS))
        connection.execute(
            f"COPY (SELECT {selected} FROM {source} ORDER BY start_time, query_id)"
            f" TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)"
        )


def _selected(name: str) -> str:
    if name in _SELECTION:
        return f"selection.{_SELECTION[name]} AS {name}"
    if name == "calls":
        fields = ", ".join(f"{field}: {_call_field(field)}" for field in _CALL_FIELDS)
        return f"coalesce(list_transform(calls, lambda call: {{{fields}}}), []) AS calls"
    if name == "agent_type":
        return f"coalesce(nullif(agent_type, ''), {literal(_NOBODY)}) AS agent_type"
    if name in ("attributes", "metrics"):
        return f"coalesce({name}, '{{}}'::JSON) AS {name}"
    return f"coalesce({name}, {_DEFAULTS[name]}) AS {name}" if name in _DEFAULTS else name


def _call_field(name: str) -> str:
    return f"coalesce(call.{name}, {_CALL_DEFAULTS[name]})" if name in _CALL_DEFAULTS else f"call.{name}"


def is_export(found: Iterable[str]) -> bool:
    """Whether a Parquet file with these columns is such an export."""
    return {"query_id", "start_time", "duration_ms"} <= set(found)


def read(connection: duckdb.DuckDBPyConnection, found: Iterable[str], reader: Reader) -> Iterator[Line]:
    """The lines that an export with these columns becomes; raises StoreError when it cannot be read."""
    known = [name for name in found if name in COLUMNS]
    fields = ", ".join(f"{name}: {_text_of_time(name) if name in _TIMES else name}" for name in known)
    cursor = connection.cursor()
    try:
        cursor.execute(f"SELECT to_json({{{fields}}}) FROM {read_compacted([str(reader.file)])}")
        place = 0
        while rows := cursor.fetchmany(1000):
            for (text,) in rows:
                yield from _lines(text, f"row {place}", reader)
                place += 1
    except duckdb.Error:
        raise StoreError(reader.file, "this Parquet file is damaged, or has other things in columns of ours") from None
    finally:
        cursor.close()


def _text_of_time(name: str) -> str:
    return f"strftime({name}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"


class _Row(entries.Entry):
    """A row; the selection is in columns of its own."""

    selection_time: str | None = None
    selection_input: str | None = None


def _lines(text: str, place: str, reader: Reader) -> Iterator[Line]:
    try:
        row = decode(text, _Row, strict=False)
        row.agent_type = None if row.agent_type == _NOBODY else row.agent_type
        yield entries.query(row, reader)
        row.timestamp = row.selection_time
        yield from entries.own_selection(row, row.selection_input, reader)
    except (*DAMAGED, CannotTakeError) as error:
        reader.skip(place, str(error).replace(" - at `$", " at `"))
