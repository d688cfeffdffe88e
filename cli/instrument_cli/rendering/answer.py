"""What a statement in SQL answers, as a table, Markdown, JSON or CSV."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from rich.cells import cell_len

from instrument.interchange import csv_table
from instrument.rows.decoding import UnreadableError, decoded_freely
from instrument.store.own_sql import Answer
from instrument.store.public_tables import TABLES
from instrument_cli.rendering.json_output import show_csv, show_pieces
from instrument_cli.rendering.line import Line, joined, line
from instrument_cli.rendering.page import Page, current_page, show
from instrument_cli.rendering.table import Column, table
from instrument_cli.rendering.text import harmless_json, plain, shortened

MOST_ROWS = 500
"""A terminal is shown no more rows than this."""

_WIDEST_CELL = 60
_NARROWEST_CELL = 6
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL")


def show_answer(answer: Answer, format: str) -> None:
    """Print an answer in a format; a terminal gets as much of it as fits."""
    if format == "json":
        show_pieces(map(harmless_json, _json(answer)))
    elif format == "csv":
        show_csv(csv_table.document(answer.names, (map(_plainer, row) for row in answer.rows())))
    elif format == "markdown":
        sys.stdout.writelines(f"{each}\n" for each in _markdown(answer))
    else:
        page = current_page()
        show(_drawn(answer, page), page)


def show_columns() -> None:
    """Print the tables and their columns."""
    page = current_page()
    drawn: list[Line] = []
    for name, columns in TABLES.items():
        rows = [[line(each.name, "strong"), line(each.type, "quiet"), line(each.meaning)] for each in columns]
        width = max(page.width - 40, 20) if page.bounded else max(len(each.meaning) for each in columns)
        heads = [Column("type", 9, right=False), Column("meaning", width, right=False)]
        drawn += [*table(name, heads, rows, page), line()]
    show(
        [*drawn, line(" An attribute is attributes ->> 'NAME', a metric (metrics ->> 'NAME')::DOUBLE.", "quiet")], page
    )


# -- for people ------------------------------------------------------------------------------------------------------


def _drawn(answer: Answer, page: Page) -> list[Line]:
    rows = answer.rows()
    shown = list(itertools.islice(rows, MOST_ROWS) if page.bounded else rows)
    hidden = page.bounded and next(rows, None) is not None
    cells = [[_shown(value, page) for value in row] for row in shown]
    names = [plain(name) for name in answer.names]
    natural = [max([cell_len(name), *(cell_len(row[place]) for row in cells)]) for place, name in enumerate(names)]
    widths = _fitted(natural, page.width - 1) if page.bounded else natural
    right = [kind.startswith(_NUMBERS) or "INT" in kind for kind in answer.types]

    def drawn(texts: list[str], style: Any = "") -> Line:
        pieces = zip(texts, widths, right, strict=True)
        return joined([line(shortened(text, width), style).padded(width, right=at) for text, width, at in pieces], "  ")

    lines = [drawn(names, "title"), *(drawn(row) for row in cells)]
    if hidden:
        lines.append(
            line(f"… and more: add a LIMIT or an aggregate, or send it to a file (the first {MOST_ROWS})", "quiet")
        )
    return lines


def _fitted(natural: list[int], room: int) -> list[int]:
    """Widths that fit into `room` columns: the widest give way first."""
    widths = natural.copy()
    spare = room - 2 * (len(widths) - 1)
    while sum(widths) > spare and max(widths) > _NARROWEST_CELL:
        widest = max(widths)
        next_widest = max((width for width in widths if width < widest), default=_NARROWEST_CELL)
        most = [place for place, width in enumerate(widths) if width == widest]
        cut = min(widest - max(next_widest, _NARROWEST_CELL), -(-(sum(widths) - spare) // len(most)))
        for place in most:
            widths[place] -= max(cut, 1)
    return widths


def _shown(value: Any, page: Page) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if page.bounded else repr(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}" + (f".{value:%f}" if value.microsecond and not page.bounded else "")
    if isinstance(value, (list, dict, tuple)):
        return plain(msgspec.json.encode(value, enc_hook=str).decode())
    return plain(str(value))


def _markdown(answer: Answer) -> Iterator[str]:
    page = Page()
    yield _row(plain(name) for name in answer.names)
    yield _row("---:" if "INT" in kind or kind.startswith(_NUMBERS) else "---" for kind in answer.types)
    for row in answer.rows():
        yield _row(_shown(value, page) for value in row)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace(chr(92), chr(92) * 2).replace('|', chr(92) + '|') for cell in cells)} |"


# -- for programs ----------------------------------------------------------------------------------------------------


def _json(answer: Answer) -> Iterator[bytes]:
    of_json = [kind == "JSON" for kind in answer.types]
    opening = b"[\n"
    for row in answer.rows():
        values = [_raw(value) if raw else _plainer(value) for value, raw in zip(row, of_json, strict=True)]
        yield opening + msgspec.json.encode(dict(zip(answer.names, values, strict=True)), enc_hook=str)
        opening = b",\n"
    yield b"[]\n" if opening == b"[\n" else b"\n]\n"


def _raw(text: str | None) -> Any:
    try:
        return None if text is None else decoded_freely(text.replace("NaN", "null"))
    except UnreadableError:  # damaged, or nested too deep: shown as the text that it is
        return text


def _plainer(value: Any) -> Any:
    """A value that JSON and CSV know: times as records have them, numbers as numbers."""
    if isinstance(value, datetime):
        return csv_table.time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 64:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plainer(each) for key, each in value.items()}
    return [_plainer(each) for each in value] if isinstance(value, (list, tuple)) else value
