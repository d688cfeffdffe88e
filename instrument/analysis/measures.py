"""How durations are counted and summed, in SQL, for every figure that there is.

Over records that each stand for themselves, a percentile is DuckDB's `quantile_cont`: linear interpolation between the
closest ranks (type 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996). A sampled record of weight w
counts as if it stood there w times: with W the sum of weights, the percentile p is the value at rank p · (W - 1), where
a value fills the ranks from the sum of weights before it to w - 1 further, and the step to the next value is linear.
For weights that are whole numbers, this is the percentile of the list written out.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from instrument.store.reading import Tables


class Measure(Struct, frozen=True):
    """Counts (weighted) and durations in ms of one group; durations are None where there is none."""

    count: float
    failed: float
    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: list[float]


NOTHING = Measure(0, 0, None, None, None, [])


def measures(
    tables: Tables, source: str, by: tuple[str, ...], shares: tuple[float, ...], parameters: dict[str, Any]
) -> dict[tuple[Any, ...], Measure]:
    """Measure the durations of `source`, a FROM clause over `queries` or `calls` with its WHERE.

    `by` are SQL expressions to group by, `shares` the percentiles wanted, each 0 to 1. Groups come by descending count,
    then by their values.
    """
    grouped = "".join(f"{expression} AS group{place}, " for place, expression in enumerate(by))
    keys = "".join(f"group{place}, " for place in range(len(by)))
    statement = (_weighted if tables.weighted else _plain)(source, grouped, keys, shares)
    found = {}
    for row in tables.rows(statement, parameters):
        *group, count, failed, average, shortest, longest, at = row
        found[tuple(group)] = Measure(
            count, failed, _ms(average), _ms(shortest), _ms(longest), [ns / 1e6 for ns in at or ()]
        )
    return found


def _ms(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6


def counting(tables: Tables, condition: str = "true") -> str:
    """The SQL aggregate that counts the records for which a condition holds, each for as many as it stands for."""
    counted = "sum(weight)" if tables.weighted else "count(*)"
    return f"coalesce({counted} FILTER ({condition}), 0)::DOUBLE"


def _plain(source: str, grouped: str, keys: str, shares: tuple[float, ...]) -> str:
    return f"""
        SELECT {grouped} count(*)::DOUBLE AS counted, (count(*) FILTER (NOT success))::DOUBLE, avg(duration_ns),
            min(duration_ns), max(duration_ns), quantile_cont(duration_ns, {list(shares)})
        FROM {source} GROUP BY ALL HAVING counted > 0 ORDER BY counted DESC, {keys[:-2] or "counted"}"""


def _weighted(source: str, grouped: str, keys: str, shares: tuple[float, ...]) -> str:
    at = ", ".join(_weighted_percentile(share) for share in shares)
    return f"""
        WITH measured AS (
            SELECT {grouped} success, weight, duration_ns AS d FROM {source}
        ), ranked AS (
            SELECT *, sum(weight) OVER (PARTITION BY {keys} d IS NULL ORDER BY d ROWS UNBOUNDED PRECEDING) AS through,
                coalesce(lead(d) OVER (PARTITION BY {keys} d IS NULL ORDER BY d), d) AS following,
                greatest(sum(weight) OVER (PARTITION BY {keys} d IS NULL) - 1, 0) AS last
            FROM measured
        )
        SELECT {keys} sum(weight) AS counted, coalesce(sum(weight) FILTER (NOT success), 0),
            sum(d * weight) / sum(weight) FILTER (d IS NOT NULL), min(d), max(d),
            list_filter([{at}], lambda value: value IS NOT NULL)
        FROM ranked GROUP BY ALL HAVING counted > 0 ORDER BY counted DESC, {keys[:-2] or "counted"}"""


def _weighted_percentile(share: float) -> str:
    beyond = f"least(greatest({share} * last - (through - 1), 0), 1)"
    return f"max(d + {beyond} * (following - d)) FILTER (d IS NOT NULL AND through - weight <= {share} * last)"
