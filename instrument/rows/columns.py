"""The columns of a line on disk, the same in a segment and in a compacted file; `stored.py` says what each one means.

Some stand only in imported lines: `tc`, `gc` and `mc`, how many tool, GraphQL and model calls there were, where the
calls are not known one by one; and within a call `m`, its error's message.

A line that says a version (`v`) later than ours may have keys that are unknown here. In a compacted file `more` holds
such a line whole, so that a version which knows them finds them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from instrument.rows.fields import CALL, FIELDS, SELECTION, structure
from instrument.rows.stored import LONGEST_LINE, SCHEMA_VERSION


def _columns() -> dict[str, str]:
    """Every key that a line of any kind may have, with its SQL type."""
    found = {"type": "VARCHAR"}
    for field in (field for table in FIELDS.values() for field in table if field.key):
        key, _, inner = field.key.partition(".")
        found.setdefault(key, "JSON" if inner else field.type)
    found["c"], found["selection"] = f"{structure(CALL)}[]", structure(SELECTION)
    return found | {"more": "JSON"}


COLUMNS = _columns()

PLACE = "byte"
"""The key, and in compacted files the column, of the byte at which a line began in its segment."""

LONGEST_PLACED = LONGEST_LINE + 64
"""How long a line may be that says where it stood."""

SEGMENT = "segment"
"""The column of compacted files that names the segment a line stood in.

By both a follower that has read a part of a segment finds the rest of it. Files of earlier versions have neither.
"""

NAMES = ", ".join(COLUMNS)

DEFINITIONS = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())

_NESTED = ("STRUCT", "MAP")

LATER = f"v > {SCHEMA_VERSION}"
"""Whether a line is of a later version than this."""

LAST_T = 250_000_000_000_000_000
"""The last time a record can have: some way before the year 10000, µs since 1970."""

LONGEST_D = 3_155_760_000_000_000_000
"""The longest duration: a hundred years, in ns."""

USABLE = f"(t BETWEEN 0 AND {LAST_T} AND coalesce(d, 0) BETWEEN 0 AND {LONGEST_D})"
"""Whether a line is a record at all. A torn line reads as NULL throughout; a time that cannot be is no better."""


_AS_IT_LIES = "hive_partitioning = false"
"""DuckDB takes a folder named `key=value` above a file for a column, and reads it in place of ours."""


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: list[str]) -> str:
    """Texts as an SQL list."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def paths(files: list[str]) -> str:
    """Paths as an SQL list, none of them taken for a pattern."""
    return literals([pattern(file) for file in files])


def pattern(file: str) -> str:
    """The pattern that only this path matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in file)


def read_segments(files: list[str], more: Mapping[str, str] = MappingProxyType({}), longest: int = LONGEST_LINE) -> str:
    """The table function that reads segments: every line a row, an unreadable one a row of NULLs, `filename` beside.

    `more` are further columns and their types, `longest` is how many bytes a line may have.
    """
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in {**COLUMNS, **more}.items())
    return (
        f"read_json({paths(files)}, format = 'newline_delimited', columns = {{{types}}}, ignore_errors = true,"
        f" maximum_object_size = {longest}, compression = 'uncompressed', filename = true, {_AS_IT_LIES})"
    )


def read_lines(file: str, types: Mapping[str, str], longest: int) -> str:
    """The table function that reads a file of JSON Lines with columns of any names and types."""
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return (
        f"read_json({paths([file])}, format = 'newline_delimited', columns = {{{columns}}},"
        f" maximum_object_size = {longest}, compression = 'uncompressed', {_AS_IT_LIES})"
    )


def read_later(files: list[str], longest: int = LONGEST_LINE) -> str:
    """The SELECT that gives the lines of later versions in segments, each whole in `more` beside what is known here."""
    whole = (
        f"read_ndjson_objects({paths(files)}, ignore_errors = true, maximum_object_size = {longest},"
        f" compression = 'uncompressed', filename = true, {_AS_IT_LIES})"
    )
    known = literal(msgspec.json.encode({name: kind for name, kind in COLUMNS.items() if name != "more"}).decode())
    return (
        f"SELECT unnest(json_transform(json, {known})), {_without_place('json')} AS more, filename,"
        f" CAST(json ->> '$.{PLACE}' AS BIGINT) AS {PLACE} FROM {whole}"
        f" WHERE TRY_CAST(json ->> '$.v' AS INTEGER) > {SCHEMA_VERSION}"
    )


def placed(line: bytes, place: int) -> bytes:
    """A line that says at which byte of its segment it began; one that is no object stays as it is."""
    text = line.lstrip()
    return b'{"%b":%d,%b' % (PLACE.encode(), place, text[1:]) if text[:1] == b"{" else line


def _without_place(json: str) -> str:
    pattern = literal(rf'^\{{"{PLACE}":\d+,')
    return f"CAST(regexp_replace(CAST({json} AS VARCHAR), {pattern}, '{{') AS JSON)"


def read_compacted(files: list[str]) -> str:
    """The table function that reads compacted files."""
    return f"read_parquet({paths(files)}, union_by_name = true, {_AS_IT_LIES})"


def read_numbered(file: str) -> str:
    """The table function that reads one compacted file, each row with its place in it as `file_row_number`."""
    return f"read_parquet({paths([file])}, file_row_number = true, {_AS_IT_LIES})"


def of_compacted(found: Collection[str] = COLUMNS) -> str:
    """What to select from `read_compacted`, where an earlier version left columns and fields out: NULL stands in."""
    return ", ".join(
        _brought_up(name, kind) if name in found else f"NULL::{kind} AS {name}" for name, kind in COLUMNS.items()
    )


def _brought_up(name: str, kind: str) -> str:
    """A column with all the fields that we know; the cast does nothing where it has them."""
    return f"{name}::{kind} AS {name}" if kind.startswith(_NESTED) else name
