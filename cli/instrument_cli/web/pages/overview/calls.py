"""Tools and GraphQL operations on the overview, by the time spent in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.results import CallFigures
from instrument.analysis.standing_out import stands_out
from instrument.analysis.wording import count, duration, percent, short
from instrument_cli.web.charts import small
from instrument_cli.web.html import Element, tag
from instrument_cli.web.layout import filter_link, panel, table

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_SHOWN = 10
_HEADS = [
    ("By time spent", ""),
    ("Calls", "number"),
    ("Failed", "number"),
    ("p95", "number"),
    ("Of all time", "number opt3"),
    ("", "bar-cell opt2"),
]


def calls(view: View, title: str, filter_name: str, figures: dict[str, CallFigures], path: str) -> Element:
    """Draw those of one kind; `filter_name` is the filter that a name narrows by, `path` the page with all of them."""
    if not figures:
        return panel(title, tag("p", "None in this period.", class_="quiet"), key=path[1:])
    by_time = sorted(figures.items(), key=lambda one: -one[1].busy_ms)
    lines = [_line(view, filter_name, name, one, figures) for name, one in by_time[:_SHOWN]]
    more = tag("a", f"all {count(len(figures))}", href=view.href(path))
    return panel(title, table(_HEADS, lines, caption=title), more=more, key=path[1:])


def _line(view: View, filter_name: str, name: str, one: CallFigures, figures: dict[str, CallFigures]) -> Element:
    everything = sum(each.busy_ms for each in figures.values()) or 1.0
    most = max(each.busy_ms for each in figures.values()) or 1.0
    failed, total = sum(each.failed for each in figures.values()), sum(each.calls for each in figures.values())
    stands = stands_out(one.failed, one.calls, failed - one.failed, total - one.calls)
    return tag(
        "tr",
        tag("td", filter_link(view, filter_name, name, path="/queries"), class_="name"),
        tag("td", short(one.calls), class_="number"),
        tag("td", percent(one.failed / one.calls if one.calls else None), class_="number bad" if stands else "number"),
        tag("td", duration(one.p95_ms), class_="number"),
        tag("td", percent(one.busy_ms / everything), class_="number opt3"),
        tag("td", small.bar(one.busy_ms / most, width=48), class_="bar-cell opt2"),
    )
