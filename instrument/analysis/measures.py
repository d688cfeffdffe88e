"""How durations are counted and summed, in SQL, for every figure that there is.

Over records that each stand for themselves, a percentile is DuckDB's `quantile_cont`: linear interpolation between the
closest ranks (type 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996). A sampled record of weight w
counts as if it stood there w times: with W the sum of weights, the percentile p is the value at rank p · (W - 1), where
a value fills the ranks from the sum of weights before it to w - 1 further, and the step to the next value is linear.
For weights that are whole numbers, this is the percentile of the list written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from instrument.store.tables import Tables


class Measure(Struct, frozen=True):
    """Counts (weighted) and durations in ms of one group; durations are None where there is none.

    `more` has what the further aggregates asked for gave.
    """

    count: float
    failed: float
    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: list[float]
    more: list[Any]


NOTHING = Measure(0.0, 0.0, None, None, None, [], [])


def measures(
    tables: Tables,
    source: str,
    by: tuple[str, ...],
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...] = (),
) -> dict[tuple[Any, ...], Measure]:
    """Measure the durations of `source`, a FROM clause over `queries` or `calls` with its WHERE.

    `by` are SQL expressions to group by, `shares` the percentiles wanted, each 0 to 1, `more` further aggregates.
    Groups come by descending count, then by their values.
    """
    keys = ", ".join(f"group{place}" for place in range(len(by)))
    return _measured(tables, source, by, keys, keys, shares, parameters, more)


def measures_and_total(
    tables: Tables,
    source: str,
    by: str,
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...] = (),
) -> tuple[dict[str, Measure], Measure]:
    """The same by one expression that is never NULL, and over all of them; in one go where that is possible."""
    if tables.weighted:
        groups = measures(tables, source, (by,), shares, parameters, more)
        total = measures(tables, source, (), shares, parameters, more).get((), NOTHING)
    else:
        sets = "GROUPING SETS ((), (group0))"
        groups = _measured(tables, source, (by,), "group0", sets, shares, parameters, more)
        total = groups.pop((None,), NOTHING)
    return {group: measure for (group,), measure in groups.items()}, total


def _measured(
    tables: Tables,
    source: str,
    by: tuple[str, ...],
    keys: str,
    sets: str,
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...],
) -> dict[tuple[Any, ...], Measure]:
    grouped = ", ".join(["*", *(f"{expression} AS group{place}" for place, expression in enumerate(by))])
    figures = (_weighted if tables.weighted else _plain)(f"(SELECT {grouped} FROM {source})", keys, shares)
    selected, origin = figures
    statement = f"""
        SELECT {", ".join([*([keys] if keys else []), *selected, *more])}
        FROM {origin} {f"GROUP BY {sets}" if sets else ""}
        HAVING count(*) > 0 ORDER BY {selected[0]} DESC{f", {keys}" if keys else ""}"""
    found = {}
    for row in tables.rows(statement, parameters):
        group, (count, failed, average, shortest, longest, at, *rest) = row[: len(by)], row[len(by) :]
        times = [ns / 1e6 for ns in at or ()]
        found[group] = Measure(count, failed, _ms(average), _ms(shortest), _ms(longest), times, rest)
    return found


def _ms(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6


def _plain(source: str, keys: str, shares: tuple[float, ...]) -> tuple[list[str], str]:
    figures = [
        "count(*)::DOUBLE",
        "(count(*) FILTER (NOT success))::DOUBLE",
        "avg(duration_ns)",
        "min(duration_ns)",
        "max(duration_ns)",
        f"quantile_cont(duration_ns, {list(shares)})",
    ]
    return figures, source


def _weighted(source: str, keys: str, shares: tuple[float, ...]) -> tuple[list[str], str]:
    figures = [
        "sum(weight)",
        "coalesce(sum(weight) FILTER (NOT success), 0)",
        "sum(duration_ns * weight) / sum(weight) FILTER (duration_ns IS NOT NULL)",
        "min(duration_ns)",
        "max(duration_ns)",
        f"list_filter([{', '.join(_weighted_percentile(share) for share in shares)}], lambda ns: ns IS NOT NULL)",
    ]
    group = f"PARTITION BY {keys + ', ' if keys else ''} duration_ns IS NULL"
    ranked = f"""(
        SELECT *, sum(weight) OVER ({group} ORDER BY duration_ns ROWS UNBOUNDED PRECEDING) AS through,
            coalesce(lead(duration_ns) OVER ({group} ORDER BY duration_ns), duration_ns) AS following,
            greatest(sum(weight) OVER ({group}) - 1, 0) AS last
        FROM {source})"""
    return figures, ranked


def _weighted_percentile(share: float) -> str:
    beyond = f"least(greatest({share} * last - (through - 1), 0), 1)"
    reached = f"duration_ns IS NOT NULL AND through - weight <= {share} * last"
    return f"max(duration_ns + {beyond} * (following - duration_ns)) FILTER ({reached})"


def counting(tables: Tables, condition: str = "true") -> str:
    """The SQL aggregate that counts the records for which a condition holds, each for as many as it stands for."""
    counted = "sum(weight)" if tables.weighted else "count(*)"
    return f"coalesce({counted} FILTER ({condition}), 0)::DOUBLE"


def tallying(tables: Tables, column: str, condition: str) -> str:
    """The SQL aggregate that counts records by the values of a column, to be read with `tallied`."""
    pairs = f"list({{'key': {column}, 'value': weight}})" if tables.weighted else f"histogram({column})"
    return f"{pairs} FILTER ({column} IS NOT NULL AND {condition})"


def tallied(result: Any) -> Counter[str]:
    """What `tallying` found, as counts by value."""
    counts: Counter[str] = Counter()
    for pair in result if isinstance(result, list) else ({"key": key, "value": n} for key, n in (result or {}).items()):
        counts[pair["key"]] += pair["value"]
    return counts


def commonest(counts: Mapping[str, float]) -> dict[str, float]:
    """Counts with the greatest first, equal ones by name."""
    return {name: float(count) for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))}
