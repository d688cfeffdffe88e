"""The frame of every page: navigation, the bar with period, zone and filters, and the headers that browsers obey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from instrument.analysis.filters import Filter
from instrument.analysis.periods import Period
from instrument.analysis.wording import span, zone_name
from instrument.reading import named
from instrument_cli.web import assets
from instrument_cli.web.html import Child, Element, joined, tag, text
from instrument_cli.web.view import DEFAULT, PERIODS, View

if TYPE_CHECKING:
    from instrument_cli.web.site import Site

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types metrics",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_PAGES = (
    ("/", "Overview", "M4 19V11M10 19V5M16 19v-6M21 19H3"),
    ("/queries", "Queries", "M4 6h16M4 12h16M4 18h10"),
    ("/agents", "Agents", "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4 21c0-4 3.5-6.5 8-6.5s8 2.500 8 6.5"),
    ("/tools", "Tools", "M15 4a5 5 0 0 0-6 6l-6 6 5 5 6-6a5 5 0 0 0 6-6l-3 3-4-4Z"),
    ("/graphql", "GraphQL", "M12 3l8 4.500v9L12 21l-8-4.500v-9ZM12 3l8 13.500H4Z"),
    ("/models", "Models", "M12 3v4M12 17v4M3 12h4M17 12h4M8 8h8v8H8Z"),
    ("/trends", "Trends", "M3 17l6-6 4 4 8-9"),
    ("/alerts", "Alerts", "M6 16V11a6 6 0 0 1 12 0v5l2 2H4ZM10 21h4"),
    ("/sql", "SQL", "M4 7l5 5-5 5M11 18h9"),
    ("/health", "Store health", "M3 12h4l3-7 4 14 3-7h4"),
)

_KEPT_BY_BAR = ("q", "sort", "facet")


def page(
    site: Site,
    view: View,
    title: str,
    *content: Child,
    period: Period | None = None,
    bar: bool = True,
    status: int = 200,
) -> HTMLResponse:
    """A whole page. `bar` shows the period and the filters; `period` is the one that the page covers."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · metrics"),
        tag("link", rel="icon", href=assets.address("icon.svg"), type="image/svg+xml"),
        tag("link", rel="stylesheet", href=assets.address("app.css")),
        tag("script", src=assets.address("app.js"), defer=True),
    )
    live = "yes" if bar and view.is_live else None
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        _navigation(site, view),
        tag(
            "div", _top(site, view, title, period, bar), tag("main", *content, id="main", tabindex="-1"), class_="page"
        ),
        tag("div", id="said", role="status", aria_live="polite", class_="hidden"),
        data_live=live,
    )
    return HTMLResponse(f"<!doctype html>\n{tag('html', head, body, lang='en')}", status_code=status, headers=HEADERS)


def _navigation(site: Site, view: View) -> Element:
    links = [
        tag(
            "a",
            _icon(path),
            tag("span", name),
            href=view.href(to),
            title=name,
            aria_current="page" if to == _section(view) else None,
        )
        for to, name, path in _PAGES
    ]
    source = named(site.source)
    name = source if "://" in source else Path(source).name
    return tag(
        "header",
        tag(
            "a",
            tag("img", src=assets.address("icon.svg"), alt="", width="22", height="22"),
            "metrics",
            href=view.href("/"),
            class_="brand",
        ),
        tag("nav", *links, aria_label="Pages"),
        tag("p", text(name), class_="source", title=source),
        class_="side",
    )


def _section(view: View) -> str:
    return "/queries" if view.path.startswith("/queries") else view.path


def _icon(path: str) -> Element:
    return tag("svg", tag("path", d=path), viewbox="0 0 24 24", class_="icon", aria_hidden="true")


def _top(site: Site, view: View, title: str, period: Period | None, bar: bool) -> Element:
    shown = [tag("h1", title)]
    if bar:
        shown += [_periods(view, period), _live(view)]
    shown.append(
        tag(
            "button",
            tag("span", "◐", aria_hidden="true"),
            type="button",
            id="theme",
            class_="plain",
            title="Light, dark, or as the system (t)",
            aria_label="Change the theme",
        )
    )
    rows = [tag("div", *shown, class_="bar")]
    if bar:
        rows.append(_filters(site, view, period))
    return tag("section", *rows, class_="top", aria_label="This page")


def _periods(view: View, period: Period | None) -> Element:
    chosen = view.period
    if period is not None and not view.since:  # a page may cover another period than the one by default
        chosen = next((name for name, hours in PERIODS.items() if hours == period.hours), chosen)
    links = [
        tag(
            "a",
            name,
            href=view.href(period=None if name == DEFAULT else name, since=None, until=None, after=None, before=None),
            aria_current="true" if name == chosen and not (view.since or view.until) else None,
        )
        for name in PERIODS
    ]
    return tag("nav", *links, class_="segments", aria_label="Period")


def _live(view: View) -> Element:
    if view.until:
        return tag(
            "a",
            tag("span", class_="dot"),
            "Now",
            href=view.href(since=None, until=None),
            class_="chip live",
            title="Back to the period up to now",
        )
    label = "Live" if view.is_live else "Still"
    change = "1" if view.is_live else None
    return tag(
        "a",
        tag("span", class_="dot"),
        tag("span", label, id="live-word"),
        href=view.href(still=change),
        id="live",
        class_=f"chip live {'on' if view.is_live else ''}",
        title="Stop showing what comes" if view.is_live else "Show what comes, as it comes",
    )


def _filters(site: Site, view: View, period: Period | None) -> Element:
    chips = [
        tag(
            "a",
            text(written),
            tag("span", " ×", aria_hidden="true"),
            href=view.widened(written),
            class_="chip",
            title="Take this filter away",
            aria_label=f"Take the filter {written} away",
        )
        for written in view.where
    ]
    hidden = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in (
            ("period", view.period if not view.since and view.period != DEFAULT else ""),
            ("since", view.since),
            ("until", view.until),
            *(("where", each) for each in view.where),
            *((name, each) for name in _KEPT_BY_BAR for each in view.all(name)),
        )
        if value
    ]
    zones = dict.fromkeys(each for each in (view.zone_name(site), "UTC", site.config.time_zone, "local") if each)
    zone = tag(
        "select",
        *(tag("option", each, value=each, selected=each == view.zone_name(site)) for each in zones),
        name="tz",
        id="zone",
        aria_label="Time zone",
    )
    covered = (
        tag("span", span(period.since.astimezone(period.zone), period.until.astimezone(period.zone)), class_="covered")
        if period and period.since
        else None
    )
    add = tag(
        "input",
        name="where",
        placeholder="Filter: tenant=north, duration>5s",
        aria_label="Add a filter",
        autocomplete="off",
        spellcheck="false",
        class_="add",
    )
    form = tag(
        "form",
        *hidden,
        add,
        zone,
        tag("button", "Apply", type="submit"),
        action=view.path,
        method="get",
        class_="filter",
    )
    return tag("div", covered, *chips, form, class_="filters")


def panel(
    title: str, *content: Child, more: Child = None, key: str = "", class_: str = "", hint: Child = None
) -> Element:
    """A panel with a heading; `more` stands at its right. One with a `key` is kept up to date while it is watched."""
    head = tag(
        "div",
        tag("h2", title),
        tag("span", hint, class_="hint") if hint else None,
        tag("div", more, class_="more") if more else None,
        class_="head",
    )
    return tag(
        "section",
        head,
        *content,
        class_=f"panel {class_}".rstrip(),
        id=f"f-{key}" if key else None,
        data_key=key or None,
    )


def fragment(key: str, *content: Child, class_: str = "", element: str = "div") -> Element:
    """A part of a page that is kept up to date while the page is watched."""
    return tag(element, *content, id=f"f-{key}", data_key=key, class_=class_ or None)


def table(heads: list[tuple[str, str]], rows: list[Element], *, class_: str = "", caption: str = "") -> Element:
    """A table in a box that scrolls sideways by itself; each head is its text and the class of its column."""
    cells = [
        tag("th" if name else "td", name, scope="col" if name else None, class_=style or None) for name, style in heads
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="hidden") if caption else None,
            tag("thead", tag("tr", *cells)),
            tag("tbody", *rows),
            class_=class_ or None,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption or "Table",
    )


def filter_link(
    view: View, name: str, value: str, *, path: str | None = None, shown: Child = None, class_: str = ""
) -> Element:
    """A value that narrows the list down to itself."""
    return tag(
        "a",
        shown if shown is not None else text(value),
        href=view.narrowed(name, value, path),
        class_=class_ or None,
        title=str(Filter(name, "=", value)),
    )


def chart_link(view: View, name: str) -> Element:
    """The chart of that name on this page as a file."""
    page = "" if view.path == "/" else view.path
    href = view.moved(path=f"/svg{page}/{name}.svg").href()
    return tag("a", "SVG", href=href, download=f"{name}.svg", class_="file", title="Save this chart as a file")


def empty(title: str, *words: Child) -> Element:
    """What stands where there is nothing to show, and what to do about it."""
    return tag("div", tag("p", title, class_="strong"), *(tag("p", each) for each in words), class_="empty")


def zone_of(period: Period) -> str:
    """The short name of the zone of a period."""
    return zone_name(period.until.astimezone(period.zone))


def parts(found: dict[str, Element]) -> Element:
    """Fragments one after the other."""
    return joined(found.values())
