"""Where lines are drawn: a terminal, with colours and a width to keep to, or a pipe, plain and complete."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from instrument_cli.rendering.line import Line, Style

if TYPE_CHECKING:
    from rich.text import Text

DEFAULT_WIDTH = 80
WIDEST = 150
"""Wider than this, a table is harder to read, not easier."""

_COLOURS: dict[Style, str] = {
    "strong": "bold",
    "title": "bold",
    "quiet": "dim",
    "good": "green",
    "slow": "yellow",
    "very slow": "bold yellow",
    "bad": "red",
    "bar": "cyan",
}


_ASCII = str.maketrans("▁▂▃▄▅▆▇█▏▎▍▌▋▊▉░▒▶╵─–…·→✓✗", "__..::##|||||##-~>'--~->+x")


class Page(NamedTuple):
    """Where lines go.

    `width` columns to draw in; `bounded` when a longer line would be broken, and so has to be cut; `coloured` when
    colours are understood although it is no terminal; `zone` is the time zone that times are shown in. `source` and
    `where` are the store and the filters that the command line named: the commands that a page shows repeat them.
    """

    width: int = DEFAULT_WIDTH
    bounded: bool = False
    coloured: bool = False
    zone: tzinfo = UTC
    source: str = ""
    where: tuple[str, ...] = ()


def current_page(zone: tzinfo = UTC, source: str | None = None, where: Iterable[object] = ()) -> Page:
    """The page that standard output is. A terminal has colours; FORCE_COLOR gives them to a pipe, too.

    Nobody is shown the password of a `source`.
    """
    from instrument.reading import named

    width, asked = _columns_told(), (named(source or ""), tuple(map(str, where)))
    if not sys.stdout.isatty():
        return Page(min(width or DEFAULT_WIDTH, WIDEST), False, bool(os.environ.get("FORCE_COLOR")), zone, *asked)
    return Page(min(width or _columns_seen(), WIDEST), True, True, zone, *asked)


def show(lines: Iterable[Line], page: Page) -> None:
    """Print lines to standard output."""
    table = _ASCII if _knows_ascii_only() else {}
    if not (page.bounded or page.coloured):
        sys.stdout.writelines(f"{each.plain.translate(table).rstrip()}\n" for each in lines)
        return
    from rich.console import Console

    console = Console(force_terminal=True, highlight=False, markup=False, emoji=False, width=page.width)
    for each in lines:
        fitting = each.cut(page.width) if page.bounded else each
        console.print(coloured_text(fitting, table), no_wrap=True, overflow="ignore", crop=False)


def coloured_text(each: Line, table: dict[int, int] | None = None) -> Text:
    """A line in the terminal's colours, as rich has it; `table` says which characters to put for others."""
    from rich.text import Text

    pieces = [(text.translate(table or {}), _COLOURS.get(style, "")) for text, style in each.pieces]
    return Text.assemble(*pieces, end="")


def _columns_told() -> int | None:
    text = os.environ.get("COLUMNS", "")
    return max(int(text), 20) if text.isascii() and text.isdigit() and 0 < int(text) < 10_000 else None


def _columns_seen() -> int:
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns or DEFAULT_WIDTH, 20)
    except OSError:
        return DEFAULT_WIDTH


def _knows_ascii_only() -> bool:
    try:
        "▁█–".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return True
    return False
