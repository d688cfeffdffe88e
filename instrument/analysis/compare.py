"""The figures of two sets of queries beside each other, and which of their differences are more than noise.

A difference has an interval of 95 % confidence, from the bootstrap of both sides (`resampling`). It is called real when
it stays on one side of zero with a confidence of 95 % for all figures of the comparison together (Bonferroni): with
ten figures, each must do so at 99.5 %. Figures that rest on too few records have no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct

from instrument.analysis import resampling
from instrument.analysis.measures import CANCELLED, FAILED, measures
from instrument.analysis.resampling import Sample
from instrument.analysis.results import Limits, Period
from instrument.analysis.wording import count, dollars, duration, percent, short
from instrument.errors import UsageError
from instrument.store.tables import Tables

Unit = Literal["count", "share", "ms", "number", "usd"]
Verdict = Literal["higher", "lower", "same", "unknown"]

CONFIDENCE = 0.95
LEAST_RECORDS = 20
"""With fewer records on one side, a mean or a rate has no verdict."""

LEAST_BEYOND = 5
"""A percentile needs so many records beyond it on each side."""

MOST_CALLS = 10
"""How many tools and operations are compared, those that took the most time."""


FACTS = ("queries", "queries an hour")
"""The figures that are facts of a period rather than estimates, and so have no interval."""


class Side(Struct, frozen=True):
    """One of the two: its label, the period its queries are from, and how many there are."""

    label: str
    period: Period
    queries: float


class Change(Struct, frozen=True):
    """One figure on both sides; `low` and `high` bound the difference `after - before`, None where nothing bounds it.

    `relative` is the difference as a share of `before`.
    """

    name: str
    unit: Unit
    before: float | None
    after: float | None
    difference: float | None
    relative: float | None
    low: float | None
    high: float | None
    verdict: Verdict


class Comparison(Struct, frozen=True):
    """Two sets of queries compared; `calls` has the tools and operations by `kind: name`."""

    before: Side
    after: Side
    figures: list[Change]
    calls: dict[str, list[Change]]
    summary: list[str]


def valued(value: float | None, unit: Unit) -> str:
    """A figure in the form that fits its unit."""
    if unit == "ms":
        return duration(value)
    if unit == "share":
        return percent(value)
    if unit == "usd":
        return dollars(value)
    return "–" if value is None else count(value) if unit == "count" else short(value)


_Samples = tuple[Sample, Sample]


class _Queries(Struct, frozen=True):
    """The queries of one side as arrays of one length; NaN where a query has no value."""

    weights: Any
    duration_ms: Any
    failed: Any
    cancelled: Any
    first_chunk_ms: Any
    tokens: Any
    cost: Any
    tool_calls: Any


def compare(before: Tables, after: Tables, sides: tuple[Side, Side], limits: Limits) -> Comparison:
    """Compare the queries of two sets of tables; `sides` say what they are, their counts are worked out.

    Raises UsageError when there is nothing on one side.
    """
    counted = [_counted(tables, side) for tables, side in zip((before, after), sides, strict=True)]
    empty = [side for side in counted if not side.queries]
    if empty:
        other = next((side for side in counted if side.queries), None)
        there = f"; {other.label} has {other.queries:,.0f}" if other else ""
        raise UsageError(f"nothing to compare: no query in {' nor in '.join(side.label for side in empty)}{there}")
    figures = _figures(_loaded(before), _loaded(after), limits)
    calls = _calls(before, after)
    number = sum(map(len, (figures, *calls.values())))
    found = [_change(figure, number, place) for place, figure in enumerate(figures)]
    of_calls = {
        name: [_change(figure, number, place) for place, figure in enumerate(each)] for name, each in calls.items()
    }
    hours = [side.period.hours for side in counted]
    rates = [side.queries / length for side, length in zip(counted, hours, strict=True)]
    found.insert(0, _plain("queries", "count", counted[0].queries, counted[1].queries))
    if hours[0] != hours[1]:
        found.insert(1, _plain("queries an hour", "number", rates[0], rates[1]))
    return Comparison(counted[0], counted[1], found, of_calls, _summary(found, of_calls))


def _counted(tables: Tables, side: Side) -> Side:
    [(count,)] = tables.rows("SELECT coalesce(sum(weight), 0) FROM queries WHERE parent_id IS NULL")
    return Side(side.label, side.period, count if tables.weighted else int(count))


class _Figure(Struct, frozen=True):
    """What is compared: the samples of both sides, and the percentile (0 to 1) that is asked of them, None for means.

    A share is the mean of zeros and ones.
    """

    name: str
    unit: Unit
    samples: tuple[Sample, Sample]
    percentile: float | None = None

    @property
    def values(self) -> tuple[float | None, float | None]:
        """The figure itself on both sides."""
        before, after = (
            resampling.mean(each) if self.percentile is None else resampling.percentile(each, self.percentile)
            for each in self.samples
        )
        return before, after


def _loaded(tables: Tables) -> _Queries:
    columns = {
        "weights": "weight",
        "duration_ms": "duration_ms",
        "failed": FAILED,
        "cancelled": CANCELLED,
        "first_chunk_ms": "first_chunk_ms",
        "tokens": "coalesce(input_tokens + output_tokens, input_tokens, output_tokens)",
        "cost": "cost_usd",
        "tool_calls": "tool_calls",
    }
    named = ", ".join(f"({sql})::DOUBLE AS {name}" for name, sql in columns.items())
    return _Queries(**tables.arrays(f"SELECT {named} FROM queries WHERE parent_id IS NULL"))


def _figures(before: _Queries, after: _Queries, limits: Limits) -> list[_Figure]:
    both = (before, after)

    def sampled(values: Callable[[_Queries], Any], *, among: Callable[[_Queries], Any] | None = None) -> _Samples:
        chosen = [slice(None) if among is None else among(side) for side in both]
        one, other = (
            resampling.sample(values(side)[part], side.weights[part]) for side, part in zip(both, chosen, strict=True)
        )
        return one, other

    durations = sampled(lambda side: side.duration_ms)
    chunks = sampled(lambda side: side.first_chunk_ms)
    found = [
        _Figure("failure rate", "share", sampled(lambda side: side.failed, among=lambda side: side.cancelled == 0)),
        _Figure("cancelled", "share", sampled(lambda side: side.cancelled)),
        _Figure("slow", "share", sampled(lambda side: side.duration_ms > limits.slow_ms)),
        _Figure("average", "ms", durations),
        *(_Figure(f"p{share * 100:.0f}", "ms", durations, share) for share in (0.5, 0.95, 0.99)),
        _Figure("1st chunk p95", "ms", chunks, 0.95),
        _Figure("tokens a query", "number", sampled(lambda side: side.tokens)),
        _Figure("cost a query", "usd", sampled(lambda side: side.cost)),
        _Figure("tool calls a query", "number", sampled(lambda side: side.tool_calls)),
    ]
    return [figure for figure in found if any(figure.values)]


def _calls(before: Tables, after: Tables) -> dict[str, list[_Figure]]:
    """The failure rate and the percentile 95 of each call, of those that took the most time on both sides."""
    spent: dict[tuple[str, str], float] = {}
    for tables in (before, after):
        for key, one in measures(tables, "calls", ("kind", "name"), (0.95,), {}).items():
            spent[key] = spent.get(key, 0.0) + one.total_ms
    chosen = [": ".join(key) for key in sorted(spent, key=lambda key: (-spent[key], key))[:MOST_CALLS]]
    statement = f"""
        SELECT place::DOUBLE AS place, weight::DOUBLE AS weights, duration_ms AS durations,
            ({FAILED})::DOUBLE AS failed, ({CANCELLED})::DOUBLE AS cancelled
        FROM (SELECT *, list_position($chosen, kind || ': ' || name) AS place FROM calls) WHERE place IS NOT NULL"""
    sides = [tables.arrays(statement, {"chosen": chosen}) for tables in (before, after)]
    figures = {}
    for place, name in enumerate(chosen, start=1):
        of_call = [{key: values[side["place"] == place] for key, values in side.items()} for side in sides]
        if all(len(side["weights"]) for side in of_call):
            figures[name] = _call(of_call)
    return {name: found for name, found in figures.items() if found}


def _call(sides: list[dict[str, Any]]) -> list[_Figure]:
    ended = [{key: values[side["cancelled"] == 0] for key, values in side.items()} for side in sides]
    durations, failed = (
        (resampling.sample(one[key], one["weights"]), resampling.sample(other[key], other["weights"]))
        for key, (one, other) in (("durations", sides), ("failed", ended))
    )
    found = [
        _Figure("failure rate", "share", failed),
        _Figure("average", "ms", durations),
        _Figure("p95", "ms", durations, 0.95),
    ]
    return [figure for figure in found if any(figure.values)]


def _plain(name: str, unit: Unit, before: float, after: float) -> Change:
    """A figure that is a fact of its period, and no estimate."""
    return Change(
        name, unit, before, after, after - before, (after - before) / before if before else None, None, None, "unknown"
    )


def _change(figure: _Figure, figures: int, place: int) -> Change:
    import numpy as np

    before, after = figure.values
    if before is None or after is None:
        return Change(figure.name, figure.unit, before, after, None, None, None, None, "unknown")
    difference, relative = after - before, (after - before) / before if before else None
    if not _enough(figure):
        return Change(figure.name, figure.unit, before, after, difference, relative, None, None, "unknown")
    draws = [_draws(figure, sample, 2 * place + side) for side, sample in enumerate(figure.samples)]
    differences = draws[1] - draws[0]
    outside = 1 - CONFIDENCE
    low, high = np.quantile(differences, [outside / 2, 1 - outside / 2])
    strict_low, strict_high = np.quantile(differences, [outside / figures / 2, 1 - outside / figures / 2])
    verdict: Verdict = "higher" if strict_low > 0 else "lower" if strict_high < 0 else "same"
    return Change(figure.name, figure.unit, before, after, difference, relative, float(low), float(high), verdict)


def _enough(figure: _Figure) -> bool:
    fewest = min(sample.records for sample in figure.samples)
    if figure.percentile is None:
        return fewest >= LEAST_RECORDS
    return fewest * min(figure.percentile, 1 - figure.percentile) >= LEAST_BEYOND


def _draws(figure: _Figure, of: Sample, seed: int) -> Any:
    if figure.percentile is not None:
        return resampling.percentile_draws(of, figure.percentile, seed)
    return resampling.rate_draws(of, seed) if figure.unit == "share" else resampling.mean_draws(of, seed)


def _summary(figures: Sequence[Change], calls: dict[str, list[Change]]) -> list[str]:
    """Plain sentences: what really changed, what is noise, what cannot be told."""
    overall = [change for change in figures if change.verdict in ("higher", "lower")]
    lines = [_sentence(change) for change in sorted(overall, key=_size)]
    for name, changes in calls.items():
        lines += [_sentence(change, name) for change in changes if change.verdict in ("higher", "lower")]
    if not lines:
        lines = ["Nothing changed by more than chance explains."]
    noise = [change.name for change in figures if change.verdict == "same"]
    if noise:
        lines.append(f"Within noise: {', '.join(noise)}.")
    few = [change.name for change in figures if change.verdict == "unknown" and change.name not in FACTS]
    if few:
        lines.append(f"Too few records to tell: {', '.join(few)}.")
    return lines


def _sentence(change: Change, of: str = "") -> str:
    """`p95 rose by 12 % (3.9 s to 4.4 s).`, with the call that it is of before it."""
    before, after = (valued(value, change.unit) for value in (change.before, change.after))
    by = (
        f" by {short(float(f'{abs(change.relative) * 100:.2g}'))} %"
        if change.relative and abs(change.relative) < 10
        else ""
    )
    moved = "rose" if change.verdict == "higher" else "fell"
    name = f"{of}, {change.name}" if of else change.name[0].upper() + change.name[1:]
    return f"{name} {moved}{by} ({before} to {after})."


def _size(change: Change) -> float:
    return -abs(change.relative) if change.relative is not None else float("-inf")
