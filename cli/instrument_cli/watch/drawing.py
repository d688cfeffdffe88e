"""Figures and the heat map as coloured text: two cells of the map in each character, one above the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from rich.style import Style
from rich.text import Text

from instrument.analysis.heat_map import HeatMap
from instrument.analysis.overview import Headline, Overview
from instrument.analysis.results import Limits
from instrument.analysis.wording import dollars, duration, percent, short, threshold
from instrument_cli.rendering.charts import axis, columns, sparkline, time_labels
from instrument_cli.rendering.judging import health, speed
from instrument_cli.rendering.line import Style as Meaning
from instrument_cli.rendering.line import line
from instrument_cli.rendering.page import coloured_text

LABELS = 9
"""Columns before the chart, for its labels."""


class Palette(NamedTuple):
    """Colours of the chart on a dark or a light ground: cells from few to many queries, and what lies over them."""

    ground: str
    cells: tuple[str, ...]
    volume: str
    failed: str
    median: str
    p95: str


DARK = Palette(
    "#10141c",
    ("#16263f", "#1b3a63", "#22548c", "#2c74b3", "#4699d3", "#7cc0ea", "#c4e4f8"),
    "#4699d3",
    "#ff6b6b",
    "#ffffff",
    "#ffb454",
)
LIGHT = Palette(
    "#f5f7fa",
    ("#dce9f5", "#bcd6ee", "#92bce2", "#639dd0", "#3b7cb8", "#215d99", "#123f70"),
    "#3b7cb8",
    "#c92a2a",
    "#101010",
    "#b35900",
)


def shown(figure: Headline, value: float | None) -> str:
    """A figure's value as people read it."""
    if value is None:
        return "–"
    if figure.unit == "share":
        return percent(value)
    if figure.unit == "ms":
        return duration(value)
    return dollars(value) if figure.unit == "usd" else short(value)


def headline(figure: Headline, width: int, limits: Limits) -> Text:
    """One figure on three rows of `width` columns: its value and change, its name, and how it went."""
    style: Meaning = "strong"
    if figure.unit == "ms":
        style = speed(figure.value, limits) or style
    elif figure.unit == "share" and figure.value is not None:
        style = health(figure.value)
    value = line(shown(figure, figure.value), style)
    words, meaning = _change(figure)
    first = value + line(" " + words, meaning) if value.width + len(words) < width else value
    spark = line(_spark(figure, width), "bar")
    rows = (first.cut(width), line(figure.name, "quiet").cut(width), spark.cut(width))
    return Text("\n").join(coloured_text(row.padded(width)) for row in rows)


def _change(figure: Headline) -> tuple[str, Meaning]:
    """The change against the period before, in words, and whether it is welcome."""
    change = figure.change
    if change is None:
        return "", "quiet"
    least = 0.001 if figure.unit == "share" else 0.01
    if abs(change) < least:
        return "=", "quiet"
    size = f"{abs(change) * 100:.1f} pt" if figure.unit == "share" else _ratio(abs(change))
    welcome = figure.better and (change > 0) == (figure.better == "more")
    matters = abs(change) >= (0.01 if figure.unit == "share" else 0.1)
    meaning: Meaning = "quiet" if not figure.better or not matters else "good" if welcome else "bad"
    return ("▲" if change > 0 else "▼") + size, meaning


def _ratio(change: float) -> str:
    return f"{change * 100:.0f} %" if change < 10 else f"{short(change + 1)} times"


def _spark(figure: Headline, width: int) -> str:
    values = figure.values
    if figure.unit in ("queries", "tokens", "usd"):
        # Sums over stretches, so that a column more does not change its height.
        together = max(1, math.ceil(len(values) / max(width - 1, 1)))
        parts = [values[place : place + together] for place in range(0, len(values), together)]
        return columns([math.fsum(value or 0 for value in part) for part in parts], 1)[0] if any(values) else ""
    if figure.unit == "share":
        # From the worst stretch up to all: a rate of 97 % to 99 % would be a row of full columns otherwise.
        least = min((value for value in values if value is not None), default=0.0)
        values = [None if value is None else value - least + 0.02 for value in values]
    return sparkline(values, width - 1)


def chart(overview: Overview, height: int, palette: Palette, zone: tzinfo, *, shades: bool = False) -> Text:
    """Queries and failures over time above the heat map with its median and p95, and the time axis.

    `height` is the number of rows altogether, `shades` draws for a terminal without colours.
    """
    queries, _, median, p95, *_ = overview.figures
    counts = [value or 0 for value in queries.values]
    volume = Style(color=palette.volume)
    rows = [
        _labelled(short(max(counts, default=0)) if place == 0 else "", Text(row, style=volume))
        for place, row in enumerate(columns(counts, 2))
    ]
    failed = Text(columns(overview.failed, 1)[0] if any(overview.failed) else "", style=Style(color=palette.failed))
    rows.append(_labelled("failed" if any(overview.failed) else "", failed))
    left = max(height - len(rows) - 1, 1)
    draw = _shaded if shades else _half_blocks
    rows += draw(overview.heat_map, left, palette, [_over(median, palette.median), _over(p95, palette.p95)])
    begin, end = overview.grid.start.astimezone(zone), overview.grid.end.astimezone(zone)
    width = overview.grid.columns
    key = Text.assemble(("p50", palette.median), " ", ("p95", palette.p95), "  ")
    rows.append(key + coloured_text(axis(time_labels(begin, end, width), width)))
    return Text("\n").join(rows)


def _labelled(label: str, row: Text) -> Text:
    return Text.assemble((label.rjust(LABELS - 1) + " ", "dim"), row)


def _over(figure: Headline, colour: str) -> tuple[Sequence[float | None], str]:
    return figure.values, colour


def _half_blocks(
    heat: HeatMap, height: int, palette: Palette, over: list[tuple[Sequence[float | None], str]]
) -> list[Text]:
    """The map in `height` rows of characters, the longest durations on top."""
    colours = [[_colour(value, heat.most, palette) for value in row] for row in heat.queries]
    for values, colour in over:
        for column, value in enumerate(values):
            if value is not None and (row := _row_of(heat, value)) is not None:
                colours[row][column] = colour
    blank = [palette.ground] * heat.grid.columns
    colours += [blank] * (height * 2 - len(colours))
    drawn = []
    for place in range(height - 1, -1, -1):
        lower, upper = colours[place * 2], colours[place * 2 + 1]
        text = Text()
        for top, bottom in zip(upper, lower, strict=True):
            text.append("▀", Style(color=top, bgcolor=bottom))
        drawn.append(_labelled(_bound(heat, place * 2, 2), text))
    return drawn


def _colour(value: float, most: float, palette: Palette) -> str:
    if not value:
        return palette.ground
    share = math.log1p(value) / math.log1p(most)
    return palette.cells[min(int(share * len(palette.cells)), len(palette.cells) - 1)]


def _row_of(heat: HeatMap, milliseconds: float) -> int | None:
    for row, high in enumerate(heat.bounds_ms[1:]):
        if heat.bounds_ms[row] <= milliseconds < high or row == len(heat.queries) - 1:
            return row
    return None


_SHADES = " ░▒▓█"


def _shaded(heat: HeatMap, height: int, palette: Palette, over: list[tuple[Sequence[float | None], str]]) -> list[Text]:
    """The map in shades: a character for two of its rows, as a terminal without colours shows it."""
    drawn = []
    for place in range(height - 1, -1, -1):
        rows = heat.queries[place * 2 : place * 2 + 2]
        sums = [math.fsum(cells) for cells in zip(*rows, strict=True)] or [0.0] * heat.grid.columns
        most = math.log1p(max(heat.most, 1))
        levels = [math.ceil(math.log1p(value) / most * (len(_SHADES) - 1) - 1e-9) for value in sums]
        text = "".join(_SHADES[min(level, len(_SHADES) - 1)] for level in levels)
        drawn.append(_labelled(_bound(heat, place * 2, 2), Text(text)))
    return drawn


def _bound(heat: HeatMap, row: int, together: int) -> str:
    """The label of a row: the shortest duration in it, every other row and where there is any."""
    if row >= len(heat.queries) or row // together % 2:
        return ""
    low = heat.bounds_ms[row]
    rounded = float(f"{low:.2g}")
    return threshold(rounded) if rounded < 60_000 else duration(rounded)
