"""One figure over time as a line, with unusual stretches and changes shaded behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from instrument.analysis.forecasts import Forecast
from instrument.analysis.trends import Finding, Trend
from instrument_cli.web.charts.axes import times
from instrument_cli.web.charts.stretched import stretched
from instrument_cli.web.html import Element, tag

WIDTH, HEIGHT = 900, 84
_HEAD = 16
"""What is left above the highest value, for its words."""


def trend_line(
    trend: Trend,
    findings: Sequence[Finding],
    start: datetime,
    end: datetime,
    zone: tzinfo,
    *,
    axis: bool,
    most: str,
    ahead: Forecast | None = None,
) -> Element:
    """Draw a figure from `start` to `end`; a gap where it has no value. `most` is its highest value in words.

    What is expected lies behind a dashed line at the right, within `start` and `end` as well.
    """
    length = (end - start).total_seconds() or 1.0
    labels = times(start, end, zone, 8)
    marks = [tag("line", class_="grid", x1=share * WIDTH, x2=share * WIDTH, y1=0, y2=HEIGHT) for share, _ in labels]
    for one in findings:
        x = max(0.0, (one.start - start).total_seconds() / length * WIDTH)
        wide = max((one.end - start).total_seconds() / length * WIDTH - x, 3.0)
        if one.kind == "unusual":
            marks.append(tag("rect", class_="unusual", x=x, y=0, width=min(wide, WIDTH - x), height=HEIGHT))
        elif one.kind == "change":
            marks.append(tag("line", class_="limit", x1=x, x2=x, y1=0, y2=HEIGHT))
    highest = highest_of(trend, ahead)
    first, step = (trend.start - start).total_seconds() / length * WIDTH, trend.every_seconds / length * WIDTH
    if highest is not None:
        scale = (HEIGHT - _HEAD) / (highest or 1.0)
        after = first + len(trend.values) * step
        marks += _expected(ahead, after, step, scale) if ahead else []
        marks.append(_path(trend.values, first, step, scale))
    title = f"{trend.figure} over time" + (", with what is expected" if ahead else "")
    return stretched(marks, labels if axis else (), width=WIDTH, height=HEIGHT, title=title, corner=most)


def highest_of(trend: Trend, ahead: Forecast | None) -> float | None:
    """The value at the top of the chart: the greatest one, or None where there is none."""
    known = [value for value in trend.values if value is not None]
    return max([*known, *(ahead.high if ahead else ())], default=None)


def _expected(ahead: Forecast, x: float, step: float, scale: float) -> list[Element]:
    """The band between the bounds, the mean within it, and where it begins."""
    places = [x + (number + 0.5) * step for number in range(len(ahead.mean))]
    upper, lower, mean = (
        [f"{at:.1f} {HEIGHT - 2 - value * scale:.1f}" for at, value in zip(places, values, strict=True)]
        for values in (ahead.high, ahead.low, ahead.mean)
    )
    return [
        tag("path", class_="band", d=f"M{'L'.join(upper)}L{'L'.join(reversed(lower))}Z"),
        tag("path", class_="line expected", d=f"M{'L'.join(mean)}"),
        tag("line", class_="now", x1=x, x2=x, y1=0, y2=HEIGHT),
    ]


def _path(values: Sequence[float | None], first: float, step: float, scale: float) -> Element:
    drawn, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{first + (place + 0.5) * step:.1f} {HEIGHT - 2 - value * scale:.1f}")
        pen = "L"
    return tag("path", class_="line stroke", d="".join(drawn))
