"""The overview's panel: how many queries, which failed, and how long they took, on one axis of time."""

from __future__ import annotations

import math
from datetime import timedelta, tzinfo

from instrument.analysis.overview import Overview
from instrument.analysis.wording import clock, count, duration, zone_name
from instrument_cli.web.charts.axes import decades, place, times
from instrument_cli.web.html import Element, tag

WIDTH, LEFT, RIGHT = 1120, 62, 8
VOLUME, FAILED, CELL = 84, 12, 13
_GAP, _AXIS = 8, 24
KEYS = (
    ("fill", "queries"), ("bad", "failed"), ("median", "median"), ("p95", "p95"), ("heat1", "few"), ("heat7", "many")
)  # fmt: skip
"""What its colours mean, in its file."""

LEVELS = 7
"""Shades of the heat map."""


def time_panel(found: Overview, zone: tzinfo, *, width: int = WIDTH) -> Element:
    """Draw it. What the crosshair says of each column stands in `data-columns`; dragging over it zooms in."""
    grid, inner = found.grid, width - LEFT - RIGHT
    step = inner / grid.columns
    figures = {figure.name: figure for figure in found.figures}
    rows = len(found.heat_map.queries)
    top = VOLUME + _GAP + FAILED + _GAP
    tall = max(rows, 4) * CELL
    height = top + tall + _AXIS
    marks = [
        *_grid(found, zone, step, top, tall, inner),
        *_volume(found, step),
        *_failures(found, step),
        *_cells(found, step, top, tall),
        *_line(figures["median"].values, found, step, top, tall, "median"),
        *_line(figures["p95"].values, found, step, top, tall, "p95"),
        tag("line", class_="cross", x1=0, x2=0, y1=0, y2=top + tall, id="cross"),
        tag("rect", class_="brush", x=0, y=0, width=0, height=top + tall, id="brush"),
    ]
    return tag(
        "svg",
        tag("title", _described(found)),
        *marks,
        viewbox=f"0 0 {width} {height}",
        class_="chart panel-chart",
        role="img",
        id="time-panel",
        aria_label=_described(found),
        data_left=LEFT,
        data_inner=inner,
        data_width=width,
        data_start=grid.start.timestamp(),
        data_seconds=grid.seconds,
        data_heat_top=top,
        data_heat_tall=tall,
        data_columns="\n".join(_said(found, zone, at) for at in range(grid.columns)),
        data_bounds=f"{found.heat_map.bounds_ms[0]:.9g} {found.heat_map.bounds_ms[-1]:.9g}" if rows else None,
    )


def _described(found: Overview) -> str:
    queries = found.figures[0].value or 0
    return f"{count(queries)} queries over time, {count(sum(found.failed))} failed, with how long they took"


def _said(found: Overview, zone: tzinfo, at: int) -> str:
    """What the crosshair says of one column."""
    by_name = {figure.name: figure.values[at] for figure in found.figures}
    begin = (found.grid.start + timedelta(seconds=found.grid.seconds * at)).astimezone(zone)
    end = begin + timedelta(seconds=found.grid.seconds)
    zone_said = zone_name(begin)
    queries, failed = count(by_name["queries"] or 0), count(found.failed[at])
    said = f"{clock(begin)} – {end:%H:%M} {zone_said}|{queries} queries, {failed} failed"
    if by_name["median"] is not None:
        said += f"|median {duration(by_name['median'])} · p95 {duration(by_name['p95'])}"
    return said


def _grid(found: Overview, zone: tzinfo, step: float, top: float, tall: float, inner: float) -> list[Element]:
    marks = [tag("text", "failed", x=LEFT - 8, y=VOLUME + _GAP + FAILED - 2, text_anchor="end")]
    most = max((value or 0 for value in found.figures[0].values), default=0)
    if most:
        marks.append(tag("text", count(most), x=LEFT - 8, y=10, text_anchor="end"))
    for share, label in decades(found.heat_map.bounds_ms):
        y = top + tall * (1 - share)
        if top + 6 < y:
            marks.append(tag("text", label, x=LEFT - 8, y=y + 4, text_anchor="end"))
        marks.append(tag("line", class_="grid", x1=LEFT, x2=LEFT + inner, y1=y, y2=y))
    reached = -100.0
    for share, label in times(found.grid.start, found.grid.end, zone, 9):
        x = LEFT + share * inner
        marks.append(tag("line", class_="grid", x1=x, x2=x, y1=0, y2=top + tall))
        if x - reached > 60 and x < LEFT + inner - 18:
            marks.append(tag("text", label, x=max(x, LEFT + 14), y=top + tall + 16, text_anchor="middle"))
            reached = x
    return marks


def _volume(found: Overview, step: float) -> list[Element]:
    queries = [value or 0 for value in found.figures[0].values]
    most = max(queries, default=0) or 1
    good, bad = [], []
    for at, (number, failed) in enumerate(zip(queries, found.failed, strict=True)):
        x, tall = LEFT + at * step + 0.5, number / most * VOLUME
        red = failed / most * VOLUME
        if number:
            good.append(f"M{x:.1f} {VOLUME}v-{max(tall, 1):.1f}h{step - 1:.1f}v{max(tall, 1):.1f}z")
        if failed:
            bad.append(f"M{x:.1f} {VOLUME}v-{max(red, 0.8):.1f}h{step - 1:.1f}v{max(red, 0.8):.1f}z")
    return [tag("path", class_="fill", d="".join(good)), tag("path", class_="bad", d="".join(bad))]


def _failures(found: Overview, step: float) -> list[Element]:
    """The share that failed, a cell a column, the redder the more."""
    by_level: dict[int, list[str]] = {}
    y = VOLUME + _GAP
    for at, value in enumerate(found.figures[1].values):
        if value is not None and value < 1:
            level = next((n for n, limit in enumerate((0.02, 0.05, 0.1, 0.2), 1) if 1 - value < limit), 5)
            by_level.setdefault(level, []).append(
                f"M{LEFT + at * step + 0.5:.1f} {y}h{step - 1:.1f}v{FAILED}h-{step - 1:.1f}z"
            )
    return [tag("path", class_=f"red{level}", d="".join(cells)) for level, cells in sorted(by_level.items())]


def _cells(found: Overview, step: float, top: float, tall: float) -> list[Element]:
    rows = found.heat_map.queries
    if not rows:
        return []
    most, high = found.heat_map.most, tall / len(rows)
    by_level: dict[int, list[str]] = {}
    for row, counts in enumerate(rows):
        y = top + tall - (row + 1) * high
        for at, number in enumerate(counts):
            if number:
                level = 1 + min(LEVELS - 1, int(math.log1p(number) / math.log1p(most) * (LEVELS - 0.01)))
                by_level.setdefault(level, []).append(
                    f"M{LEFT + at * step:.1f} {y:.1f}h{step:.2f}v{high:.1f}h-{step:.2f}z"
                )
    return [tag("path", class_=f"heat{level}", d="".join(cells)) for level, cells in sorted(by_level.items())]


def _line(
    values: list[float | None], found: Overview, step: float, top: float, tall: float, style: str
) -> list[Element]:
    bounds = found.heat_map.bounds_ms
    if not bounds:
        return []
    path, pen = [], "M"
    for at, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{LEFT + (at + 0.5) * step:.1f} {top + tall * (1 - place(value, bounds)):.1f}")
        pen = "L"
    drawn = "".join(path)
    return [tag("path", class_="halo", d=drawn), tag("path", class_=f"line {style}", d=drawn)]


def legend() -> Element:
    """What its colours mean."""
    shades = [
        tag("rect", class_=f"heat{level}", x=(level - 1) * 9, y=0, width=9, height=8) for level in range(1, LEVELS + 1)
    ]
    ramp = tag(
        "svg", *shades, width=LEVELS * 9, height=8, viewbox=f"0 0 {LEVELS * 9} 8", aria_hidden="true", class_="mini"
    )
    return tag(
        "span",
        tag("span", tag("i", class_="key fill"), "queries"),
        tag("span", tag("i", class_="key bad"), "failed"),
        tag("span", tag("i", class_="key median"), "median"),
        tag("span", tag("i", class_="key p95"), "p95"),
        tag("span", "few ", ramp, " many"),
        tag("span", "drag to zoom, with Shift to compare", class_="script"),
        class_="legend",
    )
