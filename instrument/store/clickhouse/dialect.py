"""The SQL of the analysis in ClickHouse's words: the one room where the two differ.

The figures are written once, for DuckDB. sqlglot reads a statement, writes most of it as ClickHouse wants it, and what
it does not know (percentiles, histograms, JSON pointers, whole division) is put in its place here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
        from sqlglot import exp
    except ModuleNotFoundError:
        raise UsageError("reading from ClickHouse needs an extra: pip install 'agent-instrument[clickhouse]'") from None
    tree = sqlglot.parse_one(statement, read="duckdb")
    rules = _rules(exp)
    for node in reversed(list(tree.dfs())):  # what is inside first
        if (rule := rules.get(type(node))) and (new := rule(node)) is not node:
            node.replace(new)
    return tree.sql(dialect="clickhouse")


def _rules(exp: Any) -> dict[type, Callable[[Any], Any]]:
    """What to put in place of which kind of node; `exp` is sqlglot's module of them."""

    def call(name: str, *arguments: Any) -> Any:
        return exp.Anonymous(this=name, expressions=list(arguments))

    def pointer(column: Any, path: Any) -> Any:
        """The text at a JSON pointer; NULL where there is none."""
        parts = keys(path)
        kind = call("JSONType", column.copy(), *[part.copy() for part in parts])
        text = call("JSONExtractString", column.copy(), *[part.copy() for part in parts])
        raw = call("JSONExtractRaw", column.copy(), *[part.copy() for part in parts])
        found = call("toString", kind)
        chosen = call("multiIf", found.eq("String"), text, found.isin("Null", "nil"), exp.Null(), raw)
        return call("if", call("JSONHas", column.copy(), *parts), chosen, exp.Null())

    def keys(path: Any) -> list[Any]:
        """The keys that a pointer leads through; one that is put together of a column is that column's value."""
        if path.is_string:
            return [exp.Literal.string(part) for part in _parts(str(path.this))]
        if isinstance(path, exp.JSONPath):
            return [exp.Literal.string(str(part.this)) for part in path.find_all(exp.JSONPathKey)]
        column = path.find(exp.Column)
        return [column.copy()] if column is not None else []

    def whole_division(node: Any) -> Any:
        left, right = exp.paren(node.this.copy()), exp.paren(node.expression.copy())
        rest = call("positiveModulo", left.copy(), right.copy())
        return call("intDiv", exp.Sub(this=left, expression=rest), right)

    def anonymous(node: Any) -> Any:
        name, arguments = str(node.this).lower(), node.expressions
        if name == "histogram":
            return call("sumMap", call("map", call("ifNull", arguments[0], exp.Literal.string("")), _one(exp)))
        if name == "json_exists":
            return call("JSONHas", arguments[0], *keys(arguments[1]))
        if name == "json_extract_string":
            return pointer(arguments[0], arguments[1])
        if name == "isfinite":
            return call("isFinite", *arguments)
        if name == "list_position":
            return call("nullIf", call("indexOf", *arguments), exp.Literal.number(0))
        return node

    def percentile(node: Any) -> Any:
        wanted = node.expression
        shares = wanted.expressions if isinstance(wanted, exp.Array) else [wanted]
        name = "quantilesExactInclusive" if isinstance(wanted, exp.Array) else "quantileExactInclusive"
        return exp.ParameterizedAgg(this=name, expressions=shares, params=[node.this])

    def gathered(node: Any) -> Any:
        """A list; one of pairs of a key and a weight is added up by key, as a histogram is."""
        if isinstance(node.this, exp.Distinct):
            return call("groupUniqArray", node.this.expressions[0])
        if isinstance(node.this, exp.Struct):
            key, value = (pair.expression for pair in node.this.expressions)
            return call("sumMap", call("map", call("ifNull", key, exp.Literal.string("")), value))
        return call("groupArray", node.this)

    def cast(node: Any) -> Any:
        if node.to.this in (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT):
            inner = node.this
            return call("toFloat64OrNull", call("toString", inner)) if isinstance(node, exp.TryCast) else node
        return node

    def table(node: Any) -> Any:
        """`memory.main.calls` is the whole table, `all_calls`."""
        if node.db:
            return exp.Table(this=exp.to_identifier(f"all_{node.name}"), alias=node.args.get("alias"))
        return node

    return {
        exp.IntDiv: whole_division,
        exp.Anonymous: anonymous,
        exp.PercentileCont: percentile,
        exp.TryCast: cast,
        exp.JSONExtractScalar: lambda node: pointer(node.this, node.expression),
        exp.ArrayAgg: gathered,
        exp.Table: table,
        exp.JSONKeys: lambda node: call("JSONExtractKeys", call("ifNull", node.this, exp.Literal.string(""))),
        exp.JSONType: lambda node: call("upper", call("toString", call("JSONType", node.this))),
        exp.Length: lambda node: call("length", node.this),
        exp.LogicalOr: lambda node: call("max", node.this),
    }


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


def _one(exp: Any) -> Any:
    return exp.cast(exp.Literal.number(1), "BIGINT")


def _parts(pointer: str) -> list[str]:
    """The keys of a JSON pointer, or of a path such as `$.a`."""
    if not pointer.startswith("/"):
        return [pointer.removeprefix("$.").strip('"')]
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/")]
