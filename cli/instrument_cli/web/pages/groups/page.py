"""The pages of agents, tools, GraphQL operations and models: a search, a table, a few rows laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.periods import Period
from instrument.analysis.side_by_side import Row, SideBySide
from instrument.analysis.wording import count
from instrument.analysis.worse import Worse, worse
from instrument.reading import Store
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.overlay import overlay, overlay_lines
from instrument_cli.web.charts.rows_file import distributions_picture
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag
from instrument_cli.web.layout import chart_link, empty, hidden, panel, search
from instrument_cli.web.pages import Drawn
from instrument_cli.web.pages import worse as worse_strip
from instrument_cli.web.pages.groups.rows import KINDS, Group, rows_table, sorted_by

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

ON_A_PAGE = 100
"""Rows on a page."""

_IN_A_FILE = 40
"""Rows in the file of the distributions."""

_COMPARED = 4
"""Rows that can be laid over each other."""

_SEARCHED = 20
"""Of more rows than these, one is searched for."""


class _Found(NamedTuple):
    """The rows of a period, those of the period before, and what got worse and better from then to now."""

    period: Period
    now: SideBySide
    before: dict[str, Row]
    worse: list[Worse]
    better: list[Worse]


def draw(site: Site, view: View) -> Drawn:
    """Draw the rows of the kind that the path names."""
    group = KINDS[view.path]

    def looked_up(store: Store) -> _Found:
        now, before = store.side_by_side(group.kind, view.where)
        after = {row.name: row for row in now.rows}
        return _Found(
            store.period,
            now,
            before,
            worse(group.kind, now.rows, before),
            worse(group.kind, before.values(), after),
        )

    found: _Found = figures_of(site).of(view, f"side by side: {group.kind}", looked_up)
    live = _parts(view, group, found) if found.now.rows else {"rows": _nothing(group)}
    return Drawn(group.title, joined(live.values()), found.period, live, charts=_charts(view, group, found))


def _nothing(group: Group) -> Element:
    title = f"No {group.title_within} in this period"
    body = empty(title, "Choose a longer period above, or take a filter away.")
    return tag("div", body, id="f-rows", data_key="rows")


def _parts(view: View, group: Group, found: _Found) -> dict[str, Element]:
    wanted = view.get("q").strip().lower()
    listed = sorted_by(view, [row for row in found.now.rows if wanted in row.name.lower()])
    page = int(view.get("page")) if view.get("page").isdecimal() else 0
    shown = listed[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
    body = rows_table(view, group, found.now, shown, found.before, (found.worse, found.better), _ticked(view, found))
    button = tag("button", "Lay the ticked ones over each other", type="submit")
    form = tag(
        "form",
        *hidden(view, "of"),
        body,
        tag("p", button, tag("span", "up to four", class_="quiet"), class_="under-table"),
        action=view.path,
        method="get",
        id="compare",
    )
    return {
        "worse": worse_strip.strip(view, found.worse),
        "over": _over(view, found),
        "rows": panel(
            f"{group.title} side by side",
            search(view, f"{count(len(found.now.rows))} names") if len(found.now.rows) > _SEARCHED else None,
            form,
            _pager(view, page, len(listed)),
            more=joined([_legend(), chart_link(view, "durations")]),
            key="rows",
        ),
    }


def _ticked(view: View, found: _Found) -> list[Row]:
    names = view.all("of")
    return [row for row in found.now.rows if row.name in names][:_COMPARED]


def _over(view: View, found: _Found) -> Element:
    ticked, body = _ticked(view, found), None
    if len(ticked) > 1:
        body = panel("Laid over each other", overlay(found.now, ticked), more=chart_link(view, "over"))
    return tag("div", body, id="f-over", data_key="over")


def _charts(view: View, group: Group, found: _Found) -> dict[str, Chart]:
    if not found.now.rows:
        return {}
    ticked = _ticked(view, found)
    keys = (("fill", "durations"), ("median", "median"), ("p95", "p95"))
    charts = {"durations": Chart(f"{group.title} side by side", distributions_picture(found.now, _IN_A_FILE), keys)}
    if len(ticked) > 1:
        named = tuple((f"over{number}", row.name) for number, row in enumerate(ticked, 1))
        charts["over"] = Chart("Laid over each other", overlay_lines(found.now, ticked), named)
    return charts


def _legend() -> Element:
    return tag(
        "span",
        tag("span", tag("i", class_="key fill"), "durations, log scale"),
        tag("span", tag("i", class_="key median"), "median"),
        tag("span", tag("i", class_="key p95"), "p95"),
        tag("span", "▲▼ against the period before, coloured where chance does not explain it"),
        class_="legend",
    )


def _pager(view: View, page: int, number: int) -> Element | None:
    if number <= ON_A_PAGE:
        return None
    first, last = page * ON_A_PAGE, (page + 1) * ON_A_PAGE
    previous = tag("a", "← Previous", href=view.href(page=str(page - 1) if page > 1 else None), rel="prev")
    following = tag("a", "Next →", href=view.href(page=str(page + 1)), rel="next")
    said = f"{count(first + 1)} – {count(min(number, last))} of {count(number)}"
    return tag(
        "nav",
        previous if page else None,
        tag("span", said, class_="quiet"),
        following if last < number else None,
        class_="pager",
        aria_label="Pages",
    )
