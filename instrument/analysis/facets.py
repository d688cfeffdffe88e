"""What queries have, value by value with counts: the ways to narrow a list of them down."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from instrument.analysis.filters import FIELDS, Filter, picked
from instrument.analysis.measures import counting
from instrument.analysis.timeline import ROOTS
from instrument.rows.columns import literal
from instrument.store.tables import Tables

MOST_VALUES = 12
"""Values that a facet names, the commonest."""

AT_ONCE = 150_000
"""Queries up to which every facet is counted at once; beyond, the slow ones only when they are asked for."""

_LOOKED_AT = 2000
"""Queries in which the names of attributes are looked for."""

_MOST_ATTRIBUTES = 12

DURATIONS = ((1_000, "1s"), (5_000, "5s"), (30_000, "30s"))
"""Limits of the facet of durations, in ms, and as a filter writes them."""

_PLAIN = ("outcome", "agent", "error", "model", "host")


class Facet(Struct, frozen=True):
    """The values of one name with their counts, the commonest first; `values` is None where nobody has counted yet.

    `more` is how many values there are beside those.
    """

    name: str
    values: list[tuple[str, float]] | None
    more: int = 0


def facets(tables: Tables, filters: Sequence[Filter], asked: Sequence[str] = ()) -> list[Facet]:
    """Count the values of every name among the queries that the filters pick.

    A name that is filtered by is counted without its own filter, so that its other values can be chosen. `asked` names
    the slow facets (`tool` and attributes) to count however many queries there are.
    """
    chosen = {each.name for each in filters}
    base = picked(tables, filters)
    queries = base.rows(f"SELECT count(*) FROM {ROOTS}")[0][0]
    plain = [name for name in _PLAIN if name not in chosen]
    found = _counted(base, plain) | {name: _alone(tables, filters, name) for name in _PLAIN if name in chosen}
    result = [
        found["outcome"],
        _durations(_without(tables, filters, "duration", base)),
        *(found[n] for n in _PLAIN[1:]),
    ]
    for name in ("tool", *_attributes(base)):
        filter_name = name if name == "tool" else f"attribute:{name}"
        is_counted = queries <= AT_ONCE or filter_name in asked or name in asked or {name, filter_name} & chosen
        source = _without(tables, filters, filter_name, base)
        result.append(_slow(source, name, filter_name) if is_counted else Facet(filter_name, None))
    return [facet for facet in result if facet.values is None or _is_choice(facet) or facet.name in chosen]


def _is_choice(facet: Facet) -> bool:
    """Whether there is something to choose; all queries of a store of one machine have one host."""
    return bool(facet.values) and (facet.name != "host" or len(facet.values or ()) > 1)


def _without(tables: Tables, filters: Sequence[Filter], name: str, base: Tables) -> Tables:
    left = [each for each in filters if each.name not in (name, name.removeprefix("attribute:"))]
    return base if len(left) == len(filters) else picked(tables, left)


def _alone(tables: Tables, filters: Sequence[Filter], name: str) -> Facet:
    return _counted(_without(tables, filters, name, tables), [name])[name]


def _counted(tables: Tables, names: Sequence[str]) -> dict[str, Facet]:
    if not names:
        return {}
    columns = ", ".join(f"({FIELDS[name].sql})::VARCHAR AS f{place}" for place, name in enumerate(names))
    sets = ", ".join(f"(f{place})" for place in range(len(names)))
    keys = ", ".join(f"f{place}" for place in range(len(names)))
    rows = tables.rows(
        f"""SELECT grouping({keys}) AS which, coalesce({keys}) AS value, {counting(tables)}
        FROM (SELECT {columns}, weight FROM {ROOTS}) GROUP BY GROUPING SETS ({sets}) ORDER BY 3 DESC, 2"""
    )
    values: dict[str, list[tuple[str, float]]] = {name: [] for name in names}
    for which, value, number in rows:
        place = next(p for p in range(len(names)) if not which >> (len(names) - 1 - p) & 1)
        if value:
            values[names[place]].append((value, number))
    return {name: _facet(name, found) for name, found in values.items()}


def _facet(name: str, values: list[tuple[str, float]]) -> Facet:
    return Facet(name, values[:MOST_VALUES], max(0, len(values) - MOST_VALUES))


def _durations(tables: Tables) -> Facet:
    aggregates = ", ".join(counting(tables, f"duration_ns > {limit} * 1e6") for limit, _ in DURATIONS)
    [row] = tables.rows(f"SELECT {aggregates} FROM {ROOTS}")
    return Facet("duration", [(f">{text}", number) for (_, text), number in zip(DURATIONS, row, strict=True) if number])


def _attributes(tables: Tables) -> list[str]:
    """The names of attributes that the queries have, as a part of them shows."""
    statement = f"""
        SELECT name, count(*) FROM (
            SELECT unnest(json_keys(attributes)) AS name
            FROM (SELECT attributes FROM {ROOTS} AND attributes IS NOT NULL LIMIT {_LOOKED_AT})
            WHERE json_type(attributes) = 'OBJECT')
        GROUP BY name ORDER BY 2 DESC, 1 LIMIT {_MOST_ATTRIBUTES}"""
    return [name for name, _ in tables.rows(statement)]


def _slow(tables: Tables, name: str, filter_name: str) -> Facet:
    if filter_name == "tool":
        statement = """
            SELECT name, count(DISTINCT query_id) FROM calls WHERE kind = 'tool' AND query_id IS NOT NULL
            GROUP BY 1 ORDER BY 2 DESC, 1"""
    else:
        pointer = literal("/" + name.replace("~", "~0").replace("/", "~1"))
        statement = f"""
            SELECT json_extract_string(attributes, {pointer}) AS value, {counting(tables)} FROM {ROOTS}
            GROUP BY 1 HAVING value IS NOT NULL ORDER BY 2 DESC, 1"""
    return _facet(filter_name, tables.rows(f"{statement} LIMIT 200"))
