"""Tables without lines: aligned columns under quiet heads, the first of them headed by the table's title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from instrument_cli.rendering.line import Line, joined, line
from instrument_cli.rendering.page import Page

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
    drawn: list[Line] = []
    for places in _groups(widths, max(min(names, _LEAST_NAME), _SHORTEST_NAME), page):
        of_group = [[row[0], *(row[place + 1] for place in places)] for row in rows]
        shown, wide = [columns[place] for place in places], [widths[place] for place in places]
        drawn += _block(f" {title}" if not drawn else "", shown, wide, names, of_group, page)
    return drawn


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
    title: str, columns: Sequence[Column], widths: Sequence[int], names: int, rows: Sequence[Sequence[Line]], page: Page
) -> list[Line]:
    room = page.width - 1 - INDENT - sum(widths) - 2 * len(widths)
    first = max(room, _SHORTEST_NAME) if page.bounded else max(room, names)
    heads = [
        line(column.head, "quiet").padded(width, right=column.right)
        for column, width in zip(columns, widths, strict=True)
    ]
    drawn = [joined([line(title, "title").padded(first + INDENT), *heads], "  ")]
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


def beside(items: Sequence[Line], page: Page, indent: int, separator: str = "     ") -> list[Line]:
    """Items as many to a line as a bounded page has room for after an indent."""
    lines: list[Line] = []
    for item in items:
        together = joined([lines[-1], item], separator) if lines else item
        if lines and page.bounded and together.width > page.width - indent - 1:
            lines.append(item)
        else:
            lines[-1:] = [together]
    return lines


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
