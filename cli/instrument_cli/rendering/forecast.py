"""Draw a forecast: the days before as a picture, then each day to come with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.analysis.outlook import Outlook
from instrument.analysis.trend_words import valued
from instrument_cli.rendering.charts import bar, sparkline
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import Column, labelled, paragraph, table
from instrument_cli.rendering.text import plain

_PICTURE, _BAR = 56, 20


def draw_forecast(outlooks: Sequence[Outlook], page: Page) -> list[Line]:
    """Forecasts as lines."""
    drawn = [line(" metrics forecast", "title"), line()]
    for one in outlooks:
        drawn += [*_outlook(one, page), line()]
    return drawn[:-1]


def _outlook(one: Outlook, page: Page) -> list[Line]:
    name = one.figure if one.group is None else f"{one.figure}, {plain(one.group)}"
    if not one.days:
        return [line(f" {name}", "title"), *paragraph(one.note, page, 3)]
    width = max(8, min(_PICTURE, page.width - 16))
    past = list(one.history.values())[-width:]
    top = max((day.high for day in one.days), default=0.0) or 1.0
    rows = [
        [
            line(f"{day.day:%a} {day.day.day} {day.day:%b}"),
            line(valued(day.mean, one.unit), "strong"),
            line(f"{valued(day.low, one.unit)} … {valued(day.high, one.unit)}", "quiet"),
            line(bar(max(0.0, day.mean) / top, _BAR), "bar"),
        ]
        for day in one.days
    ]
    if one.total is not None:
        total = one.total
        between = line(f"{valued(total.low, one.unit)} … {valued(total.high, one.unit)}", "quiet")
        rows.append([line(f"{len(one.days)} days"), line(valued(total.mean, one.unit), "strong"), between, line()])
    columns = [Column("expected", 9), Column("95 of 100 between", 17), Column("", _BAR, right=False)]
    before = [labelled("   before", line(sparkline(past, width), "bar"))] if past else []
    return [*table(name, columns, rows, page), *before, *paragraph(f"interval: {one.basis}", page, 3, style="quiet")]
