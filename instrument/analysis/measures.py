"""How durations are counted and summed, in SQL, for every figure that there is.

Over records that each stand for themselves, a percentile is DuckDB's `quantile_cont`: linear interpolation between the
closest ranks (type 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996). A sampled record of weight w
counts as if it stood there w times: with W the sum of weights, the percentile p is the value at rank p · (W - 1), where
a value fills the ranks from the sum of weights before it to w - 1 further, and the step to the next value is linear.
For weights that are whole numbers, this is the percentile of the list written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from msgspec import Struct, structs

from instrument.store.tables import Tables

FAILED = "NOT success AND status <> 'cancelled'"
"""The SQL condition for a failure; what was cancelled is neither a success nor a failure."""

CANCELLED = "status = 'cancelled'"


class Measure(Struct, frozen=True):
    """Counts (weighted) and durations in ms of one group; durations are None where there is none.

    `total_ms` is the sum of the durations. `more` has the results of the further aggregates that were asked for.
    """

    count: float
    failed: float
    cancelled: float
    total_ms: float
    average_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: list[float]
    more: list[Any]

    @property
    def successful(self) -> float:
        """How many neither failed nor were cancelled."""
        return self.count - self.failed - self.cancelled

    @property
    def success_rate(self) -> float | None:
        """The share of successes among successes and failures; None where there is neither."""
        return rate(self.successful, self.failed)


NOTHING = Measure(0.0, 0.0, 0.0, 0.0, None, None, None, [], [])


def rate(successful: float, failed: float) -> float | None:
    """The share of successes among both, 0 to 1; None for none of either."""
    return successful / (successful + failed) if successful + failed > 0 else None


def measures(
    tables: Tables,
    source: str,
    by: tuple[str, ...],
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...] = (),
    column: str = "duration_ns",
    unit: float = 1e6,
) -> dict[tuple[Any, ...], Measure]:
    """Measure the durations of `source`, a FROM clause over `queries` or `calls` with its WHERE.

    `by` are SQL expressions to group by, `shares` the percentiles wanted, each 0 to 1, `more` further aggregates.
    `column` is measured instead of the durations if it is named; its values are divided by `unit`. Groups come by
    descending count, then by their values.
    """
    if not parameters and column == "duration_ns":
        found = known(tables, source, by, shares, more)
        if found is not None:
            return found
    keys = ", ".join(f"group{place}" for place in range(len(by)))
    return dict(_measured(tables, source, by, keys, keys, shares, parameters, more, column, unit))


def counts(tables: Tables, source: str, by: tuple[str, ...]) -> dict[tuple[Any, ...], Measure]:
    """Count `source` as `measures` does, without looking at durations."""
    keys = ", ".join(f"group{place}" for place in range(len(by)))
    grouped = ", ".join(["*", *(f"{expression} AS group{place}" for place, expression in enumerate(by))])
    selected = ", ".join([*([keys] if keys else []), *_counted(tables.weighted)])
    grouping = f"GROUP BY {keys}" if keys else ""
    order = ", ".join([f"{_counted(tables.weighted)[0]} DESC", *([keys] if keys else [])])
    statement = f"""
        SELECT {selected} FROM (SELECT {grouped} FROM {source}) {grouping}
        HAVING count(*) > 0 ORDER BY {order}"""
    return {
        row[: len(by)]: structs.replace(NOTHING, count=count, failed=failed, cancelled=cancelled)
        for row in tables.rows(statement)
        for count, failed, cancelled in [row[len(by) :]]
    }


def measures_and_total(
    tables: Tables,
    source: str,
    by: str,
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...] = (),
) -> tuple[dict[str, Measure], Measure]:
    """The same by one expression that is never NULL, and over all of them; in one go where that is possible."""
    is_known = not parameters and known(tables, source, (by,), shares, more) is not None
    if tables.weighted or is_known:
        groups = measures(tables, source, (by,), shares, parameters, more)
        total = measures(tables, source, (), shares, parameters, more).get((), NOTHING)
    else:
        sets = "GROUPING SETS ((), (group0))"
        groups = dict(_measured(tables, source, (by,), "group0", sets, shares, parameters, more))
        total = groups.pop((None,), NOTHING)
    return {group: measure for (group,), measure in groups.items()}, total


class _Together(NamedTuple):
    """Measures of one grouping, with the percentiles and the further aggregates that they have."""

    shares: tuple[float, ...]
    more: tuple[str, ...]
    groups: dict[tuple[Any, ...], Measure]


_together: WeakKeyDictionary[Tables, dict[tuple[str, tuple[str, ...]], _Together]] = WeakKeyDictionary()
"""What was measured together, by source and grouping. Open tables do not change, so it stands as long as they do."""


def measure_together(
    tables: Tables,
    source: str,
    groupings: Sequence[tuple[str, ...]],
    shares: tuple[float, ...],
    more: tuple[str, ...] = (),
) -> None:
    """Measure the durations of `source` grouped in several ways, in one reading of it where that is possible.

    `measures` over the same tables then knows the results: whoever asks for them one by one need not read again.
    Among groups of equal count, those come first whose values of the expression that is named first come first.
    """
    if tables.weighted:
        found = {by: measures(tables, source, by, shares, {}, more) for by in groupings}
    else:
        found = _in_one_reading(tables, source, groupings, shares, more)
    kept = _together.setdefault(tables, {})
    for by, groups in found.items():
        kept[source, by] = _Together(shares, more, groups)


def _in_one_reading(
    tables: Tables, source: str, groupings: Sequence[tuple[str, ...]], shares: tuple[float, ...], more: tuple[str, ...]
) -> dict[tuple[str, ...], dict[tuple[Any, ...], Measure]]:
    by = tuple(dict.fromkeys(expression for grouping in groupings for expression in grouping))
    names = {expression: f"group{place}" for place, expression in enumerate(by)}
    sets = ", ".join(f"({', '.join(names[expression] for expression in grouping)})" for grouping in groupings)
    keys = ", ".join(names.values())
    which = f"grouping({keys})"  # a bit for each expression that a row is not grouped by, the first the highest
    found = _measured(tables, source, by, keys, f"GROUPING SETS ({sets})", shares, {}, (*more, which))
    bits = {expression: 1 << (len(by) - 1 - place) for place, expression in enumerate(by)}
    left_out = {sum(bits[each] for each in by if each not in grouping): grouping for grouping in groupings}
    groups: dict[tuple[str, ...], dict[tuple[Any, ...], Measure]] = {grouping: {} for grouping in groupings}
    places = {grouping: [by.index(each) for each in grouping] for grouping in groupings}
    for key, measure in found:
        grouping = left_out[measure.more.pop()]
        groups[grouping][tuple(key[place] for place in places[grouping])] = measure
    return groups


def known(
    tables: Tables, source: str, by: tuple[str, ...], shares: tuple[float, ...], more: tuple[str, ...] = ()
) -> dict[tuple[Any, ...], Measure] | None:
    """What `measures` gives without a reading, where that was measured together with other groupings; else None."""
    found = _together.get(tables, {}).get((source, by))
    if found is None or not (set(shares) <= set(found.shares) and set(more) <= set(found.more)):
        return None
    at, beside = [found.shares.index(share) for share in shares], [found.more.index(each) for each in more]
    return {
        key: structs.replace(
            one,
            percentiles_ms=[one.percentiles_ms[place] for place in at] if one.percentiles_ms else [],
            more=[one.more[place] for place in beside],
        )
        for key, one in found.groups.items()
    }


def _measured(
    tables: Tables,
    source: str,
    by: tuple[str, ...],
    keys: str,
    sets: str,
    shares: tuple[float, ...],
    parameters: dict[str, Any],
    more: tuple[str, ...],
    column: str = "duration_ns",
    unit: float = 1e6,
) -> list[tuple[tuple[Any, ...], Measure]]:
    """The measures of each group with its values of `by`; those of `sets` that leave an expression out have NULL."""
    grouped = ", ".join(["*", *(f"{expression} AS group{place}" for place, expression in enumerate(by))])
    selected, origin = (_weighted if tables.weighted else _plain)(
        f"(SELECT {grouped} FROM {source})", keys, shares, column
    )
    if column == "duration_ns":
        selected[5:7] = (f"{name}({extent})" for name, extent in zip(("min", "max"), tables.extents, strict=True))
    statement = f"""
        SELECT {", ".join([*([keys] if keys else []), *selected, *more])}
        FROM {origin} {f"GROUP BY {sets}" if sets else ""}
        HAVING count(*) > 0 ORDER BY {selected[0]} DESC{f", {keys}" if keys else ""}"""
    found = []
    for row in tables.rows(statement, parameters):
        group, (count, failed, cancelled, total, average, shortest, longest, at, *rest) = row[: len(by)], row[len(by) :]
        average, shortest, longest = (None if value is None else value / unit for value in (average, shortest, longest))
        at = [value / unit for value in at or () if value is not None]
        measure = Measure(count, failed, cancelled, (total or 0) / unit, average, shortest, longest, at, rest)
        found.append((group, measure))
    return found


def _plain(source: str, keys: str, shares: tuple[float, ...], column: str) -> tuple[list[str], str]:
    figures = [
        *_counted(weighted=False),
        f"sum({column})::DOUBLE",
        f"avg({column})",
        f"min({column})",
        f"max({column})",
        f"quantile_cont({column}, {list(shares)})",
    ]
    return figures, source


def _weighted(source: str, keys: str, shares: tuple[float, ...], column: str) -> tuple[list[str], str]:
    percentiles = ", ".join(_weighted_percentile(share, column) for share in shares)
    figures = [
        *_counted(weighted=True),
        f"sum({column} * weight)",
        averaging(column),
        f"min({column})",
        f"max({column})",
        f"list_filter([{percentiles}], lambda value: value IS NOT NULL)",
    ]
    group = f"PARTITION BY {keys + ', ' if keys else ''} {column} IS NULL"
    ranked = f"""(
        SELECT *, sum(weight) OVER ({group} ORDER BY {column} ROWS UNBOUNDED PRECEDING) AS through,
            coalesce(lead({column}) OVER ({group} ORDER BY {column}), {column}) AS following,
            greatest(sum(weight) OVER ({group}) - 1, 0) AS last
        FROM {source})"""
    return figures, ranked


def _counted(weighted: bool) -> list[str]:
    """The SQL aggregates for how many there are, how many failed, and how many were cancelled."""
    if not weighted:
        return ["count(*)", f"count(*) FILTER ({FAILED})", f"count(*) FILTER ({CANCELLED})"]
    conditions = (f" FILTER ({FAILED})", f" FILTER ({CANCELLED})")
    return ["sum(weight)", *(f"coalesce(sum(weight){condition}, 0)" for condition in conditions)]


def _weighted_percentile(share: float, column: str) -> str:
    beyond = f"least(greatest({share} * last - (through - 1), 0), 1)"
    reached = f"{column} IS NOT NULL AND through - weight <= {share} * last"
    return f"max({column} + {beyond} * (following - {column})) FILTER ({reached})"


def counting(tables: Tables, condition: str = "true") -> str:
    """The SQL aggregate that counts the records for which a condition holds, each for as many as it stands for."""
    counted = "sum(weight)" if tables.weighted else "count(*)"
    return f"coalesce({counted} FILTER ({condition}), 0)"


def summing(tables: Tables, column: str) -> str:
    """The SQL aggregate that sums a column of whole numbers, each for as many records as its record stands for."""
    total = f"coalesce(sum({column}{' * weight' if tables.weighted else ''}), 0)"
    # In a roll-up the column is a mean, which times its weight may miss the sum by the last digit.
    return total if tables.exact is tables else f"round({total}, 6)"


def averaging(column: str) -> str:
    """The SQL aggregate for the mean of a column where it has a value."""
    return f"sum({column} * weight) / sum(weight) FILTER ({column} IS NOT NULL)"


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
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
