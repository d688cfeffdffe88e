"""A chart that stretches sideways only: its marks fill the width, while its height and its words keep their size."""

from __future__ import annotations

from collections.abc import Sequence

from instrument_cli.web.html import Child, Element, tag

FOOT = 17
"""Height of the labels below the marks."""

_MANY = 5
"""Of more labels than these, every second one gives way on a phone."""


def stretched(
    marks: Sequence[Child],
    labels: Sequence[tuple[float, str]] = (),
    *,
    width: float,
    height: int,
    title: str = "",
    corner: str = "",
) -> Element:
    """Draw marks of a picture of `width` and `height`, with labels below, each at its share of the width.

    `corner` stands at the top left: what the highest mark means. Without a title the chart is an ornament.
    """
    picture = tag(
        "svg",
        *marks,
        viewbox=f"0 0 {width:g} {height}",
        preserveaspectratio="none",
        width="100%",
        height=height,
        class_="marks",
    )
    said = [_label(place, share, label, height, len(labels)) for place, (share, label) in enumerate(labels)]
    return tag(
        "svg",
        tag("title", title) if title else None,
        picture,
        *said,
        tag("text", corner, x=2, y=10, class_="corner") if corner else None,
        width="100%",
        height=height + (FOOT if labels else 1),
        class_="stretched",
        role="img" if title else None,
        aria_hidden=None if title else "true",
        aria_label=title or None,
    )


def _label(place: int, share: float, label: str, height: int, number: int) -> Element:
    anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
    style = "odd" if number > _MANY and place % 2 else None
    return tag("text", label, x=f"{share * 100:.2f}%", y=height + 13, text_anchor=anchor, class_=style)
