"""The page of the list of queries, put together of its parts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from instrument.analysis.listing import Page
from instrument.analysis.wording import count, hours, percent
from instrument_cli.web import rows
from instrument_cli.web.charts import axes, small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.html import Element, tag, text
from instrument_cli.web.layout import chart_link, empty, filter_link, search, sort_link, table
from instrument_cli.web.pages import Drawn
from instrument_cli.web.pages.queries.facets import facets
from instrument_cli.web.pages.queries.found import Found, found

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View


def draw(site: Site, view: View) -> Drawn:
    """Draw the list."""
    known = found(site, view)
    live = {
        "facets": facets(view, known.facets),
        "matches": _matches(view, known),
        "spent": _spent(view, known),
        "rows": _rows(view, known),
    }
    new = tag("a", "", href=view.href(after=None, before=None), id="new", class_="chip new", hidden=True)
    listed = [search(view, "inputs, or an id"), live["matches"], live["spent"], new, live["rows"]]
    body = tag("div", live["facets"], tag("div", *listed, class_="matches"), class_="list")
    charts = {"matches": Chart("Queries over time", _over_time(known), (("fill", "queries"), ("bad", "failed")))}
    return Drawn("Queries", body, known.period, live, charts=charts)


def _matches(view: View, known: Found) -> Element:
    shape = known.ended
    total, failed = sum(shape.queries), sum(shape.failed)
    words = tag(
        "p",
        tag("strong", count(total), class_="strong"),
        " queries" if total != 1 else " query",
        tag("span", f", {count(failed)} failed", class_="bad") if failed else None,
        tag("span", f", a column is {hours(shape.every_seconds / 3600)}", class_="quiet"),
        chart_link(view, "matches"),
    )
    return tag("div", _over_time(known), words, id="f-matches", data_key="matches", class_="over-time")


def _over_time(known: Found) -> Element:
    shape = known.ended
    end = shape.start + timedelta(seconds=shape.every_seconds * len(shape.queries))
    return small.columns(
        shape.queries,
        width=1000,
        height=54,
        labels=axes.times(shape.start, end, known.period.zone, 8),
        failed=shape.failed,
        title=f"{count(sum(shape.queries))} queries over time, {count(sum(shape.failed))} failed",
    )


_NAMED = 8
"""Names among those that took the time of the slowest queries."""

_FILTERS = {"tool": "tool", "graphql": "operation"}
"""The filter that a name of each kind narrows by."""


def _spent(view: View, known: Found) -> Element:
    """Where the time of the queries on the page went; nothing unless they are the slowest."""
    content: list[Element] = []
    if known.spent:
        number = len(known.page.lines)
        said = f"Where the time of these {count(number)} went" if number > 1 else "Where its time went"
        lines = [
            tag(
                "li",
                tag("i", class_=f"key {one.kind or 'outside'}"),
                filter_link(view, _FILTERS[one.kind], one.name) if one.kind in _FILTERS else _outside(one.name),
                tag("strong", percent(one.share)),
                title=f"in {count(one.queries)} of {count(number)}",
            )
            for one in known.spent[:_NAMED]
        ]
        rest = sum(one.share for one in known.spent[_NAMED:])
        lines += [tag("li", f"others {percent(rest)}", class_="quiet")] if rest else []
        content = [tag("h2", said), tag("ul", *lines)]
    return tag("section", *content, id="f-spent", data_key="spent", class_="spent")


def _outside(name: str) -> Element:
    return tag("span", text(name) if name else "outside any call")


def _rows(view: View, known: Found) -> Element:
    if not known.page.lines:
        clear = tag("a", "Show every query of the period", href=view.href(where=None, q=None, after=None, before=None))
        alone = "The period is over." if view.until else "New queries show up here by themselves."
        words = [clear] if view.where or view.get("q") else [alone]
        return tag("div", empty("No query matches", *words), id="f-rows", data_key="rows")
    lines = [rows.row(view, each, known.period.zone) for each in known.page.lines]
    head = [(_head(view, name), style) for name, style in rows.HEADS]
    body = table(head, lines, class_="queries", caption="Queries")
    return tag(
        "div",
        body,
        _pager(view, known.page),
        id="f-rows",
        data_key="rows",
        data_first="yes"
        if not view.get("after") and not view.get("before") and view.get("sort", "time") == "time"
        else None,
    )


_SORTED_BY = {"Time": "time", "Duration": "duration", "Tokens": "tokens", "Cost": "cost"}


def _head(view: View, name: str) -> str:
    by = _SORTED_BY.get(name)
    return name if by is None else sort_link(view, name, by, default="time")


def _pager(view: View, page: Page) -> Element:
    newer = older = None
    if page.first and (view.get("after") or (view.get("before") and page.is_more)):
        newer = tag("a", "← Previous", href=view.href(before=page.first.text, after=None), rel="prev")
    if page.last and (page.is_more or view.get("before")):
        older = tag("a", "Next →", href=view.href(after=page.last.text, before=None), rel="next")
    first = tag("a", "First", href=view.href(after=None, before=None)) if newer else None
    hint = tag(
        "span",
        tag("kbd", "J"),
        " ",
        tag("kbd", "K"),
        " move, ",
        tag("kbd", "Enter"),
        " peeks, ",
        tag("kbd", "O"),
        " opens",
        class_="quiet script",
    )
    return tag("nav", first, newer, older, hint, class_="pager", aria_label="Pages of queries")
