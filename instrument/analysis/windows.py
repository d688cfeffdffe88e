"""A figure over windows that end at given moments, as an alert looks at it.

A query belongs to the moment at which it ended: until then no record of it exists. So what a window showed in the past
can be worked out afterwards, and a window is never missing the queries that were still running.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from instrument.analysis import series
from instrument.analysis.measures import Measure
from instrument.store.tables import Tables, microseconds

MOST_ROWS = 5_000_000
"""Rows that are measured in one go: a query counts in as many windows as it lies in."""

_ENDED = "(started_us + coalesce(duration_ns, 0) // 1000)"


class Moments(Struct, frozen=True):
    """Equally distant moments: `count` of them from `first` (UTC) on, `step` seconds apart."""

    first: datetime
    step: float = 60.0
    count: int = 1

    def at(self, place: int) -> datetime:
        """The moment at a place."""
        return self.first + timedelta(seconds=self.step * place)

    def earlier(self, seconds: float) -> Moments:
        """The same moments, so much earlier."""
        return Moments(self.first - timedelta(seconds=seconds), self.step, self.count)

    def part(self, begin: int, count: int) -> Moments:
        """The moments from a place on, at most so many."""
        return Moments(self.at(begin), self.step, min(count, self.count - begin))


class Value(Struct, frozen=True):
    """A figure over one window: its value, None where there is none, and how many queries or calls are behind it."""

    value: float | None
    count: float


Groups = dict[str | None, list[Value]]
"""The values at each moment, by group; None is the group of all."""


def over_windows(tables: Tables, name: str, moments: Moments, seconds: float, by: str | None = None) -> Groups:
    """Work a figure out over the `seconds` before each moment (the moment included, the beginning not), for each group.

    Raises UsageError for an unknown figure or group.
    """
    wanted = series.figure(name)
    source, expression = series.source_of(tables, wanted, by)
    if by is not None:
        source = series.of_largest(tables, source, expression)
    empty = Value(0.0 if wanted.adds_up else None, 0.0)
    found: Groups = {} if by is not None else {None: [empty] * moments.count}
    at_once = _at_once(tables, moments, seconds)
    for begin in range(0, moments.count, at_once):
        part = moments.part(begin, at_once)
        for key, measure in _measured(tables, wanted, source, part, seconds, by is not None).items():
            values = found.setdefault(key[1] if by is not None else None, [empty] * moments.count)
            values[begin + int(key[0])] = Value(series.value_of(wanted, measure), measure.count)
    return found


def _measured(
    tables: Tables, wanted: series.Figure, source: str, moments: Moments, seconds: float, grouped: bool
) -> dict[tuple[Any, ...], Measure]:
    first, step, length = microseconds(moments.first), round(moments.step * 1e6), round(seconds * 1e6)
    places = f"""unnest(range(
        greatest(0, -floor(({first} - {_ENDED}) / {step})::BIGINT),
        least({moments.count}, floor(({_ENDED} + {length} - 1 - {first}) / {step})::BIGINT + 1)))"""
    windows = f"(SELECT *, {places} AS bucket FROM {source} AND {wanted.condition}) WHERE true"
    return series.measured(tables, wanted, windows, ("bucket", "grouped") if grouped else ("bucket",))


def _at_once(tables: Tables, moments: Moments, seconds: float) -> int:
    """How many moments are worked out together, so that memory does not grow with them."""
    if moments.count == 1:
        return 1
    queries = int(tables.rows("SELECT count(*) FROM queries")[0][0])
    rows = queries * min(moments.count, max(1.0, seconds / moments.step))
    return max(1, min(moments.count, math.floor(moments.count * MOST_ROWS / max(rows, 1))))


def first_start(tables: Tables) -> datetime | None:
    """When the first query began; None without one."""
    first = tables.rows("SELECT min(started_us) FROM queries")[0][0]
    return None if first is None else datetime.fromtimestamp(first / 1e6, UTC)


class Silence(Struct, frozen=True):
    """A stretch in which a group had been without a query for longer than allowed; `end` None goes on."""

    start: datetime
    end: datetime | None
    last: datetime


def silences(tables: Tables, until: datetime, seconds: float, by: str | None = None) -> dict[str | None, list[Silence]]:
    """The stretches before `until` in which each group had had no query for `seconds`, by start."""
    source, expression = series.source_of(tables, series.figure("queries"), by)
    if by is not None:
        source = series.of_largest(tables, source, expression)
    group = "grouped" if by is not None else "NULL"
    end, allowed = microseconds(until), round(seconds * 1e6)
    ended = f"(SELECT {group} AS g, {_ENDED} AS ended FROM {source} AND {_ENDED} <= {end})"
    rows = tables.rows(
        f"""SELECT g, ended, following FROM (
            SELECT g, ended, lead(ended) OVER (PARTITION BY g ORDER BY ended) AS following FROM {ended})
        WHERE following IS NULL OR following - ended > {allowed} ORDER BY ended"""
    )
    found: dict[str | None, list[Silence]] = {}
    for name, last, following in rows:
        begin = datetime.fromtimestamp(last / 1e6, UTC) + timedelta(seconds=seconds)
        over = None if following is None else datetime.fromtimestamp(following / 1e6, UTC)
        found.setdefault(name, []).append(Silence(begin, over, begin - timedelta(seconds=seconds)))
    return found


def drops(tables: Tables, moments: Moments, seconds: float) -> list[dict[str, float]]:
    """How many records were dropped within the `seconds` before each moment, by reason."""
    rows = tables.rows(
        """SELECT said_us, entry.key, entry.value FROM (
            SELECT said_us, unnest(map_entries(dropped)) AS entry FROM health) ORDER BY said_us"""
    )
    found: list[dict[str, float]] = []
    for place in range(moments.count):
        last = microseconds(moments.at(place))
        counts: dict[str, float] = {}
        for said, reason, number in rows:
            if last - seconds * 1e6 < said <= last:
                counts[reason] = counts.get(reason, 0) + number
        found.append(counts)
    return found
