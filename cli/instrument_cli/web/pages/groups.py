"""Agents, tools, GraphQL operations and models side by side, their durations on an axis that all rows share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.periods import Period
from instrument.analysis.side_by_side import Kind, Row, SideBySide
from instrument.analysis.standing_out import stands_out
from instrument.analysis.wording import NOTHING, count, dollars, duration, percent, short
from instrument.reading import Store
from instrument_cli.web import words
from instrument_cli.web.charts import axes, small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.overlay import overlay, overlay_lines
from instrument_cli.web.charts.rows_file import distributions_picture
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag
from instrument_cli.web.layout import chart_link, empty, filter_link, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

_KINDS: dict[str, tuple[Kind, str, str, str]] = {
    "/agents": ("agent", "Agents", "Queries", "agent"),
    "/tools": ("tool", "Tools", "Calls", "tool"),
    "/graphql": ("operation", "GraphQL", "Calls", "operation"),
    "/models": ("model", "Models", "Calls", "model"),
}

ON_A_PAGE = 100
"""Rows on a page."""

_IN_A_FILE = 40
"""Rows in the file of the distributions."""

_COMPARED = 4
"""Rows that can be laid over each other."""


def draw(site: Site, view: View) -> Drawn:
    """Draw the rows of the kind that the path names."""
    kind, title, unit, name = _KINDS[view.path]

    def found_in(store: Store) -> tuple[Period, SideBySide, dict[str, Row]]:
        return store.period, *store.side_by_side(kind, view.where)

    period, found, before = figures_of(site).of(view, f"side by side: {kind}", found_in)
    wanted = view.get("q").strip().lower()
    rows = [row for row in found.rows if wanted in row.name.lower()]
    if not found.rows:
        body = empty(
            f"No {title if kind == 'operation' else title.lower()} in this period",
            "Choose a longer period above, or take a filter away.",
        )
        return Drawn(
            title,
            tag("div", body, id="f-rows", data_key="rows"),
            period,
            {"rows": tag("div", body, id="f-rows", data_key="rows")},
        )
    page = int(view.get("page")) if view.get("page").isdecimal() else 0
    shown = rows[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
    ticked = [row for row in found.rows if row.name in view.all("of")][:_COMPARED]
    has_cost = any(row.cost_usd is not None or row.tokens for row in found.rows)
    lines = [_row(view, row, before.get(row.name), found, name, has_cost, row in ticked) for row in shown]
    body = table(_heads(title, unit, found, has_cost), lines, class_="groups", caption=f"{title} side by side")
    legend = tag(
        "span",
        tag("span", tag("i", class_="key fill"), "durations, log scale"),
        tag("span", tag("i", class_="key median"), "median"),
        tag("span", tag("i", class_="key p95"), "p95"),
        tag("span", "▲▼ against the period before"),
        class_="legend",
    )
    form = tag(
        "form",
        *_kept(view),
        body,
        tag("p", tag("button", "Lay the ticked ones over each other", type="submit"), class_="under-table"),
        action=view.path,
        method="get",
        id="compare",
    )
    live = {
        "over": tag(
            "div",
            panel("Laid over each other", overlay(found, ticked), more=chart_link(view, "over"), key="")
            if len(ticked) > 1
            else None,
            id="f-over",
            data_key="over",
        ),
        "rows": panel(
            f"{title} side by side",
            _search(view, len(found.rows)),
            form,
            _pager(view, page, len(rows)),
            more=joined([legend, chart_link(view, "durations")]),
            key="rows",
        ),
    }
    keys = (("fill", "durations"), ("median", "median"), ("p95", "p95"))
    charts = {"durations": Chart(f"{title} side by side", distributions_picture(found, _IN_A_FILE), keys)}
    if len(ticked) > 1:
        named = tuple((f"over{number}", row.name) for number, row in enumerate(ticked, 1))
        charts["over"] = Chart("Laid over each other", overlay_lines(found, ticked), named)
    return Drawn(title, joined(live.values()), period, live, charts=charts)


def _kept(view: View) -> list[Element]:
    listed = (
        ("period", view.period if not view.since else ""),
        ("since", view.since),
        ("until", view.until),
        ("tz", view.tz),
        *(("where", each) for each in view.where),
        ("q", view.get("q")),
    )
    return [tag("input", type="hidden", name=key, value=value) for key, value in listed if value]


def _search(view: View, number: int) -> Element | None:
    if number <= 20:
        return None
    field = tag(
        "input",
        type="search",
        name="q",
        value=view.get("q"),
        placeholder=f"Search {count(number)} names",
        aria_label="Search names",
        id="search",
        autocomplete="off",
    )
    return tag(
        "form",
        *[each for each in _kept(view) if 'name="q"' not in each],
        field,
        tag("kbd", "/"),
        action=view.path,
        method="get",
        class_="search",
        role="search",
    )


def _pager(view: View, page: int, number: int) -> Element | None:
    if number <= ON_A_PAGE:
        return None
    previous = (
        tag("a", "← Previous", href=view.href(page=str(page - 1) if page > 1 else None), rel="prev") if page else None
    )
    following = (
        tag("a", "Next →", href=view.href(page=str(page + 1)), rel="next") if (page + 1) * ON_A_PAGE < number else None
    )
    said = tag(
        "span",
        f"{count(page * ON_A_PAGE + 1)} – {count(min(number, (page + 1) * ON_A_PAGE))} of {count(number)}",
        class_="quiet",
    )
    return tag("nav", previous, said, following, class_="pager", aria_label="Pages")


def _heads(title: str, unit: str, found: SideBySide, has_cost: bool) -> list[tuple[Element | str, str]]:
    marks = [(share, label) for share, label in axes.decades(found.bounds_ms)]
    axis = tag(
        "svg",
        *(
            tag(
                "text",
                label,
                x=share * 260,
                y=11,
                text_anchor="start" if share < 0.05 else "end" if share > 0.95 else "middle",
            )
            for share, label in marks
            if len(marks) < 7 or marks.index((share, label)) % 2 == 0
        ),
        width=260,
        height=14,
        viewbox="0 0 260 14",
        class_="mini",
        role="img",
        aria_label="Duration",
    )
    heads: list[tuple[Element | str, str]] = [
        (title.removesuffix("s") if title != "GraphQL" else "Operation", ""),
        (unit, "number opt2"),
        ("Failed", "number"),
        ("", "delta-cell opt2"),
        (axis, "opt"),
        ("Median", "number opt2"),
        ("", "delta-cell opt2"),
        ("p95", "number"),
        ("", "delta-cell"),
        ("Of all time", "number opt"),
        ("", "bar-cell opt1"),
    ]
    return heads + (
        [
            ("Tokens", "number opt1"),
            ("Cost", "number opt2"),
            (f"Cost a {unit[:-1].lower() if unit != 'Queries' else 'query'}", "number opt"),
        ]
        if has_cost
        else []
    )


def _row(
    view: View, row: Row, before: Row | None, found: SideBySide, name: str, has_cost: bool, is_ticked: bool
) -> Element:
    failed = sum(one.failed for one in found.rows)
    total = sum(one.count for one in found.rows)
    stands = stands_out(row.failed, row.count, failed - row.failed, total - row.count)
    most = max(one.share for one in found.rows) or 1.0
    changes = row.against(before)
    tick = tag("input", type="checkbox", name="of", value=row.name, checked=is_ticked, aria_label=f"Compare {row.name}")
    cells = [
        tag(
            "td", tag("span", tick, filter_link(view, name, row.name, path="/queries"), class_="ticked"), class_="name"
        ),
        tag("td", short(row.count), class_="number opt2"),
        tag("td", percent(row.failure_rate), class_="number bad" if stands else "number"),
        tag("td", words.delta(changes.failure_rate, "less", is_share=True), class_="delta-cell opt2"),
        tag("td", small.distribution(row.spread, found.bounds_ms, row.p50_ms, row.p95_ms), class_="opt"),
        tag("td", duration(row.p50_ms), class_="number opt2"),
        tag("td", words.delta(changes.p50, "less"), class_="delta-cell opt2"),
        tag("td", duration(row.p95_ms), class_="number"),
        tag("td", words.delta(changes.p95, "less"), class_="delta-cell"),
        tag("td", percent(row.share), class_="number opt"),
        tag("td", small.bar(row.share / most, width=48), class_="bar-cell opt1"),
    ]
    if has_cost:
        cells += [
            tag("td", NOTHING if row.tokens is None else short(row.tokens), class_="number opt1"),
            tag("td", dollars(row.cost_usd), class_="number opt2"),
            tag("td", dollars(row.cost_each), class_="number opt"),
        ]
    return tag("tr", *cells, data_key=f"r-{row.name}")
