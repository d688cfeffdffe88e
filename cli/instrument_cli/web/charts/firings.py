"""When an alert would have fired: a lane of time with a bar for each firing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from instrument.alerting.past import Firing
from instrument_cli.web.charts.axes import times
from instrument_cli.web.charts.stretched import stretched
from instrument_cli.web.html import Element, tag

_WIDTH, _HEIGHT = 1000, 16


def firing_lane(firings: Sequence[Firing], since: datetime, until: datetime, zone: tzinfo, *, axis: bool) -> Element:
    """Draw the firings between two moments; one that has no end reaches the right edge."""
    length = (until - since).total_seconds() or 1.0
    labels = times(since, until, zone, 8)
    marks = [tag("line", class_="grid", x1=share * _WIDTH, x2=share * _WIDTH, y1=0, y2=_HEIGHT) for share, _ in labels]
    marks.append(tag("rect", class_="ground", x=0, y=6, width=_WIDTH, height=4))
    for one in firings:
        begin, end = ((each - since).total_seconds() / length * _WIDTH for each in (one.start, one.end or until))
        marks.append(tag("rect", class_="bad", x=begin, y=2, width=max(end - begin, 2.0), height=12))
    title = f"{len(firings)} {'time' if len(firings) == 1 else 'times'} firing"
    return stretched(marks, labels if axis else (), width=_WIDTH, height=_HEIGHT, title=title)
