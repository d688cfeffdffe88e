"""The frame of every page: navigation, the bar with period, zone and filters, and the headers that browsers obey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from instrument.analysis.periods import Period
from instrument.analysis.wording import span
from instrument.reading import named
from instrument_cli.web import assets
from instrument_cli.web.html import Child, Element, tag, text
from instrument_cli.web.layout import hidden
from instrument_cli.web.view import PERIODS, View, default_of

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

PAGES = (
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
"""The pages that the navigation lists: path, name, and the outline of the icon."""


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
        for to, name, path in PAGES
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
        shown += [_periods(view), _live(view)]
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


def _periods(view: View) -> Element:
    own = default_of(view.path)
    links = [
        tag(
            "a",
            name,
            href=view.href(
                period=None if name == own else name, since=None, until=None, after=None, before=None, page=None
            ),
            aria_current="true" if name == view.period and not (view.since or view.until) else None,
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
        *hidden(view, "tz"),
        add,
        zone,
        tag("button", "Apply", type="submit"),
        action=view.path,
        method="get",
        class_="filter",
    )
    return tag("div", covered, *chips, form, class_="filters")
