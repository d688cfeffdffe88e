"""One figure over time as a picture of its own: what a small line within a page shows, large and with its axis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from instrument_cli.web.charts import small
from instrument_cli.web.charts.axes import times
from instrument_cli.web.charts.stretched import stretched
from instrument_cli.web.html import Element, tag

_WIDTH, _HEIGHT, _HEAD = 1000, 140, 14


def line_over_time(
    values: Sequence[float | None],
    start: datetime,
    end: datetime,
    zone: tzinfo,
    *,
    most: str,
    title: str,
    bad: bool = False,
) -> Element:
    """Draw values that lie evenly from `start` to `end`; `most` is the highest of them in words."""
    labels = times(start, end, zone, 8)
    marks = [tag("line", class_="grid", x1=share * _WIDTH, x2=share * _WIDTH, y1=0, y2=_HEIGHT) for share, _ in labels]
    line = small.spark(values, width=_WIDTH, height=_HEIGHT - _HEAD, bad=bad)
    marks.append(tag("svg", line, y=_HEAD, width=_WIDTH, height=_HEIGHT - _HEAD))
    return stretched(marks, labels, width=_WIDTH, height=_HEIGHT, title=title, corner=most)
