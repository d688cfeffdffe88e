"""Queries and their calls as arrays: what every kind of advice is worked out from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from instrument.store.tables import Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[Any]
    Whole = NDArray[np.int64]
    Truths = NDArray[np.bool_]

MOST_QUERIES = 50_000
"""Queries that advice is worked out from. Of more, whole hours are taken, evenly spread over the period."""

_HOUR_US, _SHORT_US = 3_600_000_000, 600_000_000
_FEW_HOURS = 0.1
"""Where less than this share of the hours would be taken, stretches of ten minutes are, so that each day has some."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole part, are spread evenly (Knuth, TAOCP 3, 6.4)."""

_CHOSEN = """
SELECT *, row_number() OVER (ORDER BY started_us, query_id) - 1 AS place FROM (
    SELECT query_id, agent_type, started_us, duration_ms, success, status, parent_id, selection, input_tokens,
        cost_usd, attributes, weight
    FROM queries WHERE {taken})"""

_QUERIES = """
SELECT query_id, agent_type, started_us, duration_ms / 1e3, success, status = 'cancelled', parent_id IS NULL, weight,
    selection.score, selection.t IS NOT NULL, input_tokens, cost_usd
FROM ({chosen}) ORDER BY place"""

_NAMES = """
SELECT DISTINCT kind, name FROM calls WHERE query_id IN (SELECT query_id FROM ({chosen})) ORDER BY kind, name"""

_CALLS = """
WITH chosen AS MATERIALIZED ({chosen}),
named AS (SELECT kind, name, row_number() OVER (ORDER BY kind, name) - 1 AS code
    FROM (SELECT DISTINCT kind, name FROM calls WHERE query_id IN (SELECT query_id FROM chosen)))
SELECT place::DOUBLE AS query, code::DOUBLE AS name, ((calls.started_us - chosen.started_us) / 1e6)::DOUBLE AS start,
    (coalesce(calls.duration_ms, 0) / 1e3)::DOUBLE AS duration, (calls.status = 'error')::DOUBLE AS failed,
    coalesce(contains(lower(calls.error_type), 'timeout'), false)::DOUBLE AS timed_out,
    (hash(variables_hash) % 4503599627370496)::DOUBLE AS variables, (variables_hash IS NOT NULL)::DOUBLE AS hashed,
    calls.input_tokens::DOUBLE AS tokens, calls.cost_usd::DOUBLE AS cost
FROM calls JOIN chosen USING (query_id) JOIN named ON named.kind = calls.kind AND named.name = calls.name
WHERE calls.duration_ms IS NOT NULL
ORDER BY query, start, duration DESC"""


class Queries(NamedTuple):
    """Queries by start. Times are in s, `start` since 1970; `score`, `tokens` and `cost` are NaN where not known."""

    ids: list[str]
    agent: NDArray[np.object_]
    start: Floats
    duration: Floats
    success: Truths
    cancelled: Truths
    outermost: Truths
    weight: Floats
    score: Floats
    selected: Truths
    tokens: Floats
    cost: Floats


class Calls(NamedTuple):
    """Finished calls by query and start; `start` is in s from the query's, `name` a place in `Records.names`.

    `variables` stands for a GraphQL call's variables where `hashed` is true. `lead` is how long the call runs before
    another one of its query begins, without the time for which an earlier one still runs.
    """

    query: Whole
    name: Whole
    start: Floats
    duration: Floats
    failed: Truths
    timed_out: Truths
    variables: Floats
    hashed: Truths
    tokens: Floats
    cost: Floats

    @property
    def end(self) -> Floats:
        """When each ended, in s from its query's start."""
        return self.start + self.duration

    def where(self, chosen: Any) -> Calls:
        """Only those that a mask, or places, choose."""
        columns: list[Any] = [column[chosen] for column in self]
        return Calls(*columns)


class Records:
    """What advice is worked out from: the queries of a period, or some hours of them, their calls, and their days.

    `total` is how many queries the period has.
    """

    def __init__(self, tables: Tables) -> None:
        import numpy as np

        self._tables = tables
        self.total = int(tables.rows("SELECT count(*) FROM queries")[0][0])
        self._chosen = _CHOSEN.format(taken=_taken(self.total))
        found = list(zip(*tables.rows(_QUERIES.format(chosen=self._chosen)), strict=True)) or [()] * 12
        standing_for = self.total / max(1, len(found[0]))
        real = [np.array(column, dtype=float) for column in found[2:4]]
        truths = [np.array(column, dtype=bool) for column in (found[4], found[5], found[6], found[9])]
        free = [_believable(np.array(column, dtype=float)) for column in (found[8], found[10], found[11])]
        self.queries = Queries(
            list(found[0]), np.array(found[1], dtype=object), real[0] / 1e6, real[1], truths[0], truths[1], truths[2],
            np.array(found[7], dtype=float) * standing_for, free[0], truths[3], free[1], free[2],
        )  # fmt: skip

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """The kind and name of what was called, by place."""
        return [(kind, name) for kind, name in self._tables.rows(_NAMES.format(chosen=self._chosen))]

    @cached_property
    def calls(self) -> Calls:
        """The queries' calls."""
        import numpy as np

        found = self._tables.arrays(_CALLS.format(chosen=self._chosen))
        kinds: dict[str, type] = dict.fromkeys(("query", "name"), np.int64)
        kinds |= dict.fromkeys(("failed", "timed_out", "hashed"), np.bool_)
        columns: dict[str, Any] = {name: np.asarray(found[name], dtype=kinds.get(name)) for name in Calls._fields}
        columns |= {name: _believable(columns[name]) for name in ("tokens", "cost")}
        return Calls(**columns)

    @cached_property
    def day(self) -> Whole:
        """The day of each query, counted from the first one's (UTC)."""
        import numpy as np

        days = np.floor(self.queries.start / 86400).astype(np.int64)
        return days - (days.min() if len(days) else 0)

    @property
    def days(self) -> int:
        """How many days there are from the first query's to the last one's."""
        return int(self.day.max()) + 1 if len(self.day) else 0

    @cached_property
    def per_week(self) -> float:
        """What a total over the records is multiplied with to be one a week."""
        start = self.queries.start
        return 7 / max(1.0, float(start.max() - start.min()) / 86400) if len(start) else 0.0

    @cached_property
    def seconds(self) -> float:
        """The weighted time of all outermost queries."""
        of = self.queries
        return float((of.duration * of.weight)[of.outermost].sum())

    @cached_property
    def usd(self) -> float:
        """The weighted cost of all outermost queries."""
        import numpy as np

        of = self.queries
        return float(np.nansum((of.cost * of.weight)[of.outermost]))

    def is_kind(self, kind: str) -> Truths:
        """Which calls are of a kind: `tool`, `graphql` or `model`."""
        import numpy as np

        return np.array([of == kind for of, _ in self.names] or [False])[self.calls.name] if self.names else _none()

    @cached_property
    def blocks(self) -> Whole:
        """For each call the number of the block it is in: calls of a query that overlap, or lie in one another."""
        import numpy as np

        of = self.calls
        if not len(of.query):
            return np.zeros(0, dtype=np.int64)
        # Ends only grow within a query when each query is lifted above the one before it.
        lift = of.query * (float(of.end.max()) + 1.0)
        latest = np.maximum.accumulate(of.end + lift)
        begins = np.ones(len(latest), dtype=bool)
        begins[1:] = (of.start + lift)[1:] >= latest[:-1] - TOUCHING
        begins[1:] |= of.query[1:] != of.query[:-1]
        return np.cumsum(begins) - 1

    @cached_property
    def alone(self) -> Floats:
        """The share of each call's time in which no other call of its query runs, roughly; 1 where none overlaps."""
        import numpy as np

        of, block = self.calls, self.blocks
        size = np.bincount(block)[block] if len(block) else np.zeros(0)
        shared = np.bincount(block, weights=of.duration)[block] if len(block) else np.zeros(0)
        ends = np.zeros(int(block.max()) + 1 if len(block) else 0)
        starts = np.full(len(ends), np.inf)
        np.maximum.at(ends, block, of.end)
        np.minimum.at(starts, block, of.start)
        long = (ends - starts)[block]
        return np.where(size > 1, np.clip(long / np.maximum(shared, 1e-9), 0.0, 1.0), 1.0)

    def attributes(self, names: tuple[str, ...]) -> list[tuple[int, str, str]]:
        """The place of each query that has one of these attributes, with the attribute's name and value as text."""
        parts = " UNION ALL ".join(
            f"SELECT place, '{name}' AS name, json_extract_string(attributes, '/{name}') AS value FROM ({self._chosen})"
            for name in names
        )
        rows = self._tables.rows(f"SELECT * FROM ({parts}) WHERE value IS NOT NULL ORDER BY place, name")
        return [(int(place), name, value) for place, name, value in rows]


TOUCHING = 3e-6
"""Starts are kept in whole µs: so many seconds apart, one call still follows the other."""


def _taken(total: int) -> str:
    """The condition for the queries that are looked at: all of them, or those of some stretches of the period."""
    if total <= MOST_QUERIES:
        return "true"
    share = MOST_QUERIES / total
    stretch = _HOUR_US if share >= _FEW_HOURS else _SHORT_US
    return f"(started_us // {stretch}) * {_GOLDEN} % 1 < {share}"


_MOST = 1e12
"""A score, number of tokens or cost beyond this is a mistake, and not known."""


def _believable(values: Floats) -> Floats:
    import numpy as np

    return np.where(np.abs(values) <= _MOST, values, np.nan)


def _none() -> Truths:
    import numpy as np

    return np.zeros(0, dtype=bool)
