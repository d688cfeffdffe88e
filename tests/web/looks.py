"""Pictures of pages, small enough to keep, and whether two of them look alike.

A picture is kept at an eighth of its size. Words blur to grey there, so that other digits look alike, while a panel
that is missing, moved or of another colour does not. A block looks alike where its colour lies among
those at and beside its place in the other picture, or nearly so: a shift by a few pixels is no difference.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

HALF, BLOCK = 0.5, 4
"""The browser draws at half the size; that is scaled down by this again."""

TALLEST = 1800
"""Pixels of a page that are looked at: what follows repeats rows."""

TOLERANCE = 26
"""How far a colour may lie off, of 255."""

MOST_DIFFERENT = 0.003
"""The share of blocks that may differ: a word more or less."""

_COLOURS = 96
_FONT = "DejaVu Sans"
_STEADY = f"""* {{ font-family: "{_FONT}", sans-serif !important; animation: none !important; }}
    .side {{ height: auto !important; }} .side, .top, .facets {{ position: static !important; }}"""
_HAS_FONT = f"""() => {{
    const pen = document.createElement("canvas").getContext("2d");
    const width = (font) => {{ pen.font = `40px ${{font}}`; return pen.measureText("mmmmiiii wide").width; }};
    return width('"{_FONT}", monospace') !== width("monospace") || width('"{_FONT}", serif') !== width("serif");
}}"""
_OF_THE_MACHINE = """() => {
    const own = document.querySelectorAll(".stacks td.prose, .panel > .head .hint");
    for (const each of own) each.textContent = "said here";
}"""


class Difference(NamedTuple):
    """How much of a picture differs, and where: white where it does."""

    share: float
    place: Image.Image


def has_font(page: Any) -> bool:
    """Whether the machine has the font that the kept pictures are drawn with."""
    return bool(page.evaluate(_HAS_FONT))


def steadied(page: Any, name: str) -> None:
    """Take out of an open page what is another machine's: fonts, motion, paths and ages in Alerts and Store health."""
    page.add_style_tag(content=_STEADY)
    if name in ("alerts", "health"):
        page.evaluate(_OF_THE_MACHINE)


def taken(page: Any) -> bytes:
    """A picture of an open page, at half its size, as PNG."""
    width = page.viewport_size["width"]
    tall = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": width, "height": tall})
    picture: bytes = page.screenshot()
    return picture


def reduced(png: bytes) -> Image.Image:
    """The picture as it is kept."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    size = max(1, whole.width // BLOCK), max(1, whole.height // BLOCK)
    return whole.resize(size, Image.Resampling.BOX).quantize(_COLOURS, dither=Image.Dither.NONE)


def kept(path: Path) -> Image.Image:
    """A picture that was kept."""
    return Image.open(path)


def difference(now: Image.Image, before: Image.Image) -> Difference:
    """Compare two reduced pictures; where one is larger, what it has more differs."""
    first, second = (np.asarray(each.convert("RGB"), dtype=np.int16) for each in (now, before))
    tall, wide = (max(first.shape[axis], second.shape[axis]) for axis in (0, 1))
    common = tuple(min(first.shape[axis], second.shape[axis]) for axis in (0, 1))
    off = np.full((tall, wide), 255, dtype=np.int16)
    one, other = (each[: common[0], : common[1]] for each in (first, second))
    off[: common[0], : common[1]] = np.maximum(_distance(one, other), _distance(other, one))
    different = off > TOLERANCE
    return Difference(float(different.mean()), Image.fromarray(different))


def _distance(one: Any, other: Any) -> Any:
    """For each block of one, how far its colour lies outside those at and beside its place in the other."""
    padded = np.pad(other, ((1, 1), (1, 1), (0, 0)), mode="edge")
    tall, wide = one.shape[:2]
    beside = np.stack([padded[y : y + tall, x : x + wide] for y in range(3) for x in range(3)])
    outside = np.maximum(one - beside.max(axis=0), beside.min(axis=0) - one)
    return np.maximum(outside, 0).max(axis=2)
