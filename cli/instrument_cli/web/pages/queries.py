"""The list of queries: facets, search, when the matches were, and pages that stay where they are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis import listing
from instrument.analysis.facets import Facet, facets
from instrument.analysis.filters import Filter, parsed
from instrument.analysis.listing import Key, Page
from instrument.analysis.periods import Period
from instrument.analysis.timeline import Ended, ended
from instrument.analysis.wording import count, hours, short
from instrument.reading import Store
from instrument_cli.web import rows
from instrument_cli.web.charts import axes, small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import chart_link, empty, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

LIMIT = 50

_TITLES = {
    "outcome": "Outcome",
    "duration": "Took longer than",
    "agent": "Agent",
    "error": "Error",
    "model": "Model",
    "host": "Host",
    "tool": "Tool",
}


class _Found(NamedTuple):
    period: Period
    page: Page
    ended: Ended
    facets: list[Facet]


def draw(site: Site, view: View) -> Drawn:
    """Draw the list."""
    figures = figures_of(site)
    sort = view.get("sort", "time")
    searched = tuple(where_of(view))
    asked = view.moved(where=searched)
    keys = view.get("after"), view.get("before")
    page: tuple[Period, Page] = figures.of(
        asked, "queries", lambda store: _page(store, searched, sort, keys), sort, keys
    )
    shape: Ended = figures.of(asked, "queries over time", lambda store: _ended(store, searched))
    opened = tuple(view.all("facet"))
    counted: list[Facet] = figures.of(
        asked, "facets", lambda store: facets(store.tables, parsed(searched), opened), opened
    )
    found = _Found(*page, shape, counted)
    live = {"facets": _facets(view, found), "matches": _matches(view, found), "rows": _rows(view, found, sort)}
    body = tag(
        "div",
        live["facets"],
        tag(
            "div",
            _search(view),
            live["matches"],
            tag("a", "", href=view.href(after=None, before=None), id="new", class_="chip new", hidden=True),
            live["rows"],
            class_="matches",
        ),
        class_="list",
    )
    charts = {"matches": Chart("Queries over time", _over_time(found), (("fill", "queries"), ("bad", "failed")))}
    return Drawn("Queries", body, found.period, live, charts=charts)


def where_of(view: View) -> list[str]:
    """The filters of a view and its search as filters: a text that the input, the error or the id has."""
    words = view.get("q").strip()
    return [*view.where, *([str(Filter("input", "~", words))] if words else [])]


def _page(store: Store, where: tuple[str, ...], sort: str, keys: tuple[str, str]) -> tuple[Period, Page]:
    after, before = (Key.parsed(each) if each else None for each in keys)
    return store.period, listing.page(store.picked(where), sort, LIMIT, after=after, before=before)


def _ended(store: Store, where: tuple[str, ...]) -> Ended:
    period = store.period
    return ended(store.picked(where), period.since or period.until, period.until, 96)


def _search(view: View) -> Element:
    kept = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in (
            ("period", view.period if not view.since else ""),
            ("since", view.since),
            ("until", view.until),
            ("tz", view.tz),
            *(("where", each) for each in view.where),
            ("sort", view.get("sort")),
        )
        if value
    ]
    field = tag(
        "input",
        type="search",
        name="q",
        value=view.get("q"),
        placeholder="Search inputs",
        aria_label="Search inputs",
        id="search",
        autocomplete="off",
        spellcheck="false",
    )
    return tag(
        "form",
        *kept,
        field,
        tag("kbd", "/", title="Press / to search"),
        tag("button", "Search", type="submit"),
        action="/queries",
        method="get",
        class_="search",
        role="search",
    )


def _matches(view: View, found: _Found) -> Element:
    shape = found.ended
    total, failed = sum(shape.queries), sum(shape.failed)
    words = tag(
        "p",
        tag("strong", count(total), class_="strong"),
        " queries" if total != 1 else " query",
        tag("span", f", {count(failed)} failed", class_="bad") if failed else None,
        tag("span", f", a column is {hours(shape.every_seconds / 3600)}", class_="quiet"),
        chart_link(view, "matches"),
    )
    return tag("div", _over_time(found), words, id="f-matches", data_key="matches", class_="over-time")


def _over_time(found: _Found) -> Element:
    shape = found.ended
    end = shape.start + timedelta(seconds=shape.every_seconds * len(shape.queries))
    return small.columns(
        shape.queries,
        width=1000,
        height=54,
        labels=axes.times(shape.start, end, found.period.zone, 8),
        failed=shape.failed,
        title=f"{count(sum(shape.queries))} queries over time, {count(sum(shape.failed))} failed",
    )


def _rows(view: View, found: _Found, sort: str) -> Element:
    if not found.page.lines:
        clear = tag("a", "Show every query of the period", href=view.href(where=None, q=None, after=None, before=None))
        alone = "The period is over." if view.until else "New queries show up here by themselves."
        words = [clear] if view.where or view.get("q") else [alone]
        return tag("div", empty("No query matches", *words), id="f-rows", data_key="rows")
    lines = [rows.row(view, each, found.period.zone) for each in found.page.lines]
    head = [(_head(view, name, sort), style) for name, style in rows.HEADS]
    body = table(head, lines, class_="queries", caption="Queries")
    return tag(
        "div",
        body,
        _pager(view, found.page),
        id="f-rows",
        data_key="rows",
        data_first="yes" if not view.get("after") and not view.get("before") and sort == "time" else None,
    )


_SORTED_BY = {"Time": "time", "Duration": "duration", "Tokens": "tokens", "Cost": "cost"}


def _head(view: View, name: str, sort: str) -> Element | str:
    by = _SORTED_BY.get(name)
    if by is None:
        return name
    mark = tag("span", " ↓", aria_hidden="true") if by == sort else None
    return tag(
        "a",
        name,
        mark,
        href=view.href(sort=None if by == "time" else by, after=None, before=None),
        aria_current="true" if by == sort else None,
        title=f"Sort by {by}, the greatest first",
    )


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


def _facets(view: View, found: _Found) -> Element:
    boxes = [_facet(view, facet) for facet in found.facets]
    return tag(
        "details",
        tag("summary", "Filters"),
        *boxes,
        id="f-facets",
        data_key="facets",
        class_="facets",
        open=True,
        data_keep="open",
    )


def _facet(view: View, facet: Facet) -> Element:
    title = _TITLES.get(facet.name, facet.name.removeprefix("attribute:"))
    heading = tag("h2", text(title) if facet.name not in _TITLES else title)
    if facet.values is None:
        return tag(
            "div",
            heading,
            tag("a", "count the values", href=view.href(facet=[*view.all("facet"), facet.name]), class_="quiet"),
            class_="facet",
        )
    chosen = {
        each.value if facet.name != "duration" else f"{each.operator}{each.value}"
        for each in _filters_on(view, facet.name)
    }
    lines = [_value(view, facet, value, number, value in chosen) for value, number in facet.values]
    lines += [_value(view, facet, value, None, True) for value in sorted(chosen - {value for value, _ in facet.values})]
    more = tag("li", f"and {count(facet.more)} more", class_="quiet") if facet.more else None
    return tag("div", heading, tag("ul", *lines, more), class_="facet")


def _filters_on(view: View, name: str) -> list[Filter]:
    return [each for each in view.filters if each.name in (name, name.removeprefix("attribute:"))]


def _value(view: View, facet: Facet, value: str, number: float | None, is_chosen: bool) -> Element:
    if facet.name == "duration":
        written, shown = f"duration{value}", joined([value[1:].replace("s", " s")])
        href = (
            view.href(where=view.without("duration"), after=None, before=None)
            if is_chosen
            else view.with_filter(written)
        )
    else:
        shown = text(rows.cut(value, 60))
        other = facet.name.removeprefix("attribute:")
        kept = [
            each
            for each in view.without(facet.name)
            if each in view.moved(where=tuple(view.without(facet.name))).without(other)
        ]
        href = view.href(
            where=kept if is_chosen else [*kept, str(Filter(facet.name, "=", value))], after=None, before=None
        )
    counted = tag("span", short(number), class_="number quiet") if number is not None else None
    return tag(
        "li",
        tag(
            "a",
            tag("span", class_="tick", aria_hidden="true"),
            tag("span", shown, class_="name"),
            counted,
            href=href,
            aria_current="true" if is_chosen else None,
        ),
    )
