"""Records out of a store: as JSON, CSV or Parquet with all that is known of each query, or as the store's own lines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Literal

from instrument.errors import StoreError, UsageError
from instrument.files import reason
from instrument.interchange import metrics_csv, metrics_json
from instrument.interchange.entries import HealthRecord
from instrument.rows import columns
from instrument.rows.stored import utc_text
from instrument.store import parquet_export
from instrument.store.engine import duckdb
from instrument.store.tables import Tables, connect

Format = Literal["json", "csv", "parquet", "store"]

_CHUNK = 1 << 20


def export_file(tables: Tables, path: str | Path, format: Format) -> None:
    """Write the period's records to a file, whole or not at all, for its owner alone.

    JSON, CSV and Parquet have everything that is known of each query, and an import takes it back. JSON has what
    belongs to no query, too: selections, calls outside any query, and what was dropped. `store` is Parquet with every
    line as it is stored. Raises StoreError when it cannot be written.
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
    """The pieces of an export of the period's records as JSON or CSV."""
    if format == "csv":
        return metrics_csv.full_document(tables.records())
    health = () if tables.is_picked else _health(tables)
    more = {metrics_json.STANDALONE_CALLS: tables.loose_calls(), metrics_json.HEALTH: health}
    return metrics_json.document(tables.records(), tables.loose_selections(), more)


def _health(tables: Tables) -> Iterator[HealthRecord]:
    statement = "SELECT said_us, dropped, problems, host, process FROM health ORDER BY said_us, host, process"
    for said_us, dropped, problems, host, process in tables.rows(statement):
        stamp = utc_text(said_us)
        yield HealthRecord(timestamp=stamp, dropped=dropped or {}, problems=problems or {}, host=host, process=process)


def _write(tables: Tables, file: Path, format: Format) -> None:
    if format == "store":
        if not tables.has_lines:
            raise UsageError("--format store needs a store in a directory, or a lake; take parquet")
        tables.rows(
            f"COPY (SELECT {columns.NAMES} FROM lines ORDER BY t) TO {columns.literal(str(file))}"
            " (FORMAT parquet, COMPRESSION zstd)"
        )
    elif format == "parquet":
        with closing(connect()) as connection:
            parquet_export.write(connection, tables.records(), file)
    else:
        with open(file, "wb", buffering=_CHUNK) as stream:
            stream.writelines(document(tables, format))
