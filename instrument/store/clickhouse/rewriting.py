"""What sqlglot does not say in ClickHouse's words by itself: a rule for each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from instrument.store.clickhouse.schema import TABLES


def rewritten(tree: Any) -> Any:
    """A parsed statement with every node that has a rule replaced; what is inside comes first."""
    for node in reversed(list(tree.dfs())):
        if (rule := RULES.get(type(node))) and (new := rule(node)) is not node:
            node.replace(new)
    return tree


def _call(name: str, *arguments: Any) -> Any:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _at_pointer(column: Any, path: Any) -> Any:
    """The text at a JSON pointer; NULL where there is none."""
    parts = _keys(path)
    kind, text, raw = (
        _call(name, column.copy(), *[part.copy() for part in parts])
        for name in ("JSONType", "JSONExtractString", "JSONExtractRaw")
    )
    found = _call("toString", kind)
    chosen = _call("multiIf", found.eq("String"), text, found.isin("Null", "nil"), exp.Null(), raw)
    return _call("if", _call("JSONHas", column.copy(), *parts), chosen, exp.Null())


def _keys(path: Any) -> list[Any]:
    """The keys that a pointer leads through; one that is put together of a column is that column's value."""
    if path.is_string:
        return [exp.Literal.string(part) for part in _parts(str(path.this))]
    if isinstance(path, exp.JSONPath):
        return [exp.Literal.string(str(part.this)) for part in path.find_all(exp.JSONPathKey)]
    column = path.find(exp.Column)
    return [column.copy()] if column is not None else []


def _parts(pointer: str) -> list[str]:
    """The keys of a JSON pointer, or of a path such as `$.a`."""
    if not pointer.startswith("/"):
        return [pointer.removeprefix("$.").strip('"')]
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/")]


def _whole_division(node: Any) -> Any:
    left, right = exp.paren(node.this.copy()), exp.paren(node.expression.copy())
    rest = _call("positiveModulo", left.copy(), right.copy())
    return _call("intDiv", exp.Sub(this=left, expression=rest), right)


def _counted(key: Any, number: Any) -> Any:
    """A map from each key to the sum of its numbers."""
    return _call("sumMap", _call("map", _call("ifNull", key, exp.Literal.string("")), number))


def _exactly(share: str, value: Any) -> Any:
    return exp.ParameterizedAgg(
        this="quantileExactInclusive", expressions=[exp.Literal.number(share)], params=[value.copy()]
    )


def _spread(value: Any) -> Any:
    """The median of how far values lie from their median; NULL where there is none."""
    values = _call("groupArray", value.copy())
    middles = _call("arrayWithConstant", _call("length", values.copy()), _exactly("0.5", value))
    apart = _call("arrayMap", exp.var("(value, middle) -> abs(value - middle)"), values, middles)
    found = _call("arrayReduce", exp.Literal.string("quantileExactInclusive(0.5)"), apart)
    return _call("if", _call("isNaN", found), exp.Null(), found.copy())


_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "histogram": lambda given: _counted(given[0], exp.cast(exp.Literal.number(1), "BIGINT")),
    "json_exists": lambda given: _call("JSONHas", given[0], *_keys(given[1])),
    "json_extract_string": lambda given: _at_pointer(given[0], given[1]),
    "isfinite": lambda given: _call("isFinite", *given),
    "list_position": lambda given: _call("nullIf", _call("indexOf", *given), exp.Literal.number(0)),
    "mad": lambda given: _spread(given[0]),
    "hash": lambda given: _call("cityHash64", *given),  # only whether two are the same matters
    "map_entries": lambda given: _call("CAST", given[0], exp.Literal.string("Array(Tuple(key String, value Int64))")),
}
"""Functions that sqlglot does not know, by their names in DuckDB."""


def _function(node: Any) -> Any:
    rule = _FUNCTIONS.get(str(node.this).lower())
    return rule(node.expressions) if rule else node


def _percentile(node: Any) -> Any:
    wanted = node.expression
    shares = wanted.expressions if isinstance(wanted, exp.Array) else [wanted]
    name = "quantilesExactInclusive" if isinstance(wanted, exp.Array) else "quantileExactInclusive"
    return exp.ParameterizedAgg(this=name, expressions=shares, params=[node.this])


def _gathered(node: Any) -> Any:
    """A list; one of pairs of a key and a weight is added up by key, as a histogram is."""
    if isinstance(node.this, exp.Distinct):
        return _call("groupUniqArray", node.this.expressions[0])
    if isinstance(node.this, exp.Struct):
        key, value = (pair.expression for pair in node.this.expressions)
        return _counted(key, value)
    return _call("groupArray", node.this)


_TEXTS = frozenset(
    name.rpartition(".")[2]
    for table in TABLES.values()
    for name, kind in table.columns.items()
    if kind.partition(" ")[0] in ("String", "Nullable(String)")
)


def _length(node: Any) -> Any:
    """The characters of a text, or the elements of an array."""
    is_text = isinstance(node.this, exp.Column) and node.this.name in _TEXTS
    return _call("lengthUTF8" if is_text else "length", node.this)


def _tried_cast(node: Any) -> Any:
    if node.to.this in (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT):
        return _call("toFloat64OrNull", _call("toString", node.this))
    return node


def _table(node: Any) -> Any:
    """`memory.main.calls` is the whole table, `all_calls`."""
    return exp.Table(this=exp.to_identifier(f"all_{node.name}"), alias=node.args.get("alias")) if node.db else node


def _select(node: Any) -> Any:
    """Columns keep their bare names; ClickHouse would call one `known.agent` where two tables have an `agent`."""
    for each in node.expressions:
        if isinstance(each, exp.Column) and each.table and not isinstance(each.this, exp.Star):
            each.replace(exp.alias_(each.copy(), each.name))
    return node


RULES: dict[type, Callable[[Any], Any]] = {
    exp.IntDiv: _whole_division,
    exp.Anonymous: _function,
    exp.PercentileCont: _percentile,
    exp.TryCast: _tried_cast,
    exp.JSONExtractScalar: lambda node: _at_pointer(node.this, node.expression),
    exp.ArrayAgg: _gathered,
    exp.Table: _table,
    exp.Select: _select,
    exp.JSONKeys: lambda node: _call("JSONExtractKeys", _call("ifNull", node.this, exp.Literal.string(""))),
    exp.JSONType: lambda node: _call("upper", _call("toString", _call("JSONType", node.this))),
    exp.Length: _length,
    exp.Lower: lambda node: _call("lowerUTF8", node.this),
    exp.Median: lambda node: _exactly("0.5", node.this),
    exp.LogicalOr: lambda node: _call("max", node.this),
}
"""What to put in place of which kind of node; a rule gives the node itself where it has nothing to change."""
