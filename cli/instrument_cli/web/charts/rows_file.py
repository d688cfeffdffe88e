"""Charts that stand in the rows of a page, put together as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from instrument.analysis.side_by_side import SideBySide
from instrument.analysis.time_spent import TimeSpent
from instrument.analysis.wording import count, duration
from instrument.records import QueryRecord
from instrument_cli.web.charts import small
from instrument_cli.web.charts.axes import decades, short_time, ticks, times
from instrument_cli.web.charts.waterfall import MOST_CALLS, bars_of, bars_of_whole, in_order, lane, length_of
from instrument_cli.web.html import Child, Element, tag

_WIDE, _NAME, _TOOK, _ROW, _AXIS = 1000, 250, 90, 24, 18
_LANE = _WIDE - _NAME - _TOOK
_MOST_NAME = 34
_INDENT = 14


def waterfall_picture(query: QueryRecord, spent: TimeSpent) -> Element:
    """A query's calls over time, as on its page."""
    length = length_of(query)
    marks = ticks(length, 7)
    axis = [(at / length, short_time(at) if at else "0") for at in marks]
    lines: list[tuple[str, int, Child, str]] = [
        (query.agent_type, 0, lane(marks, length, *bars_of_whole(query, spent, length)), duration(query.duration_ms))
    ]
    for depth, place in in_order(query.calls)[:MOST_CALLS]:
        call = query.calls[place]
        took = duration(call.duration_ms) if call.duration_ms is not None else "never ended"
        lines.append((call.name, depth + 1, lane(marks, length, *bars_of(query, spent, place, length)), took))
    return _rows(lines, axis)


def distributions_picture(found: SideBySide, most: int) -> Element:
    """How the durations of the first rows are distributed, on the axis that they share."""
    lines = [
        (
            row.name,
            0,
            small.distribution(row.spread, found.bounds_ms, row.p50_ms, row.p95_ms, width=_LANE, height=20),
            count(row.count),
        )
        for row in found.rows[:most]
    ]
    return _rows(lines, decades(found.bounds_ms))


def over_time_picture(
    lines: Sequence[tuple[str, Sequence[float | None], str]], start: datetime, end: datetime, zone: tzinfo
) -> Element:
    """Names with their values over time, and words at the right; each line has a scale of its own."""
    drawn = [(name, 0, small.spark(values, width=_LANE, height=20), said) for name, values, said in lines]
    return _rows(drawn, times(start, end, zone, 8))


def _rows(lines: Sequence[tuple[str, int, Child, str]], axis: Sequence[tuple[float, str]]) -> Element:
    """Rows of a name, how far it stands in, a picture and words at the right, below an axis."""
    marks: list[Child] = [
        tag("text", label, x=_NAME + share * _LANE, y=11, text_anchor="middle") for share, label in axis if share < 0.97
    ]
    for place, (name, depth, picture, words) in enumerate(lines):
        y = _AXIS + place * _ROW
        x = min(depth, 8) * _INDENT
        most = _MOST_NAME - 2 * min(depth, 8)
        marks.append(tag("text", name if len(name) <= most else f"{name[: most - 1]}…", x=x, y=y + 16, class_="name"))
        marks.append(tag("svg", picture, x=_NAME, y=y + 2, width=_LANE, height=20))
        marks.append(tag("text", words, x=_WIDE, y=y + 16, text_anchor="end", class_="took"))
    return tag("svg", *marks, viewbox=f"0 0 {_WIDE} {_AXIS + _ROW * len(lines)}", class_="chart")
