"""The tool, GraphQL operation or model behind a change of the queries' durations."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from instrument.analysis.contributions import LEAST_SHARE, Stretch
from instrument.store.tables import Tables

_ALIKE = 0.95
"""A call explains as much as another from this share of it on: the inner one of two is behind both."""


class SlowerCall(Struct, frozen=True):
    """A call that explains most of a change: its kind, its name, and the share of the change, at most 1.

    `before` and `after` are its average in ms, `a_query` how many there were a query, before and after.
    """

    kind: str
    name: str
    share: float
    before: float
    after: float
    a_query: tuple[float, float]


class _Spent(NamedTuple):
    """Of one call: how many a query, and how many ms a query."""

    calls: float
    ms: float

    @property
    def average(self) -> float:
        return self.ms / self.calls if self.calls else 0.0


def slower_call(tables: Tables, before: Stretch, after: Stretch) -> SlowerCall | None:
    """The call that explains most of the change of the mean duration; None where none explains `LEAST_SHARE` of it.

    What a call explains is the change of the time a query spends in it. Calls beside each other count each.
    """
    (earlier, calls_before), (later, calls_after) = (_spent(tables, stretch) for stretch in (before, after))
    if earlier is None or later is None or earlier == later:
        return None
    nothing = _Spent(0.0, 0.0)
    sides = {
        key: (calls_before.get(key, nothing), calls_after.get(key, nothing))
        for key in sorted(calls_before.keys() | calls_after.keys())
    }
    shares = {key: (after.ms - before.ms) / (later - earlier) for key, (before, after) in sides.items()}
    best = max(shares.values(), default=0.0)
    if best < LEAST_SHARE:
        return None
    alike = [key for key, share in shares.items() if share >= _ALIKE * best]
    kind, name = min(alike, key=lambda key: sides[key][1].ms)
    one, other = sides[kind, name]
    share = min(1.0, shares[kind, name])
    return SlowerCall(kind, name, share, one.average, other.average, (one.calls, other.calls))


def _spent(tables: Tables, stretch: Stretch) -> tuple[float | None, dict[tuple[str, str], _Spent]]:
    """The queries' mean duration in ms, None without one, and what they spent in each call."""
    during = f"started_us >= {stretch[0]} AND started_us < {stretch[1]}"
    [(queries, mean)] = tables.rows(
        f"""SELECT coalesce(sum(weight), 0)::DOUBLE, sum(duration_ms * weight)::DOUBLE / sum(weight) FROM queries
        WHERE parent_id IS NULL AND {during}"""
    )
    if not queries or mean is None:
        return None, {}
    rows = tables.rows(
        f"""SELECT kind, name, sum(weight)::DOUBLE, coalesce(sum(duration_ms * weight), 0)::DOUBLE FROM calls
        WHERE query_id IS NOT NULL AND {during} GROUP BY ALL"""
    )
    return mean, {(kind, name): _Spent(count / queries, spent / queries) for kind, name, count, spent in rows}
