"""The SQL of the analysis in ClickHouse's words: the one room where the two differ.

The figures are written once, for DuckDB. sqlglot reads a statement and writes most of it as ClickHouse wants it; the
rules for the rest are in `rewriting`.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from instrument.errors import UsageError

SETTINGS: dict[str, Any] = {
    "group_by_use_nulls": 1,
    "join_use_nulls": 1,
    "prefer_column_name_to_alias": 1,
    "union_default_mode": "DISTINCT",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "enable_analyzer": 1,
}
"""How a statement is to be understood, where ClickHouse has several ways."""


def literal(value: Any) -> str:
    """A Python value as DuckDB writes it in a statement; a list becomes an array."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.replace(tzinfo=None).isoformat(' ')}'"
    if isinstance(value, list | tuple | set):
        return f"[{', '.join(literal(each) for each in value)}]"
    return "'" + str(value).replace("'", "''") + "'"


def filled_in(statement: str, parameters: dict[str, Any]) -> str:
    """A statement with its parameters written out; the longest name first, so that none is taken for another."""
    for name in sorted(parameters, key=len, reverse=True):
        written = literal(parameters[name])
        statement = re.sub(rf"\${re.escape(name)}(?![A-Za-z0-9_])", written.replace("\\", r"\\"), statement)
    return statement


@lru_cache(maxsize=512)
def translated(statement: str) -> str:
    """A SELECT of DuckDB's as ClickHouse takes it. Raises UsageError for what cannot be said there."""
    try:
        import sqlglot
    except ModuleNotFoundError:
        raise UsageError("reading from ClickHouse needs an extra: pip install 'agent-instrument[clickhouse]'") from None
    from instrument.store.clickhouse.rewriting import rewritten

    written: str = rewritten(sqlglot.parse_one(statement, read="duckdb")).sql(dialect="clickhouse")
    return written


def only_select(statement: str, known: frozenset[str]) -> str:
    """A user's own statement, if it is one SELECT over the tables that are known. Raises UsageError."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError

    try:
        trees = [tree for tree in sqlglot.parse(statement, read="duckdb") if tree is not None]
    except ParseError as error:
        raise UsageError(f"this is no SQL: {str(error).partition('.')[0]}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise UsageError("write one SELECT, which only reads")
    own = {each.alias_or_name for each in trees[0].find_all(exp.CTE)}
    for table in trees[0].find_all(exp.Table):
        if table.db or not isinstance(table.this, exp.Identifier) or table.name not in known | own:
            raise UsageError(f"there is no table {table.sql()!r}; the tables are {', '.join(sorted(known))}")
    return str(trees[0].sql(dialect="duckdb"))
