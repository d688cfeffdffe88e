"""Records into a store from files: metrics.json, metrics.csv, segments, Parquet exports, and traces from elsewhere.

A query that the store has already, by its id, stays as it is there; so a file imported twice adds nothing. What is new
goes to the folder of the day it started, compacted at once, and so is subject to `retention_days` like everything.
"""

from __future__ import annotations

import itertools
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from instrument.config import DEFAULTS, Config
from instrument.errors import StoreError
from instrument.files import alone, make_directory, reason
from instrument.interchange import inspect_ai, langfuse, metrics_csv, metrics_json, otlp
from instrument.interchange.assembling import Assembling
from instrument.interchange.incoming import Line, Reader, SkippedEntry
from instrument.interchange.json_values import documents
from instrument.rows import columns
from instrument.rows.stored import LONGEST_LINE
from instrument.store import layout, parquet_export, settling
from instrument.store.detecting import Shape, shape_of, traces_of
from instrument.store.engine import duckdb
from instrument.store.line_tables import has_endless_line
from instrument.store.tables import Tables, open_store
from instrument.store.upkeep import unreadable
from instrument.store.upkeep.compaction import write_compacted

_FIRST_DAY = date(1970, 1, 1)
_DAY = 86_400_000_000


class Imported(Struct):
    """What an import did.

    `queries`, `selections` and `calls` (those outside any query) are new in the store, `duplicates` were there already
    or twice in the files. `skipped` are the entries that could not be taken, `notes` what had to be assumed.
    """

    queries: int = 0
    selections: int = 0
    calls: int = 0
    duplicates: int = 0
    skipped: list[SkippedEntry] = field(default_factory=list[SkippedEntry])
    notes: list[str] = field(default_factory=list[str])


def import_files(paths: Iterable[str | Path], directory: str | Path, config: Config = DEFAULTS) -> Imported:
    """Import files into a store, which is made if there is none; where they disagree, the first one counts.

    What is kept of the texts in traces from elsewhere is as `config` says; files of our own hold what was kept already.
    Raises StoreError, with nothing imported, when one of them is no file of metrics.
    """
    files: list[tuple[Path, Shape]] = [(Path(path), shape_of(Path(path))) for path in paths]
    store = Path(directory)
    make_directory(store)
    done = Imported()
    busy = "another import is running; wait for it to end"
    with alone(store, layout.IMPORT_LOCK, busy), open_store(store) as tables:
        tables.connection.execute(f"CREATE TABLE staged (ordinal BIGINT, {columns.DEFINITIONS})")
        spans = _Spans()
        for file, shape in files:
            if shape == "parquet":
                _stage_parquet(tables, Reader(file), done)
            elif shape == "lines":
                _stage_segment(tables, file, done)
            else:
                reader = Reader(file)
                _stage_entries(tables, reader, _entries(reader, shape, config, spans), done)
        if spans.readers:
            _stage_entries(tables, spans.readers[-1], spans.lines(config), done)
        done.queries, done.selections, done.calls, done.duplicates = settling.settle(tables)
        _publish(tables.connection, store)
    done.notes.sort()
    return done


def _entries(reader: Reader, shape: Shape, config: Config, spans: _Spans) -> Iterator[Line]:
    """The lines that a file becomes; the spans of OTLP wait for those in other files."""
    if shape == "metrics_csv":
        return metrics_csv.read(reader)
    if shape == "metrics_json":
        return metrics_json.read(reader)
    found = documents(reader.file, reader.skip)
    first = next(found, ("the document", None))
    found = itertools.chain([first], found)
    match traces_of(first[1]):
        case "otlp":
            spans.take(reader, found)
            return iter(())
        case "inspect":
            return Assembling(config).lines(inspect_ai.traces(found, reader.skip), reader)
        case "langfuse":
            return Assembling(config).lines(langfuse.traces(found, reader.skip), reader)
        case None:
            whole = [value for _, value in found] if first[0].startswith("[") else first[1]
            return metrics_json.read(reader, whole)


class _Spans:
    """What files of OTLP hold together: a trace's spans may stand in several."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self._collected = otlp.Collected()

    def take(self, reader: Reader, found: Iterable[tuple[str, Any]]) -> None:
        """Take in the spans of a file."""
        self.readers.append(reader)
        if not self._collected.take(found, reader.skip) and not reader.skipped:
            reader.skip("the whole file", "there are no spans in it")

    def lines(self, config: Config) -> Iterator[Line]:
        """The lines that the traces become; what is said of them is said by the last file's reader."""
        assembling, last = Assembling(config), self.readers[-1]
        last.skipped = []
        assembling.remarks["repeated"] = self._collected.repeated
        where = f"{len(self.readers)} files" if len(self.readers) > 1 else ""
        yield from assembling.lines(self._collected.traces(), last, where)
        if foreign := self._collected.foreign:
            last.skip(f"{foreign:,} of the traces", "no agent, model, tool or GraphQL operation is in them")


def _stage_entries(tables: Tables, reader: Reader, lines: Iterator[Line], done: Imported) -> None:
    try:
        with tempfile.NamedTemporaryFile(suffix=layout.SEGMENT_SUFFIX) as converted:
            for ordinal, line in enumerate(lines):
                encoded = msgspec.json.encode(line | {"ordinal": ordinal})
                if len(encoded) < LONGEST_LINE:
                    converted.write(encoded + b"\n")
                else:
                    size, most = len(encoded) >> 20, LONGEST_LINE >> 20
                    reader.skip(f"entry {ordinal}", f"with {size} MB it is larger than a record may be ({most} MB)")
            converted.flush()
            _stage(tables, "ordinal", columns.read_segments([converted.name], {"ordinal": "BIGINT"}))
    except OSError as error:
        raise StoreError(reader.file, f"it cannot be read and converted: {reason(error)}") from None
    done.skipped += reader.skipped
    done.notes += reader.notes - set(done.notes)


def _stage_segment(tables: Tables, file: Path, done: Imported) -> None:
    if has_endless_line(str(file)):
        raise StoreError(file, "it has a line too long to be a record; this is no segment, or a damaged one")
    for line, usable in enumerate(unreadable.verdicts(tables.connection, file), 1):
        if not usable:
            done.skipped.append(SkippedEntry(str(file), f"line {line}", "it is no record, or was cut off"))
    _stage(tables, "row_number() OVER ()", columns.read_segments([str(file)]))


def _stage_parquet(tables: Tables, reader: Reader, done: Imported) -> None:
    file = reader.file
    source = columns.read_compacted([str(file)])
    try:
        found = {name: kind for name, kind, *_ in tables.connection.execute(f"DESCRIBE FROM {source}").fetchall()}
    except duckdb.Error:
        raise StoreError(file, "the Parquet file is cut off or damaged; import an undamaged copy") from None
    if parquet_export.is_export(found):
        _stage_entries(tables, reader, parquet_export.read(tables.connection, found, reader), done)
        return
    if not {"type", "t", "i", "d"} <= set(found):
        raise StoreError(
            file,
            "this Parquet file holds no stored lines; give one that `metrics export --format store` wrote",
        )
    missing = ", ".join(f"NULL AS {name}" for name in columns.COLUMNS if name not in found)
    try:
        _stage(tables, "row_number() OVER ()", f"(SELECT *{', ' + missing if missing else ''} FROM {source})")
    except duckdb.Error:
        raise StoreError(file, "this Parquet file has columns of ours, but other things in them") from None


def _stage(tables: Tables, ordinal: str, source: str) -> None:
    tables.rows(
        f"INSERT INTO staged SELECT {ordinal} + (SELECT coalesce(max(ordinal), 0) + 1 FROM staged), {columns.NAMES}"
        f" FROM {source} WHERE {columns.USABLE}"
    )


def _publish(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Bring every day's new lines to its folder; killed in between, the same import adds the rest."""
    for number, lines in connection.execute(f"SELECT t // {_DAY}, count(*) FROM fresh GROUP BY ALL").fetchall():
        folder = store / (_FIRST_DAY + timedelta(days=number)).isoformat()
        make_directory(folder, inside=True)
        file = folder / f"imported-{secrets.token_hex(8)}{layout.PARQUET_SUFFIX}"
        place = f"{columns.literal(file.stem)} AS {columns.SEGMENT}, row_number() OVER () AS {columns.PLACE}"
        source = f"SELECT {columns.NAMES}, {place} FROM fresh WHERE t // {_DAY} = {number}"
        try:
            write_compacted(connection, source, file)
        except (duckdb.IOException, OSError) as error:
            raise StoreError(file, f"these {lines} records cannot be written: {reason(error)}") from None
