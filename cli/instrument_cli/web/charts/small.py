"""The small charts within tables and figures: a bar, a line over time, a distribution, columns."""

from __future__ import annotations

from collections.abc import Sequence

from instrument_cli.web.charts.axes import place
from instrument_cli.web.charts.stretched import stretched
from instrument_cli.web.html import Element, tag


def bar(share: float, *, width: int = 72, bad: bool = False) -> Element:
    """A share of 0 to 1 as a bar."""
    length = min(max(share, 0.0), 1.0) * width
    marks = [tag("rect", class_="ground", width=width, height=6, rx=3)]
    if share > 0:
        marks.append(tag("rect", class_="bad" if bad else "fill", width=max(length, 2.0), height=6, rx=3))
    return tag("svg", *marks, width=width, height=6, viewbox=f"0 0 {width} 6", class_="mini", aria_hidden="true")


def spark(
    values: Sequence[float | None], *, width: int = 88, height: int = 26, bad: bool = False, zero: bool = True
) -> Element:
    """Values over time as a line above a ground; a gap where there is no value."""
    known = [each for each in values if each is not None]
    if len(known) < 2:
        return tag("svg", width=width, height=height, class_="mini", aria_hidden="true")
    low, high = (0.0 if zero else min(known)), max(known)
    scale = (height - 4) / ((high - low) or 1.0)
    step = width / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at * step, height - 2 - (value - low) * scale))
    marks = []
    for run in runs:
        if run:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            marks.append(
                tag(
                    "path",
                    class_="under",
                    d=f"M{run[0][0]:.1f},{height} L{points.replace(' ', ' L')} L{run[-1][0]:.1f},{height}Z",
                )
            )
            marks.append(tag("polyline", class_="stroke", points=points))
    return tag(
        "svg",
        *marks,
        width=width,
        height=height,
        viewbox=f"0 0 {width} {height}",
        preserveaspectratio="none",
        class_=f"mini spark{' bad' if bad else ''}",
        aria_hidden="true",
    )


def distribution(
    spread: Sequence[float],
    bounds_ms: Sequence[float],
    p50: float | None,
    p95: float | None,
    *,
    width: int = 260,
    height: int = 26,
) -> Element:
    """Durations on a logarithmic axis that all rows of a table share, with the median and the 95th percentile."""
    marks = []
    most = max(spread, default=0.0)
    step = width / max(len(spread), 1)
    if most:
        columns = []
        for at, number in enumerate(spread):
            if number:
                tall = max(number / most * (height - 2), 0.7)
                columns.append(f"M{at * step:.1f} {height}v-{tall:.1f}h{step:.1f}v{tall:.1f}z")
        marks.append(tag("path", class_="fill", d="".join(columns)))
        for value, style in ((p50, "median"), (p95, "p95")):
            if value is not None:
                x = place(value, bounds_ms) * width
                marks.append(tag("rect", class_=style, x=x - 1, y=0, width=2, height=height))
    return tag(
        "svg",
        *marks,
        width=width,
        height=height,
        viewbox=f"0 0 {width} {height}",
        class_="mini spread",
        aria_hidden="true",
    )


def columns(
    counts: Sequence[float],
    *,
    width: int = 300,
    height: int = 72,
    mark: float | None = None,
    labels: Sequence[tuple[float, str]] = (),
    title: str = "",
    failed: Sequence[float] = (),
) -> Element:
    """Counts as columns; `mark` is a share of the width at which a line stands, `failed` is drawn red."""
    most = max(counts, default=0.0) or 1.0
    step = width / max(len(counts), 1)
    gap = 1.0 if step > 4 else 0.4
    good, bad = [], []
    for at, number in enumerate(counts):
        if number:
            tall = max(number / most * height, 1.0)
            good.append(f"M{at * step + gap / 2:.1f} {height}v-{tall:.1f}h{step - gap:.1f}v{tall:.1f}z")
        if failed and failed[at]:
            tall = max(failed[at] / most * height, 1.5)
            bad.append(f"M{at * step + gap / 2:.1f} {height}v-{tall:.1f}h{step - gap:.1f}v{tall:.1f}z")
    marks = [tag("path", class_="fill", d="".join(good)), tag("path", class_="bad", d="".join(bad)) if bad else None]
    marks.append(tag("line", class_="axis", x1=0, x2=width, y1=height, y2=height))
    if mark is not None:
        marks.append(tag("line", class_="limit", x1=mark * width, x2=mark * width, y1=0, y2=height))
    return stretched(marks, labels, width=width, height=height, title=title)
