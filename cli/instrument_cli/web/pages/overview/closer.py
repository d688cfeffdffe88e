"""A way to look closer, where the queries fill a small part of the period: of a store that has just begun, say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from instrument.analysis.front_page import FrontPage
from instrument_cli.web.html import Element, tag
from instrument_cli.web.view import PERIODS

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_SMALL = 1 / 8
"""The share of the period within which all queries lie."""


def closer(view: View, known: FrontPage) -> Element | None:
    """A link to the part of the period that has all the queries; nothing where they fill more of it."""
    grid = known.overview.grid
    filled = [place for place, number in enumerate(known.overview.figures[0].values) if number]
    if not filled or (filled[-1] + 1 - filled[0]) > grid.columns * _SMALL:
        return None
    begin = grid.start + timedelta(seconds=grid.seconds * filled[0])
    end = grid.start + timedelta(seconds=grid.seconds * (filled[-1] + 1))
    hours = (known.period.until - begin).total_seconds() / 3600
    name = next((name for name, long in PERIODS.items() if hours <= long), "")
    if not view.until and name and PERIODS[name] < (known.period.hours or 0):
        return tag("a", f"all of them within the last {name}", href=view.href(period=name, since=None))
    if end - begin < timedelta(minutes=1):
        return None
    href = view.href(period=None, since=begin.isoformat(), until=min(end, known.period.until).isoformat())
    return tag("a", "all of them within a small part: look closer", href=href)
