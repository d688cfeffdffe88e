"""Lines out of a store's files, and what of them could not be read."""

from __future__ import annotations

import msgspec

from instrument.store import columns
from instrument.store.engine import duckdb
from instrument.store.layout import UNREADABLE_SUFFIX, Day

REPLACES = "replaces"
"""The key of a compacted file's metadata that holds the names and sizes of the segments it replaces, as JSON."""


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
    if not readable:
        return {}
    statement = f"SELECT value FROM parquet_kv_metadata({columns.paths(readable)}) WHERE decode(key) = '{REPLACES}'"
    found = [msgspec.json.decode(value, type=dict[str, int]) for (value,) in connection.execute(statement).fetchall()]
    return {name: size for sizes in found for name, size in sizes.items()}


def readable_files(connection: duckdb.DuckDBPyConnection, compacted: list[str]) -> list[str]:
    """The files among these that are Parquet."""
    readable = []
    for file in compacted:
        try:
            connection.execute(f"SELECT 1 FROM parquet_file_metadata({columns.paths([file])})")
        except duckdb.InvalidInputException:
            continue
        readable.append(file)
    return readable


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


def has_endless_line(file: str) -> bool:
    """Whether a file has a line longer than any of ours; such a line ends the reading of all files."""
    length = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            first = block.find(b"\n")
            if length + (len(block) if first < 0 else first) >= columns.LARGEST_LINE:
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
                    counts[file] = sum(1 for _ in stream)
    return counts


def define_lines(connection: duckdb.DuckDBPyConnection, compacted: list[str], period: str) -> dict[str, int]:
    """Define `lines`, over `segment_lines` and compacted files.

    Returns the files that are not Parquet, each as one unreadable line. A branch without rows is left out of the view:
    it would still slow every statement.
    """
    loaded = f"SELECT {columns.NAMES} FROM segment_lines WHERE {columns.USABLE}"
    try:
        connection.execute(
            f"CREATE VIEW lines AS {' UNION ALL '.join(_sources(connection, loaded, compacted, period))}"
        )
        return {}
    except duckdb.InvalidInputException:
        readable = readable_files(connection, compacted)
        if readable == compacted:
            raise
        return define_lines(connection, readable, period) | {file: 1 for file in compacted if file not in readable}


def _sources(connection: duckdb.DuckDBPyConnection, loaded: str, compacted: list[str], period: str) -> list[str]:
    if not compacted:
        return [loaded]
    source = f"SELECT {columns.NAMES} FROM {columns.read_compacted(compacted)} WHERE {period}"
    any_loaded = connection.execute("SELECT 1 FROM segment_lines LIMIT 1").fetchone()
    return [loaded, source] if any_loaded else [source]
