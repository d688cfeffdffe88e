"""Tables without lines: aligned columns under quiet heads, the first of them headed by the table's title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from instrument_cli.rendering.line import Line, joined, line
from instrument_cli.rendering.page import Page

INDENT = 3


class Column(NamedTuple):
    """A column: its head, the least width it takes, and whether its cells stand at its right edge."""

    head: str
    width: int = 0
    right: bool = True


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Line]], page: Page) -> list[Line]:
    """A table over the page's width; a row's first cell gives way where there is no room, and takes what is left."""
    widths = [
        max(column.width, len(column.head), *(row[place].width for row in rows))
        for place, column in enumerate(columns, start=1)
    ]
    names = max([len(title) - INDENT + 1, *(row[0].width for row in rows)])
    room = page.width - 1 - INDENT - sum(widths) - 2 * len(widths)
    first = max(room, 8) if page.bounded else max(room, names)
    heads = [
        line(column.head, "quiet").padded(width, right=column.right)
        for column, width in zip(columns, widths, strict=True)
    ]
    drawn = [joined([line(f" {title}", "title").padded(first + INDENT), *heads], "  ")]
    for row in rows:
        cells = [
            cell.padded(width, right=column.right) for cell, column, width in zip(row[1:], columns, widths, strict=True)
        ]
        drawn.append(line(" " * INDENT) + joined([row[0].cut(first).padded(first), *cells], "  "))
    return drawn


def flowing(title: str, items: Sequence[Line], page: Page, *, separator: str = "   ") -> list[Line]:
    """Items one after the other beside a title; on a bounded page, over as many lines as they need."""
    label = 14
    lines = [line(f" {title}", "title").padded(label)]
    for item in items:
        last = lines[-1]
        if last.width <= label:
            lines[-1] = last + item
        elif page.bounded and last.width + len(separator) + item.width > page.width - 1:
            lines.append(line(" " * label) + item)
        else:
            lines[-1] = joined([last, item], separator)
    return lines
