"""Records out of a store: metrics.json, the documented columns as CSV or Parquet, or the store's own lines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from instrument.errors import StoreError
from instrument.files import reason
from instrument.interchange import csv_table, metrics_csv, metrics_json
from instrument.rows import columns
from instrument.store import public_tables, stored_records, views
from instrument.store.engine import duckdb
from instrument.store.picked_tables import PickedTables
from instrument.store.tables import Tables

Format = Literal["json", "csv", "parquet", "store"]

_CHUNK = 1 << 20
_ORDER = "ORDER BY start_time, query_id, duration_ms, agent_type, user_input"


def export_file(tables: Tables, path: str | Path, format: Format) -> None:
    """Write the period's records to a file, whole or not at all, for its owner alone.

    JSON is a metrics.json: queries and selections. CSV and Parquet have a row a query: CSV the columns of metrics.csv
    and after them the others of the public table `queries`, Parquet those of the table, with their types. `store` is
    Parquet with every line as it is stored, calls outside queries and what was dropped included, which an import takes
    back whole. Raises StoreError when it cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise StoreError(target, "this is a directory; name a file in it")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            temporary = Path(folder, "export")
            _write(tables, temporary, format)
            os.chmod(temporary, 0o600)
            os.replace(temporary, target)
    except FileNotFoundError:
        raise StoreError(target, f"there is no directory {target.parent}; make it first") from None
    except (OSError, duckdb.IOException) as error:
        raise StoreError(target, f"the export cannot be written: {reason(error)}") from None


def export_stream(tables: Tables, stream: BinaryIO, format: Format) -> None:
    """Write the same to a binary stream, such as standard output."""
    if format in ("parquet", "store"):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, "export")
            _write(tables, temporary, format)
            with open(temporary, "rb") as source:
                while piece := source.read(_CHUNK):
                    stream.write(piece)
    else:
        for piece in document(tables, format):
            stream.write(piece)


def document(tables: Tables, format: Format) -> Iterator[bytes]:
    """The pieces of a metrics.json, or of a CSV file, of the period's records."""
    if format == "csv":
        return _csv(tables)
    return metrics_json.document(tables.records(), tables.loose_selections())


def _csv(tables: Tables) -> Iterator[bytes]:
    """metrics.csv's columns, then the rest of the table's: whoever reads the one finds it in the other."""
    first = {"timestamp": "start_time", **{name: name for name in metrics_csv.FIELDS[1:]}}
    rest = [column.name for column in public_tables.TABLES["queries"] if column.name not in first.values()]
    first["entities_detected"] = "coalesce(entities_detected, [])"
    selected = ", ".join([*first.values(), *rest])
    rows = stored_records.fetched(_public(tables), f"SELECT {selected} FROM {_chosen(tables)} {_ORDER}")
    return csv_table.document([*first, *rest], rows)


def _public(tables: Tables) -> duckdb.DuckDBPyConnection:
    """The connection, with the public tables on it."""
    for statement in public_tables.definitions(linked=views.LINKED in tables.kinds):
        tables.rows(statement)
    return tables.connection


def _chosen(tables: Tables) -> str:
    """The public table of queries, or those rows of it that filters picked."""
    source = f"{public_tables.SCHEMA}.queries"
    if not isinstance(tables, PickedTables):
        return source
    return f"{source} WHERE query_id IN (SELECT query_id FROM {tables.keep()})"


def _write(tables: Tables, file: Path, format: Format) -> None:
    target = f"TO {columns.literal(str(file))} (FORMAT parquet, COMPRESSION zstd)"
    if format == "store":
        tables.rows(f"COPY (SELECT {columns.NAMES} FROM lines ORDER BY t) {target}")
    elif format == "parquet":
        statement = f"COPY (SELECT * FROM {_chosen(tables)} {_ORDER}) {target}"
        _public(tables).execute(statement)
    else:
        with open(file, "wb", buffering=_CHUNK) as stream:
            stream.writelines(document(tables, format))
