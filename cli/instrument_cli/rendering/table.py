"""Tables without lines: aligned columns under quiet heads, the first of them headed by the table's title."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.text import plain

INDENT = 3
LABEL = 14
"""Columns of a label, such as `Entities`, that stands before what it names."""

_LEAST_NAME, _SHORTEST_NAME = 14, 8


class Column(NamedTuple):
    """A column: its head, the least width it takes, and whether its cells stand at its right edge."""

    head: str
    width: int = 0
    right: bool = True


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Line]], page: Page) -> list[Line]:
    """A table over the page's width; a row's first cell gives way where there is no room, and takes what is left.

    Columns that do not fit a bounded page beside each other stand below one another, each group with the names again.
    """
    widths = [
        max(column.width, len(column.head), *(row[place].width for row in rows))
        for place, column in enumerate(columns, start=1)
    ]
    names = max([len(title) - INDENT + 1, *(row[0].width for row in rows)])
    groups = _groups(widths, max(min(names, _LEAST_NAME), _SHORTEST_NAME), page)
    first = min(_name_width([widths[place] for place in places], names, page) for places in groups)
    drawn: list[Line] = []
    for places in groups:
        of_group = [[row[0], *(row[place + 1] for place in places)] for row in rows]
        shown, wide = [columns[place] for place in places], [widths[place] for place in places]
        drawn += _block(f" {title}" if not drawn else "", shown, wide, first, of_group)
    return drawn


def _name_width(widths: Sequence[int], names: int, page: Page) -> int:
    """Columns for the names: what the others leave of the page, and the whole of each name where nothing is cut."""
    room = page.width - 1 - INDENT - sum(widths) - 2 * len(widths)
    return max(room, _SHORTEST_NAME) if page.bounded else max(room, names)


def _groups(widths: Sequence[int], name: int, page: Page) -> list[list[int]]:
    """The places of the columns, in groups that fit the page beside a name."""
    groups: list[list[int]] = [[]]
    left = room = page.width - 1 - INDENT - name
    for place, width in enumerate(widths):
        left -= width + 2
        if page.bounded and left < 0 and groups[-1]:
            groups.append([])
            left = room - width - 2
        groups[-1].append(place)
    return groups


def _block(
    title: str, columns: Sequence[Column], widths: Sequence[int], first: int, rows: Sequence[Sequence[Line]]
) -> list[Line]:
    heads = [
        line(column.head, "quiet").padded(width, right=column.right)
        for column, width in zip(columns, widths, strict=True)
    ]
    above = [line(title, "title")] if len(title) > first + INDENT else []
    drawn = [*above, joined([line("" if above else title, "title").padded(first + INDENT), *heads], "  ")]
    for row in rows:
        cells = [
            cell.padded(width, right=column.right) for cell, column, width in zip(row[1:], columns, widths, strict=True)
        ]
        drawn.append(line(" " * INDENT) + joined([row[0].cut(first).padded(first), *cells], "  "))
    return drawn


def flowing(title: str, items: Sequence[Line], page: Page, *, separator: str = "   ") -> list[Line]:
    """Items one after the other beside a title; on a bounded page, over as many lines as they need."""
    label = f" {title}"
    return [
        line(label if not place else "", "title").padded(LABEL) + each
        for place, each in enumerate(beside(items, page, LABEL, separator))
    ]


def paragraph(text: str, page: Page, indent: int = 1, style: Style = "") -> list[Line]:
    """A text after an indent; on a bounded page, over as many lines as it needs."""
    shown = plain(text)
    lines = textwrap.wrap(shown, max(page.width - indent - 1, 10), break_on_hyphens=False) if page.bounded else [shown]
    return [line(" " * indent + part, style) for part in lines]


def beside(items: Sequence[Line], page: Page, indent: int, separator: str = "     ") -> list[Line]:
    """Items as many to a line as a bounded page has room for after an indent."""
    room = page.width - indent - 1
    lines: list[Line] = []
    for item in items:
        together = joined([lines[-1], item], separator) if lines else item
        if page.bounded and together.width > room:
            lines += _broken(item, room)
        else:
            lines[-1:] = [together]
    return lines


def _broken(item: Line, width: int) -> list[Line]:
    """An item in lines of at most `width` columns, parted between its words."""
    if item.width <= width:
        return [item]
    lines = [line()]
    for text, style in item.pieces:
        for place, word in enumerate(text.split(" ")):
            piece = line(word, style)
            longer = lines[-1] + (line(" ") + piece if place and lines[-1].width else piece)
            if longer.width > width and lines[-1].width:
                lines.append(piece.cut(width))
            else:
                lines[-1] = longer.cut(width)
    return [each for each in lines if each.width]


def fact(label: str, text: str, page: Page, style: Style = "") -> list[Line]:
    """A labelled text, over as many lines as it needs; none for an empty one."""
    if not text:
        return []
    shown = plain(text)
    lines = textwrap.wrap(shown, max(page.width - LABEL - 1, 20)) if page.bounded else [shown]
    return [
        line((f" {label}" if not place else "").ljust(LABEL), "title") + line(part, style)
        for place, part in enumerate(lines or [""])
    ]


def labelled(label: str, content: Line) -> Line:
    """A line with its label before it; a label that begins with two blanks is a lesser one."""
    return line(label, "quiet" if label.startswith("  ") else "title").padded(LABEL) + content


def pairs(figures: Sequence[tuple[str, Line]], page: Page, indent: int) -> list[Line]:
    """Names over their values, as many beside each other as a bounded page has room for."""
    rows: list[list[tuple[str, Line, int]]] = [[]]
    left = room = page.width - 1 - indent
    for name, value in figures:
        width = max(len(name), value.width)
        if page.bounded and width > left and rows[-1]:
            rows.append([])
            left = room
        rows[-1].append((name, value, width))
        left -= width + 3
    return [
        joined(cells, "   ")
        for row in rows
        for cells in (
            [line(name, "quiet").padded(width) for name, _, width in row],
            [value.padded(width) for _, value, width in row],
        )
    ]
