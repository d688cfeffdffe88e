"""A chart as a file of its own: SVG with its style inside, light or dark as its reader is."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from instrument_cli.web.html import Element, tag

WIDTH = 1000
"""Of a chart that stretches."""

_EDGE, _HEAD, _LEGEND = 16, 56, 22
_STYLE = """
text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
.paper { fill: var(--panel); } svg text.title { fill: var(--ink); font-size: 15px; font-weight: 650; }
svg text.name { fill: var(--ink); font-size: 12px; } svg text.took, svg text.words { font-size: 12px; }
rect.stroke { fill: var(--accent); } .cross, .brush { visibility: hidden; }
rect.over1 { fill: var(--tool); stroke: none; } rect.over2 { fill: var(--warm); stroke: none; }
rect.over3 { fill: var(--model); stroke: none; } rect.over4 { fill: var(--graphql); stroke: none; }
"""


class Chart(NamedTuple):
    """A picture (an `svg` element), what it shows, and what its colours mean: pairs of a class and words."""

    title: str
    picture: Element
    legend: tuple[tuple[str, str], ...] = ()


def written(chart: Chart, period: str) -> str:
    """The chart as SVG, with its title, the period that it covers and what its colours mean above it."""
    wide, tall = _size(chart.picture)
    legend = _legend(chart.legend)
    top = _HEAD + (_LEGEND if legend else 0)
    whole, high = wide + 2 * _EDGE, tall + top + _EDGE
    drawn = tag(
        "svg",
        Element(f"<style>{style()}</style>"),
        tag("rect", class_="paper", width=whole, height=high),
        tag("text", chart.title, x=_EDGE, y=26, class_="title"),
        tag("text", period, x=_EDGE, y=44, class_="words"),
        *legend,
        tag("svg", chart.picture, x=_EDGE, y=top, width=wide, height=tall),
        xmlns="http://www.w3.org/2000/svg",
        width=whole,
        height=high,
        viewbox=f"0 0 {whole:g} {high:g}",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawn}\n'


@lru_cache(maxsize=1)
def style() -> str:
    """The colours and the rules for charts out of the pages' style sheet."""
    sheet = files("instrument_cli.web").joinpath("static", "app.css").read_text("utf-8")
    colours = sheet[: sheet.index("/* a theme by hand")]
    rules = sheet[sheet.index("/* charts */") : sheet.index("/* end of charts */")]
    return colours + rules + _STYLE


@lru_cache(maxsize=1)
def policy() -> str:
    """The Content Security Policy of such a file: nothing but its own style."""
    digest = b64encode(sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


def _size(picture: Element) -> tuple[float, float]:
    """How large a picture is: as its box says, or of this width where it stretches."""
    start = picture[: picture.index(">")]
    if box := re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', start):
        return float(box[1]), float(box[2])
    height = re.search(r' height="([\d.]+)"', start)
    assert height, start
    return WIDTH, float(height[1])


def _legend(keys: tuple[tuple[str, str], ...]) -> list[Element]:
    marks, x = [], float(_EDGE)
    for style_, words in keys:
        marks.append(tag("rect", class_=style_, x=x, y=_HEAD - 3, width=10, height=10))
        marks.append(tag("text", words, x=x + 15, y=_HEAD + 6, class_="words"))
        x += 36 + 6.6 * len(words)
    return marks
