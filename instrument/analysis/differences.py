"""What differs here: which values are commoner among some queries than chance explains, against all the others.

For each value of each name, how many of the chosen queries have it is held against the hypergeometric distribution:
the chance that so many or more of them would, were they drawn blindly from all (the one-sided exact test of Fisher, The
Logic of Inductive Inference, 1935). Every value is a test of its own, so that each chance is multiplied by the number
of tests (Bonferroni); what then stays above `MOST_CHANCE` is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from instrument.analysis.filters import FIELDS
from instrument.analysis.timeline import ROOTS
from instrument.rows.columns import literal
from instrument.store.tables import Tables

MOST_CHANCE = 0.01
"""The chance, after correction, above which a difference is not shown."""

LEAST = 3
"""How many of the chosen queries must have a value."""

MOST_SHOWN = 12

_NAMES = ("agent", "outcome", "error", "model", "host")
_LOOKED_AT = 2000


class Region(Struct, frozen=True):
    """Which queries are chosen: those that started in [since_us, until_us) and took [above_ms, below_ms)."""

    since_us: int
    until_us: int
    above_ms: float | None = None
    below_ms: float | None = None

    @property
    def condition(self) -> str:
        """The region as an SQL condition over `queries`."""
        parts = [f"started_us >= {int(self.since_us)} AND started_us < {int(self.until_us)}"]
        parts += [f"duration_ns >= {float(self.above_ms) * 1e6!r}"] if self.above_ms is not None else []
        parts += [f"duration_ns < {float(self.below_ms) * 1e6!r}"] if self.below_ms is not None else []
        return " AND ".join(parts)


class Difference(Struct, frozen=True):
    """A value that is over-represented: in `inside` of the chosen queries and `outside` of the others.

    `share` and `other_share` are these as shares; `log10_chance` is the logarithm of the corrected chance.
    """

    name: str
    value: str
    inside: int
    outside: int
    share: float
    other_share: float
    log10_chance: float


class Differences(Struct, frozen=True):
    """How many queries were chosen, how many others there are, and what differs, the least likely first."""

    chosen: int
    others: int
    found: list[Difference]


def differences(tables: Tables, region: Region) -> Differences:
    """Find what is over-represented among the queries of a region. A weighted record counts once: it is one draw."""
    chosen = f"({region.condition})"
    inside_all, everything = tables.rows(f"SELECT count(*) FILTER ({chosen}), count(*) FROM {ROOTS}")[0]
    others = everything - inside_all
    if not inside_all or not others:
        return Differences(inside_all, others, [])
    counted = [(name, *row) for name, sql in _expressions(tables) for row in _values(tables, sql, chosen)]
    counted += [("tool", *row) for row in _tools(tables, chosen)]
    found = []
    for name, value, inside, all_with in counted:
        outside = all_with - inside
        share, other = inside / inside_all, outside / others
        if value is None or inside < LEAST or share <= other:
            continue
        chance = log10_tail(inside, everything, all_with, inside_all) + math.log10(len(counted))
        if chance <= math.log10(MOST_CHANCE):
            found.append(Difference(name, str(value), inside, outside, share, other, chance))
    found.sort(key=lambda one: (one.log10_chance, one.name, one.value))
    return Differences(inside_all, others, found[:MOST_SHOWN])


def _expressions(tables: Tables) -> list[tuple[str, str]]:
    statement = f"""
        SELECT DISTINCT unnest(json_keys(attributes)) AS name
        FROM (SELECT attributes FROM {ROOTS} AND json_type(attributes) = 'OBJECT' LIMIT {_LOOKED_AT})
        ORDER BY 1 LIMIT 20"""
    plain = [(name, FIELDS[name].sql) for name in _NAMES]
    for (name,) in tables.rows(statement):
        pointer = literal("/" + name.replace("~", "~0").replace("/", "~1"))
        plain.append((f"attribute:{name}", f"json_extract_string(attributes, {pointer})"))
    return plain


def _values(tables: Tables, sql: str, chosen: str) -> Sequence[tuple[str, int, int]]:
    return tables.rows(
        f"""SELECT ({sql})::VARCHAR AS value, count(*) FILTER ({chosen}), count(*)
        FROM {ROOTS} GROUP BY 1 HAVING value IS NOT NULL ORDER BY 2 DESC LIMIT 300"""
    )


def _tools(tables: Tables, chosen: str) -> Sequence[tuple[str, int, int]]:
    return tables.rows(
        f"""SELECT name, count(*) FILTER (chosen), count(*) FROM (
            SELECT DISTINCT calls.name, calls.query_id, chosen
            FROM calls JOIN (SELECT query_id, {chosen} AS chosen FROM {ROOTS}) AS q ON q.query_id = calls.query_id
            WHERE calls.kind = 'tool')
        GROUP BY 1 ORDER BY 2 DESC LIMIT 300"""
    )


def log10_tail(hits: int, population: int, successes: int, draws: int) -> float:
    """log10 of the chance of `hits` or more successes in so many draws without replacement (hypergeometric)."""
    most = min(successes, draws)
    if hits <= max(0, draws + successes - population):
        return 0.0
    term = (
        _log_choose(successes, hits)
        + _log_choose(population - successes, draws - hits)
        - _log_choose(population, draws)
    )
    total, ratio, number = 1.0, 1.0, hits
    while number < most:
        ratio *= (successes - number) * (draws - number)
        ratio /= (number + 1) * (population - successes - draws + number + 1)
        number += 1
        total += ratio
        if ratio < total * 1e-17 and number > draws * successes / population:
            break
    return min(0.0, (term + math.log(total)) / math.log(10))


def _log_choose(of: int, number: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)
