"""The six figures and the heat map that a live view begins with, beside the period before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

from instrument.analysis.heat_map import Grid, HeatMap, heat_map
from instrument.analysis.measures import NOTHING, Measure, measures, summing
from instrument.analysis.periods import Period
from instrument.analysis.side_by_side import Kind, side_by_side
from instrument.analysis.timeline import ROOTS
from instrument.analysis.worse import Worse, worse
from instrument.store.tables import Tables

_SHARES = (0.5, 0.95)


class Headline(Struct, frozen=True):
    """One figure: over the period, over the period before, and in each column of the period.

    `unit` is `queries`, `share` (0 to 1), `ms`, `tokens` or `usd`; `better` says which direction is welcome. What has
    no value is None; `before` is None, too, where the period before has no query.
    """

    name: str
    unit: Literal["queries", "share", "ms", "tokens", "usd"]
    better: Literal["more", "less", ""]
    value: float | None
    before: float | None
    values: list[float | None]

    @property
    def change(self) -> float | None:
        """How much more it is than before: 0.1 is a tenth more; of shares, the difference. None where unknown."""
        if self.value is None or self.before is None:
            return None
        if self.unit == "share":
            return self.value - self.before
        return self.value / self.before - 1 if self.before else None


class Overview(Struct, frozen=True):
    """Queries, success rate, median, p95, tokens and cost over a period; the heat map; failures in each column.

    `worse` is what got worse since the period before, of the kinds that were asked for.
    """

    grid: Grid
    figures: list[Headline]
    failed: list[float]
    heat_map: HeatMap
    worse: list[Worse] = []


def overview(
    tables: Tables, before: Tables, period: Period, columns: int, rows: int, kinds: Iterable[Kind] = ()
) -> Overview:
    """Work the figures out over two periods' tables, in at most `columns` columns and `rows` rows of durations.

    `period` is what `tables` cover, and has a beginning. Queries inside queries are not counted.
    """
    grid = grid_over(period, columns)
    now, earlier = _measured(tables).get((), NOTHING), _measured(before).get((), NOTHING)
    parts = [NOTHING] * grid.columns
    for (place,), measure in _measured(tables, (grid.place(),)).items():
        if 0 <= place < grid.columns:
            parts[int(place)] = measure
    figures = [
        Headline(name, unit, better, of(now), of(earlier) if earlier.count else None, [of(part) for part in parts])
        for name, unit, better, of in _FIGURES
    ]
    found = [each for kind in kinds for each in _worse(tables, before, kind)] if earlier.count else []
    return Overview(grid, figures, [part.failed for part in parts], heat_map(tables, ROOTS, {}, grid, rows), found)


def _worse(tables: Tables, before: Tables, kind: Kind) -> list[Worse]:
    earlier = {row.name: row for row in side_by_side(before, kind, spread=False).rows}
    return worse(kind, side_by_side(tables, kind, spread=False).rows, earlier)


def grid_over(period: Period, columns: int) -> Grid:
    """How a period is cut into at most so many columns."""
    return Grid.over(period.since or period.until, period.until, columns)


def figures_of_queries(tables: Tables) -> tuple[str, str]:
    """The SQL aggregates of tokens and cost."""
    tokens = summing(tables, "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)")
    return tokens, summing(tables, "coalesce(cost_usd, 0)")


def _measured(tables: Tables, by: tuple[str, ...] = ()) -> dict[tuple[int, ...], Measure]:
    return measures(tables, ROOTS, by, _SHARES, {}, figures_of_queries(tables))


def _percentile(place: int) -> Callable[[Measure], float | None]:
    return lambda measure: measure.percentiles_ms[place] if measure.percentiles_ms else None


def _sum(place: int) -> Callable[[Measure], float | None]:
    return lambda measure: float(measure.more[place] or 0) if measure.more else 0.0


_FIGURES: tuple[
    tuple[
        str,
        Literal["queries", "share", "ms", "tokens", "usd"],
        Literal["more", "less", ""],
        Callable[[Measure], float | None],
    ],
    ...,
] = (
    ("queries", "queries", "", lambda measure: measure.count),
    ("succeeded", "share", "more", lambda measure: measure.success_rate),
    ("median", "ms", "less", _percentile(0)),
    ("p95", "ms", "less", _percentile(1)),
    ("tokens", "tokens", "", _sum(0)),
    ("cost", "usd", "less", _sum(1)),
)
