"""One figure over time as a line, with unusual stretches and changes shaded behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from instrument.analysis.trends import Finding, Trend
from instrument_cli.web.charts.axes import times
from instrument_cli.web.html import Element, tag

WIDTH, HEIGHT, AXIS = 900, 84, 20


def trend_line(
    trend: Trend, findings: Sequence[Finding], start: datetime, end: datetime, zone: tzinfo, *, axis: bool
) -> Element:
    """Draw a figure from `start` to `end`; a gap where it has no value."""
    length = (end - start).total_seconds() or 1.0
    marks = []
    for share, label in times(start, end, zone, 8):
        x = share * WIDTH
        marks.append(tag("line", class_="grid", x1=x, x2=x, y1=0, y2=HEIGHT))
        if axis and 20 < x < WIDTH - 20:
            marks.append(tag("text", label, x=x, y=HEIGHT + 15, text_anchor="middle"))
    for one in findings:
        x = max(0.0, (one.start - start).total_seconds() / length * WIDTH)
        wide = max((one.end - start).total_seconds() / length * WIDTH - x, 3.0)
        if one.kind == "unusual":
            marks.append(tag("rect", class_="unusual", x=x, y=0, width=min(wide, WIDTH - x), height=HEIGHT))
        elif one.kind == "change":
            marks.append(tag("rect", class_="p95", x=x, y=0, width=1.5, height=HEIGHT))
    known = [value for value in trend.values if value is not None]
    if known:
        marks.append(_path(trend, max(known) or 1.0, start, length))
    foot = AXIS if axis else 2
    return tag(
        "svg",
        tag("title", f"{trend.figure} over time"),
        *marks,
        viewbox=f"0 0 {WIDTH} {HEIGHT + foot}",
        class_="chart",
        role="img",
        aria_label=f"{trend.figure} over time",
    )


def _path(trend: Trend, most: float, start: datetime, length: float) -> Element:
    first = (trend.start - start).total_seconds()
    drawn, pen = [], "M"
    for place, value in enumerate(trend.values):
        if value is None:
            pen = "M"
            continue
        x = (first + (place + 0.5) * trend.every_seconds) / length * WIDTH
        drawn.append(f"{pen}{x:.1f} {HEIGHT - 2 - value / most * (HEIGHT - 8):.1f}")
        pen = "L"
    return tag("path", class_="line stroke", d="".join(drawn))
