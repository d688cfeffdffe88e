"""A line of pieces with a style each: what every drawing is made of, before anybody knows where it will be shown.

Styles stand for a meaning; `page.py` alone knows their colours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.cells import cell_len

from instrument_cli.rendering.text import shortened

Style = Literal["", "strong", "quiet", "good", "slow", "very slow", "bad", "title", "bar"]
Piece = tuple[str, Style]


class Line:
    """Pieces of text, each with its style; immutable, joined with `+`."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: Piece) -> None:
        self.pieces = pieces

    def __add__(self, other: Line) -> Line:
        return Line(*self.pieces, *other.pieces)

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join(text for text, _ in self.pieces)

    @property
    def width(self) -> int:
        """Columns it takes on a terminal."""
        return sum(cell_len(text) for text, _ in self.pieces)

    def padded(self, width: int, *, right: bool = False) -> Line:
        """Fill up to `width` columns with blanks; `right` puts the text at the right edge."""
        blanks = Line((" " * max(width - self.width, 0), ""))
        return blanks + self if right else self + blanks

    def cut(self, width: int) -> Line:
        """Leave out what goes beyond `width` columns."""
        kept: list[Piece] = []
        left = width
        for text, style in self.pieces:
            if cell_len(text) > left:
                return Line(*kept, (shortened(text, left), style)) if left else Line(*kept)
            kept.append((text, style))
            left -= cell_len(text)
        return Line(*kept)


class Command(Line):
    """A line to be copied, which nothing cuts: a terminal that is too narrow wraps it, and copies it as one line."""

    __slots__ = ()

    def cut(self, width: int) -> Line:
        """Keep it whole."""
        return self


def line(text: str = "", style: Style = "") -> Line:
    """A line of one piece."""
    return Line((text, style))


def joined(lines: Iterable[Line], separator: str) -> Line:
    """Join lines into one."""
    pieces: list[Piece] = []
    for each in lines:
        pieces += [(separator, ""), *each.pieces] if pieces else each.pieces
    return Line(*pieces)
