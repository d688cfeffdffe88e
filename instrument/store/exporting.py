"""Records out of a store: metrics.json, metrics.csv, or Parquet with everything that is known."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from instrument.errors import StoreError
from instrument.files import reason
from instrument.interchange import metrics_csv, metrics_json
from instrument.rows import columns
from instrument.store.engine import duckdb
from instrument.store.tables import Tables

Format = Literal["json", "csv", "parquet"]

_CHUNK = 1 << 20


def export_file(tables: Tables, path: str | Path, format: Format) -> None:
    """Write the period's records to a file, whole or not at all, for its owner alone.

    JSON and CSV hold what the first document's files hold: queries, and in JSON selections. Parquet holds every line of
    the store, calls outside queries and what was dropped included. Raises StoreError when it cannot be written.
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
    if format == "parquet":
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, "export")
            _write(tables, temporary, format)
            with open(temporary, "rb") as source:
                while piece := source.read(_CHUNK):
                    stream.write(piece)
    else:
        for piece in document(tables, format):
            stream.write(piece)


def document(tables: Tables, format: Literal["json", "csv"]) -> Iterator[bytes]:
    """The pieces of a metrics.json or metrics.csv of the period's records."""
    if format == "csv":
        return metrics_csv.document(tables.records())
    return metrics_json.document(tables.records(), tables.loose_selections())


def _write(tables: Tables, file: Path, format: Format) -> None:
    if format == "parquet":
        tables.connection.execute(
            f"COPY (SELECT {columns.NAMES} FROM lines ORDER BY t) TO {columns.literal(str(file))}"
            " (FORMAT parquet, COMPRESSION zstd)"
        )
        return
    pieces: Iterable[bytes] = document(tables, format)
    with open(file, "wb", buffering=_CHUNK) as stream:
        stream.writelines(pieces)
