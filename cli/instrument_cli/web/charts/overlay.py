"""Distributions of several rows laid over each other, each as a share of its own."""

from __future__ import annotations

from instrument.analysis.side_by_side import Row, SideBySide
from instrument_cli.web.charts.axes import decades
from instrument_cli.web.charts.stretched import stretched
from instrument_cli.web.html import Element, tag, text

_WIDTH, _HEIGHT = 1000, 150


def overlay(found: SideBySide, rows: list[Row]) -> Element:
    """Draw the rows' durations as lines, with their names above."""
    legend = tag(
        "p",
        *(tag("span", tag("i", class_=f"key over{number}"), text(row.name)) for number, row in enumerate(rows, 1)),
        class_="legend left",
    )
    return tag("div", legend, overlay_lines(found, rows))


def overlay_lines(found: SideBySide, rows: list[Row]) -> Element:
    """Draw the rows' durations as lines over one logarithmic axis; the columns of each add up to one."""
    shapes = []
    for row in rows:
        total = sum(row.spread) or 1.0
        shapes.append([number / total for number in row.spread])
    most = max((max(shape, default=0.0) for shape in shapes), default=0.0) or 1.0
    step = _WIDTH / max(len(found.bounds_ms) - 1, 1)
    labels = decades(found.bounds_ms)
    marks = [tag("line", class_="grid", x1=share * _WIDTH, x2=share * _WIDTH, y1=0, y2=_HEIGHT) for share, _ in labels]
    for number, shape in enumerate(shapes, 1):
        path = "".join(
            f"{'L' if at else 'M'}{at * step:.1f} {_HEIGHT - value / most * (_HEIGHT - 4):.1f}h{step:.1f}"
            for at, value in enumerate(shape)
        )
        marks.append(tag("path", class_=f"over over{number}", d=path))
    title = "Durations of " + ", ".join(row.name for row in rows)
    return stretched(marks, labels, width=_WIDTH, height=_HEIGHT, title=title)
