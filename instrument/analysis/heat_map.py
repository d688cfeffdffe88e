"""Durations over time: how many queries of each length began in each stretch of a period."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from instrument.analysis.measures import counting
from instrument.store.tables import Tables, microseconds

_FINEST = (12, 10, 8, 6, 5, 4, 3, 2, 1)
"""Rows to a decade, the finest first."""

_MOST_DECADES = 15


class Grid(Struct, frozen=True):
    """How a period is cut into columns: `columns` stretches of `seconds`, the first beginning at `start` (UTC).

    Columns begin at multiples of their length, so that they stay what they are while a period moves on; the first and
    the last may reach beyond the period.
    """

    start: datetime
    seconds: float
    columns: int

    @classmethod
    def over(cls, since: datetime, until: datetime, columns: int) -> Grid:
        """Cut a period into at most so many columns, of whole seconds."""
        length = max((until - since).total_seconds(), 1.0)
        seconds = max(math.ceil(length / max(columns - 1, 1)), 1)
        first = since.timestamp() // seconds * seconds
        count = math.floor((until.timestamp() - first) / seconds) + 1
        return cls(datetime.fromtimestamp(first, UTC), float(seconds), min(count, max(columns, 2)))

    @property
    def end(self) -> datetime:
        """The end of the last column."""
        return self.start + timedelta(seconds=self.seconds * self.columns)

    def place(self, column: str = "started_us") -> str:
        """The SQL expression of a column's number, from a time in µs."""
        return f"(({column} - {microseconds(self.start)}) // {round(self.seconds * 1e6)})"

    def inside(self, column: str = "started_us") -> str:
        """The SQL condition for a time in µs that lies in one of the columns."""
        first, last = microseconds(self.start), microseconds(self.end)
        return f"({column} >= {first} AND {column} < {last})"


class HeatMap(Struct, frozen=True):
    """Queries (weighted) by start and duration.

    `queries[row][column]` lasted [bounds_ms[row], bounds_ms[row + 1]) and began in that column of `grid`; the shortest
    are in row 0. Rows are equal steps of the logarithm. There are none where there is no query.
    """

    grid: Grid
    bounds_ms: list[float]
    queries: list[list[float]]

    @property
    def most(self) -> float:
        """The number in the fullest cell."""
        return max((max(row) for row in self.queries), default=0.0)


def heat_map(tables: Tables, source: str, parameters: dict[str, Any], grid: Grid, rows: int = 16) -> HeatMap:
    """Count the queries of `source`, a FROM clause with its WHERE, in at most `rows` rows of equal ratio."""
    statement = f"""
        SELECT {grid.place()} AS place, floor(log10(greatest(duration_ns, 1)) * {math.lcm(*_FINEST)})::BIGINT AS fine,
            {counting(tables)}
        FROM {source} AND {grid.inside()} GROUP BY ALL"""
    counted = tables.rows(statement, parameters)
    if not counted:
        return HeatMap(grid, [], [])
    step = _step([fine for _, fine, _ in counted], rows)
    lowest = min(fine for _, fine, _ in counted) // step
    highest = max(fine for _, fine, _ in counted) // step
    cells = [[0.0] * grid.columns for _ in range(highest - lowest + 1)]
    for column, fine, queries in counted:
        if 0 <= column < grid.columns:
            cells[fine // step - lowest][column] += queries
    whole = math.lcm(*_FINEST)
    bounds = [10.0 ** (place * step / whole - 6) for place in range(lowest, highest + 2)]
    return HeatMap(grid, bounds, cells)


def _step(places: list[int], rows: int) -> int:
    """How many of the finest rows become one: as few as leave at most `rows`, and divide a decade or make it up."""
    whole = math.lcm(*_FINEST)
    steps = [whole // finest for finest in _FINEST] + [whole * decades for decades in range(2, _MOST_DECADES + 1)]
    lowest, highest = min(places), max(places)
    return next((step for step in steps if highest // step - lowest // step < rows), steps[-1])
