"""Lines out of a store's files, and what of them could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from instrument.errors import StoreError
from instrument.files import reason
from instrument.outside_counts import Counts
from instrument.rows import columns
from instrument.rows.decoding import UnreadableError, decoded
from instrument.rows.stored import LONGEST_LINE
from instrument.store.engine import duckdb
from instrument.store.layout import UNREADABLE_SUFFIX, Day

REPLACES = "replaces"
"""The key of a compacted file's metadata that holds the names and sizes of the segments it replaces, as JSON."""


_sizes = msgspec.json.Decoder(dict[str, int])


def live_segments(connection: duckdb.DuckDBPyConnection, days: list[Day]) -> list[str]:
    """The paths of the segments that no compacted file beside them replaces."""
    return [str(day.folder / name) for day in days for name in live_names(connection, day)]


def live_names(connection: duckdb.DuckDBPyConnection, day: Day) -> list[str]:
    """The same for one day, by name.

    Both lie there while compaction puts one in place of the other, or when it was killed just then.
    """
    if not (day.segments and day.compacted):
        return day.segments
    replaced = replaced_segments(connection, day)
    return [name for name in day.segments if name not in replaced]


def replaced_segments(connection: duckdb.DuckDBPyConnection, day: Day) -> dict[str, int]:
    """The names of the segments that a day's compacted files say they replace, and how many bytes of each."""
    readable = readable_files(connection, [str(day.folder / name) for name in day.compacted])
    return _replaced(connection, readable)


def replaced_by(connection: duckdb.DuckDBPyConnection, compacted: Path) -> dict[str, int]:
    """The same for one compacted file."""
    return _replaced(connection, [str(compacted)])


def _replaced(connection: duckdb.DuckDBPyConnection, readable: list[str]) -> dict[str, int]:
    if not readable:
        return {}
    statement = f"SELECT value FROM parquet_kv_metadata({columns.paths(readable)}) WHERE key = '{REPLACES}'::BLOB"
    replaced: dict[str, int] = {}
    for (value,) in connection.execute(statement).fetchall():
        with suppress(UnreadableError):  # somebody else's file, with a key of the same name
            replaced.update(decoded(value, _sizes).items())
    return replaced


def explained(error: duckdb.Error) -> Exception:
    """The error to raise for one that came of reading the store's files; what is no fault of theirs stays as it is."""
    if isinstance(error, duckdb.IOException):
        return StoreError("the store", f"it changed while it was read ({reason(error)}); try again")
    if type(error) not in (duckdb.Error, duckdb.InvalidInputException, duckdb.ConversionException):
        return error
    problem = f"a compacted file is damaged ({reason(error)})"
    return StoreError("the store", f"{problem}; `metrics doctor --fix` sets it aside")


def readable_files(connection: duckdb.DuckDBPyConnection, compacted: list[str]) -> list[str]:
    """The files among these that are Parquet with lines in it."""
    readable = []
    for file in compacted:
        try:
            found = connection.execute(
                f"SELECT 1 FROM parquet_schema({columns.paths([file])}) WHERE name = 't' AND type = 'INT64'"
            ).fetchone()
        except duckdb.IOException:
            raise
        except duckdb.Error:  # a damaged footer comes as nearly any of them
            continue
        readable += [file] if found else []
    return readable


def columns_of(connection: duckdb.DuckDBPyConnection, compacted: list[str]) -> list[str]:
    """The columns that there are in compacted files; fewer than ours where all were written by an earlier version."""
    described = connection.execute(f"DESCRIBE FROM {columns.read_compacted(compacted)}").fetchall()
    return [name for name, *_ in described]


class Look(NamedTuple):
    """What there is in segments: those that can be read at all, unreadable lines by file, later versions, queries."""

    files: list[str]
    unreadable: dict[str, int]
    later: list[str]
    queries: int


def look(connection: duckdb.DuckDBPyConnection, files: list[str]) -> Look:
    """Look through segments and keep nothing of them."""
    try:
        return _look(connection, files)
    except duckdb.InvalidInputException:
        endless = dict.fromkeys((file for file in files if has_endless_line(file)), 1)
        if not endless:
            raise
        seen = _look(connection, [file for file in files if file not in endless])
        return seen._replace(unreadable=endless | seen.unreadable)


def _look(connection: duckdb.DuckDBPyConnection, files: list[str]) -> Look:
    if not files:
        return Look([], {}, [], 0)
    statement = f"""
        SELECT filename, count(*) FILTER ({columns.USABLE} IS NOT true), coalesce(bool_or({columns.LATER}), false),
            count(*) FILTER (type IS NULL AND {columns.USABLE})
        FROM {columns.read_segments(files)} GROUP BY filename"""
    found = connection.execute(statement).fetchall()
    return Look(
        files,
        {file: count for file, count, _, _ in found if count},
        [file for file, _, later, _ in found if later],
        sum(queries for *_, queries in found),
    )


def load_segments(connection: duckdb.DuckDBPyConnection, files: list[str], period: str) -> dict[str, int]:
    """Load the lines of a period into the table `segment_lines`, unreadable ones as NULLs.

    Returns how many lines of which file are unreadable.
    """
    try:
        return _load(connection, files, period)
    except duckdb.InvalidInputException:
        endless = dict.fromkeys((file for file in files if has_endless_line(file)), 1)
        if not endless:
            raise
        return endless | _load(connection, [file for file in files if file not in endless], period)


def _load(connection: duckdb.DuckDBPyConnection, files: list[str], period: str) -> dict[str, int]:
    if not files:
        connection.execute(f"CREATE TABLE segment_lines ({columns.DEFINITIONS}, filename VARCHAR)")
        return {}
    connection.execute(
        f"CREATE TABLE segment_lines AS SELECT * FROM {columns.read_segments(files)}"
        f" WHERE {columns.USABLE} IS NOT true OR {period}"
    )
    unreadable = f"SELECT filename, count(*) FROM segment_lines WHERE {columns.USABLE} IS NOT true GROUP BY ALL"
    return dict(connection.execute(unreadable).fetchall())


def add_outside_counts(
    connection: duckdb.DuckDBPyConnection, outside: Iterable[Counts], period: str, table: str = "segment_lines"
) -> None:
    """Add what processes dropped and could not say in the store, as lines of kind health."""
    for counts in outside:
        given = {"time": counts.time, "dropped": counts.dropped, "problems": counts.problems}
        connection.execute(
            f"INSERT INTO {table} (v, type, t, dropped, problems)"
            f" SELECT 1, 'health', t, $dropped, $problems FROM (SELECT $time::BIGINT AS t) WHERE {period}",
            given,
        )


def has_endless_line(file: str) -> bool:
    """Whether a file has a line longer than any of ours; such a line ends the reading of all files."""
    length = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            first = block.find(b"\n")
            if length + (len(block) if first < 0 else first) >= LONGEST_LINE:
                return True
            length = length + len(block) if first < 0 else len(block) - block.rfind(b"\n") - 1
    return False


def set_aside(days: list[Day], live: list[str]) -> dict[str, int]:
    """How many unreadable lines compaction has set aside, by file; those still in a live segment are counted there."""
    counts = {}
    for day in days:
        for name in day.unreadable:
            file = str(day.folder / name)
            if file.removesuffix(UNREADABLE_SUFFIX) not in live:
                with open(file, "rb") as stream:
                    counts[file] = sum(1 for line in stream if line.strip())
    return {file: count for file, count in counts.items() if count}


def define_lines(connection: duckdb.DuckDBPyConnection, compacted: list[str], period: str) -> dict[str, int]:
    """Define `lines`, over `segment_lines` and compacted files.

    Returns the files that are not Parquet, each as one unreadable line. A branch without rows is left out of the view:
    it would still slow every statement.
    """
    try:
        _define_lines(connection, compacted, period, columns.of_compacted())
        return {}
    except duckdb.IOException:
        raise
    except duckdb.Error:
        readable = readable_files(connection, compacted)
        known = columns.of_compacted(columns_of(connection, readable)) if readable else ""
        _define_lines(connection, readable, period, known)
        return {file: 1 for file in compacted if file not in readable}


def _define_lines(connection: duckdb.DuckDBPyConnection, compacted: list[str], period: str, known: str) -> None:
    loaded = f"SELECT {columns.NAMES} FROM segment_lines WHERE {columns.USABLE}"
    there = f"SELECT {known} FROM {columns.read_compacted(compacted)} WHERE {period}" if compacted else ""
    any_loaded = there and connection.execute("SELECT 1 FROM segment_lines LIMIT 1").fetchone()
    sources = [loaded, there] if any_loaded else [there or loaded]
    connection.execute(f"CREATE VIEW lines AS {' UNION ALL '.join(sources)}")
