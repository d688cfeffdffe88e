"""What is counted: a family for each metric of the table, in it a sum or a distribution for each set of label values.

Sets of label values are never removed, and keep the order in which they came. So one number says which of them a
reader has seen.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from instrument.exporters.names import METRICS, OTHER, Metric
from instrument.rows.stored import QueryRow, id_of

COMBINATIONS = 10
"""How many sets of label values a metric may have, times the setting `max_label_values`."""

FIXED = frozenset({"outcome", "kind", "type", "gen_ai_token_type", "gen_ai_tool_type", "gen_ai_operation_name"})
"""Labels whose values are ours."""

EXEMPLAR_US = 60_000_000
"""How old, in µs, the query beside a bucket becomes before a newer one takes its place: pages change less."""

Exemplar = tuple[str, str | None, int, float]
"""A query behind a bucket: its id, that of the query around it, when it or its call began in µs; and the value."""


class Sum:
    """A number that counts up, or the newest of a gauge. `head` is what stands before it on a page, once drawn."""

    __slots__ = ("head", "value")

    def __init__(self, value: float = 0) -> None:
        self.value = value
        self.head = ""


class Distribution:
    """Counts by bucket, the last one without a bound, and the sum of the values.

    `heads`, `notes` and `drawn` are pieces of the page, which keeps them here: what stands before and behind the count
    of each bucket, and all of it.
    """

    __slots__ = ("_kept_until", "bounds", "counts", "drawn", "exemplars", "heads", "notes", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts: list[float] = [0] * (len(bounds) + 1)
        self.exemplars: list[Exemplar | None] = [None] * (len(bounds) + 1)
        self._kept_until = [0] * (len(bounds) + 1)
        self.notes: list[str] = [""] * (len(bounds) + 1)
        self.sum: float = 0.0
        self.heads: list[str] = []
        self.drawn: tuple[bool, float, str] | None = None

    def add(self, value: float, row: QueryRow) -> None:
        """Count a value of a query, and keep the query beside its bucket."""
        place = bisect_left(self.bounds, value)
        self.counts[place] += row.weight
        self.sum += value * row.weight
        if row.started >= self._kept_until[place]:
            self._keep(place, (id_of(row), row.parent, row.started, value))

    def add_beside(self, value: float, weight: float, started: int, query_id: str | None) -> None:
        """Count a value that stands in a row of its own, and keep the query that it belongs to, if any."""
        place = bisect_left(self.bounds, value)
        self.counts[place] += weight
        self.sum += value * weight
        if query_id and started >= self._kept_until[place]:
            self._keep(place, (query_id, None, started, value))

    def _keep(self, place: int, exemplar: Exemplar) -> None:
        self.exemplars[place] = exemplar
        self._kept_until[place] = exemplar[2] + EXEMPLAR_US
        self.notes[place] = ""


Kept = list[tuple[tuple[str, ...], list[int | float]]]
"""A family's series as plain numbers, by their label values."""

Series = dict[tuple[str, ...], Any]


class Family:
    """One metric's series, by their label values."""

    def __init__(self, metric: Metric, most: int) -> None:
        self.metric = metric
        self.series: Series = {}
        self._most = most

    def cell(self, *values: str) -> Any:
        """The `Sum` or `Distribution` of these label values; of `OTHER` ones where there are too many."""
        found = self.series.get(values)
        if found is None:
            if len(self.series) >= self._most:
                pairs = zip(self.metric.labels, values, strict=True)
                values = tuple(value if not value or label in FIXED else OTHER for label, value in pairs)
            found = self.series.setdefault(values, self._new())
        return found

    def _new(self) -> Sum | Distribution:
        return Distribution(self.metric.bounds) if self.metric.type == "histogram" else Sum()

    def kept(self) -> Kept:
        """All series as plain numbers: a sum's value, a distribution's counts and sum."""
        if self.metric.type == "histogram":
            return [(values, [*cell.counts, cell.sum]) for values, cell in self.series.items()]
        return [(values, [cell.value]) for values, cell in self.series.items()]

    def restore(self, kept: Kept) -> None:
        """Take back what `kept` gave; a series of another shape, which another version kept, is left out."""
        numbers = len(self.metric.bounds) + 2 if self.metric.type == "histogram" else 1
        for values, figures in kept:
            if len(values) != len(self.metric.labels) or len(figures) != numbers:
                continue
            cell = self.series[values] = self._new()
            if isinstance(cell, Distribution):
                *cell.counts, cell.sum = figures
            else:
                (cell.value,) = figures


def new_families(max_label_values: int) -> dict[str, Family]:
    """An empty family for every metric, by its Prometheus name, in the order of the table."""
    return {metric.prometheus: Family(metric, COMBINATIONS * max_label_values) for metric in METRICS}
