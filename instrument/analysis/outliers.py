"""Queries that are unusual for their agent and size, and what makes them so.

A query is compared with those of its agent whose input is about as long (twice as long is one step), or with all of its
agent where those are fewer than 30. Each measure is compared on the logarithm's scale, in robust deviations from the
median. How rare a value is follows from the tail of the agent's own values: the share beyond their 95 % quantile, and
an exponential excess over it (Davison and Smith, Models for exceedances over high thresholds, 1990). A query stands out
where chance would show such a value less often than the budget of false alarms a week allows, over all its measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from instrument.analysis.series import Unit
from instrument.analysis.wording import dollars, duration, several, short, size
from instrument.rows.stored import utc_text
from instrument.store.tables import Tables

MOST_QUERIES = 200_000
"""Queries that are looked at, the latest."""

LEAST_SIMILAR = 30
"""Queries of an agent below which nothing is called unusual."""

LEAST_TIMES = 2.0
"""How many times the median a value is at least."""

BUDGET = 1.0
"""Queries a week that chance alone may show."""

HISTORY_DAYS, MOST_BEFORE = 28, 20_000
"""How far back the queries lie that a single query is compared with, and how many there are at most."""

_FLOOR = 0.15
"""The least deviation, on the logarithm's scale: values that never vary would make any other infinitely unusual."""

_EXCESS, _KNOWN = 0.5, 10
"""The mean excess of a normal tail, and how many exceedances an agent's own one is drawn towards it by."""


class Measure(NamedTuple):
    """What is compared: its name in a sentence, its unit and its value in SQL, NULL where a query has none.

    `parts` is how many parts of a unit the value counts, so that a difference of less than one says nothing.
    """

    name: str
    unit: Unit
    value: str
    parts: float = 1.0


MEASURES = (
    Measure("duration", "ms", "duration_ms"),
    Measure("own time", "ms", "CASE WHEN busy > 0 THEN greatest(duration_ms - busy, 0) END"),
    Measure("tool calls", "calls", "tool_calls"),
    Measure("GraphQL calls", "calls", "graphql_queries"),
    Measure("model calls", "calls", "model_calls"),
    Measure("tokens", "tokens", "coalesce(input_tokens + output_tokens, input_tokens, output_tokens)"),
    Measure("cost", "usd", "cost_usd * 1e6", 1e6),
    Measure("result size", "", "result_size_bytes"),
)
"""Own time is the duration without what its calls took."""


class Reason(Struct, frozen=True):
    """A measure that makes a query unusual: its value, the median of similar queries, and how many times that it is.

    `chance` is how likely a query of the agent has such a value.
    """

    measure: str
    unit: Unit
    value: float
    usual: float
    times: float
    chance: float


class Outlier(Struct, frozen=True):
    """A query that is unusual for its agent and size: `similar` is how many queries it was compared with."""

    query_id: str
    start_time: str
    agent: str
    similar: int
    of_size: str
    reasons: list[Reason]
    sentence: str
    command: str


def outliers(tables: Tables, *, budget: float = BUDGET, limit: int | None = 20) -> list[Outlier]:
    """The most unusual of the latest queries, the least likely first; none of an agent with fewer than 30 queries."""
    count, first, last = tables.rows(f"SELECT count(*), min(started_us), max(started_us) FROM ({_LOOKED_AT})")[0]
    if not count:
        return []
    level = _level(count, last - first, budget)
    least = ", ".join(f"coalesce(p{place}, 1)" for place in range(len(MEASURES)))
    rows = tables.rows(
        f"{_statement(_LOOKED_AT)} WHERE least({least}) <= {level!r} ORDER BY least({least}), query_id"
        + ("" if limit is None else f" LIMIT {int(limit)}")
    )
    return [found for row in rows if (found := _outlier(row, level)) is not None]


def of_query(tables: Tables, query_id: str, *, budget: float = BUDGET) -> Outlier | None:
    """How a query is unusual beside its agent's queries of the four weeks before it; None where it is not.

    Its own time is not looked at: the calls of all those queries would have to be read.
    """
    asked = {"id": query_id}
    known = tables.rows("SELECT started_us, agent_type FROM queries WHERE query_id = $id", asked)
    if not known:
        return None
    started, agent = known[0]
    begin = started - HISTORY_DAYS * 86_400_000_000
    source = f"""{_QUERIES} AND started_us BETWEEN {begin} AND {started} AND agent_type = $agent
        ORDER BY started_us DESC, query_id LIMIT {MOST_BEFORE}"""
    chosen = {"agent": agent}
    count, first = tables.rows(f"SELECT count(*), min(started_us) FROM ({source})", chosen)[0]
    if count < LEAST_SIMILAR:
        return None
    rows = tables.rows(f"{_statement(source, calls=False)} WHERE query_id = $id", chosen | asked)
    return _outlier(rows[0], _level(count, started - first, budget)) if rows else None


def _level(count: int, span_us: int, budget: float) -> float:
    """How unlikely a value must be, so that chance shows `budget` queries a week."""
    weeks = max(span_us / 86_400_000_000, 1.0) / 7
    return min(0.01, budget * weeks / count / len(MEASURES))


_QUERIES = """SELECT query_id, started_us, agent_type, user_input, duration_ms, tool_calls, graphql_queries,
    model_calls, input_tokens, output_tokens, cost_usd, result_size_bytes
    FROM queries WHERE parent_id IS NULL AND status IN ('ok', 'error', 'closed')"""
_LATEST = f"ORDER BY started_us DESC, query_id LIMIT {MOST_QUERIES}"
_LOOKED_AT = f"{_QUERIES} {_LATEST}"


def _statement(source: str, *, calls: bool = True) -> str:
    """Each query with the values, the medians and the chances of its measures; to be followed by a condition."""
    busy = """SELECT query_id, sum(duration_ms) AS busy FROM calls
            WHERE query_id IN (SELECT query_id FROM looked_at) GROUP BY ALL"""
    if not calls:
        busy = "SELECT NULL::VARCHAR AS query_id, NULL::DOUBLE AS busy"
    places = range(len(MEASURES))

    def each(text: str) -> str:
        return ", ".join(text.format(i=place) for place in places)

    values = ", ".join(
        f"CASE WHEN isfinite(({one.value})::DOUBLE) AND ({one.value}) >= 0 THEN ln(1 + ({one.value})) END AS m{place}"
        for place, one in enumerate(MEASURES)
    )
    middles = each("median(m{i}) AS c{i}, mad(m{i}) AS s{i}")
    spread = f"greatest(1.4826 * CASE WHEN own.n >= {LEAST_SIMILAR} THEN own.s{{i}} ELSE wide.s{{i}} END, {_FLOOR})"
    centre = f"CASE WHEN own.n >= {LEAST_SIMILAR} THEN own.c{{i}} ELSE wide.c{{i}} END"
    chosen = each(f"{centre} AS c{{i}}")
    apart = each(f"(m{{i}} - {centre}) / {spread} AS z{{i}}")
    beyond = each("count(*) FILTER (z{i} > x{i}) AS k{i}, median(z{i} - x{i}) FILTER (z{i} > x{i}) AS e{i}")
    excess = f"((coalesce(e{{i}}, 0) / {math.log(2)!r} * k{{i}} + {_EXCESS * _KNOWN}) / (k{{i}} + {_KNOWN}))"
    # the exponent is cut, so that an absurd value's chance is small and not an underflow
    chance = each(
        f"CASE WHEN z{{i}} > x{{i}} AND exp(m{{i}}) - 1 >= {LEAST_TIMES} * greatest(exp(c{{i}}) - 1, 0.5) "
        f"THEN (k{{i}} + 1) / (of_agent + 1) * exp(greatest(-(z{{i}} - x{{i}}) / {excess}, -600)) END AS p{{i}}"
    )
    return f"""WITH looked_at AS ({source}),
        busy AS ({busy}),
        known AS MATERIALIZED (SELECT query_id, started_us, agent_type AS agent,
            floor(log2(len(user_input) + 1))::INT AS size, {values}
            FROM looked_at LEFT JOIN busy USING (query_id)),
        own AS (SELECT agent, size, count(*) AS n, {middles} FROM known GROUP BY ALL),
        wide AS (SELECT agent, count(*) AS n, {middles} FROM known GROUP BY ALL HAVING n >= {LEAST_SIMILAR}),
        scored AS MATERIALIZED (SELECT query_id, started_us, known.agent, known.size, {each("m{i}")}, {chosen}, {apart},
            own.n >= {LEAST_SIMILAR} AS is_sized,
            CASE WHEN own.n >= {LEAST_SIMILAR} THEN own.n ELSE wide.n END AS alike, wide.n AS of_agent
            FROM known JOIN own ON own.agent = known.agent AND own.size = known.size
            JOIN wide ON wide.agent = known.agent),
        borders AS (SELECT agent, {each("quantile_cont(z{i}, 0.95) AS x{i}")} FROM scored GROUP BY ALL),
        tails AS (SELECT scored.agent, {each("any_value(x{i}) AS x{i}")}, {beyond}
            FROM scored JOIN borders USING (agent) GROUP BY ALL),
        judged AS (SELECT query_id, started_us, agent, size, is_sized, alike, {each("m{i}")}, {each("c{i}")}, {chance}
            FROM scored JOIN tails USING (agent))
        SELECT * FROM judged"""


def _outlier(row: Sequence[Any], level: float) -> Outlier | None:
    query_id, started_us, agent, length, is_sized, similar, *rest = row
    count = len(MEASURES)
    logs, middles, chances = rest[:count], rest[count : 2 * count], rest[2 * count :]
    reasons = sorted(
        (
            _reason(one, log, middle, chance)
            for one, log, middle, chance in zip(MEASURES, logs, middles, chances, strict=True)
            if chance is not None and chance <= 10 * level
        ),
        key=lambda one: one.chance,
    )
    if not reasons or reasons[0].chance > level:
        return None
    of_size = f" and inputs of {2**length - 1:,} to {2 ** (length + 1) - 2:,} characters" if is_sized else ""
    parts = [f"{one.measure} {valued(one.value, one)}, usually {valued(one.usual, one)}" for one in reasons]
    basis = f"among {several(similar, 'query', 'queries')} of agent {agent}{of_size}"
    sentence = f"{'; '.join(parts)}, {basis}"
    return Outlier(
        query_id, utc_text(started_us), agent, similar, of_size.removeprefix(" and "), reasons,
        f"{sentence[0].upper()}{sentence[1:]}.", f"metrics show {query_id}",
    )  # fmt: skip


def _reason(one: Measure, log: float, middle: float, chance: float) -> Reason:
    value, usual = math.expm1(log), math.expm1(middle)
    return Reason(one.name, one.unit, value / one.parts, usual / one.parts, value / max(usual, 0.5), chance)


def valued(value: float, one: Reason) -> str:
    """A measure's value in the form that fits it."""
    if one.unit == "ms":
        return duration(value)
    if one.unit == "usd":
        return dollars(value)
    return size(round(value)) if one.measure == "result size" else short(round(value))
