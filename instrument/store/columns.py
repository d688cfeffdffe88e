"""The columns of a line on disk, the same in a segment and in a compacted file; `_rows.py` says what each one means.

Some stand only in imported lines: `tc` and `gc`, how many tool calls and GraphQL queries there were, where the calls
are not known one by one; and within a call `m`, its error's message.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_CALL = (
    "STRUCT(n VARCHAR, b BIGINT, p INTEGER, d BIGINT, k VARCHAR, s VARCHAR, e VARCHAR, m VARCHAR, x BOOLEAN, l BOOLEAN,"
    " r BIGINT)"
)

COLUMNS = {
    "type": "VARCHAR",
    "t": "BIGINT",
    "i": "BIGINT",
    "id": "VARCHAR",
    "n": "VARCHAR",
    "a": "VARCHAR",
    "q": "VARCHAR",
    "d": "BIGINT",
    "c": f"{_CALL}[]",
    "tc": "BIGINT",
    "gc": "BIGINT",
    "r": "BIGINT",
    "s": "VARCHAR",
    "e": "VARCHAR",
    "m": "VARCHAR",
    "x": "BOOLEAN",
    "f": "BIGINT",
    "parent": "VARCHAR",
    "selection": "STRUCT(t BIGINT, a VARCHAR, score DOUBLE, why VARCHAR, q VARCHAR)",
    "entities": "VARCHAR[]",
    "attributes": "JSON",
    "metrics": "JSON",
    "input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "model": "VARCHAR",
    "w": "DOUBLE",
    "o": "STRUCT(h VARCHAR, p BIGINT)",
    "v": "INTEGER",
    "k": "VARCHAR",
    "place": "INTEGER",
    "late": "BOOLEAN",
    "score": "DOUBLE",
    "why": "VARCHAR",
    "dropped": "MAP(VARCHAR, BIGINT)",
    "problems": "MAP(VARCHAR, BIGINT)",
}

NAMES = ", ".join(COLUMNS)

DEFINITIONS = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())

LARGEST_LINE = 16 << 20
"""A line longer than this many bytes makes its file unreadable to the JSON reader, which also buffers twice as much."""

LAST_T = 250_000_000_000_000_000
"""The last time a record can have: some way before the year 10000, µs since 1970."""

LONGEST_D = 3_155_760_000_000_000_000
"""The longest duration: a hundred years, in ns."""

USABLE = f"(t BETWEEN 0 AND {LAST_T} AND coalesce(d, 0) BETWEEN 0 AND {LONGEST_D})"
"""Whether a line is a record at all. A torn line reads as NULL throughout; a time that cannot be is no better."""


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: list[str]) -> str:
    """Texts as an SQL list."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def paths(files: list[str]) -> str:
    """Paths as an SQL list, none of them taken for a pattern."""
    return literals(["".join(f"[{letter}]" if letter in "*?[" else letter for letter in file) for file in files])


def read_segments(files: list[str], more: Mapping[str, str] = MappingProxyType({})) -> str:
    """The table function that reads segments: every line a row, an unreadable one a row of NULLs, `filename` beside.

    `more` are further columns and their types.
    """
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in {**COLUMNS, **more}.items())
    return (
        f"read_json({paths(files)}, format = 'newline_delimited', columns = {{{types}}}, ignore_errors = true,"
        f" maximum_object_size = {LARGEST_LINE}, compression = 'uncompressed', filename = true)"
    )


def read_compacted(files: list[str]) -> str:
    """The table function that reads compacted files."""
    return f"read_parquet({paths(files)}, union_by_name = true)"
