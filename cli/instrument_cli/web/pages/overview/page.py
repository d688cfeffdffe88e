"""The page of the overview, put together of its parts; those that are watched live are kept up to date one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.front_page import FrontPage
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.time_panel import KEYS, legend, time_panel
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag
from instrument_cli.web.layout import chart_link, empty, panel
from instrument_cli.web.pages import Drawn, worse
from instrument_cli.web.pages.overview import calls, headlines, lists, queries
from instrument_cli.web.pages.overview.closer import closer
from instrument_cli.web.pages.overview.found import found

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View


def draw(site: Site, view: View) -> Drawn:
    """Draw the overview."""
    known: FrontPage = figures_of(site).of(view, "overview", lambda store: found(store, view))
    if not known.report.queries.total and not known.latest.lines:
        live = {"nothing": _nothing(view)}
        return Drawn("Overview", joined(live.values()), known.period, live)
    over_time = time_panel(known.overview, known.period.zone)
    live = _parts(view, known, over_time)
    charts = {"queries": Chart("Queries and how long they took", over_time, KEYS)}
    charts |= headlines.charts(known) | queries.charts(known) | lists.charts(known)
    return Drawn("Overview", _placed(live), known.period, live, charts=charts)


def _parts(view: View, known: FrontPage, over_time: Element) -> dict[str, Element]:
    """The parts by the keys under which they are kept up to date."""
    more = joined([legend(), chart_link(view, "queries")])
    box = tag("div", over_time, class_="chart-box")
    return {
        "figures": headlines.headlines(view, known),
        "worse": worse.strip(view, known.overview.worse, more=tag("a", "all changes", href=view.href("/trends"))),
        "time": panel("Queries and how long they took", box, more=more, hint=closer(view, known), key="time"),
        "agents": queries.agents(view, known),
        "latest": queries.latest(view, known),
        "tools": calls.calls(view, "Tools", "tool", known.report.tools, "/tools"),
        "graphql": calls.calls(view, "GraphQL", "operation", known.report.graphql, "/graphql"),
        "failures": lists.failures(view, known),
        "complexity": lists.complexity(view, known),
        "entities": lists.entities(view, known),
        "models": lists.models(view, known),
    }


def _placed(parts: dict[str, Element]) -> Element:
    return joined(
        [
            parts["figures"],
            parts["worse"],
            parts["time"],
            tag("div", parts["agents"], parts["latest"], class_="grid two wide-left"),
            tag("div", parts["tools"], parts["graphql"], class_="grid two"),
            tag(
                "div",
                *(parts[name] for name in ("failures", "complexity", "entities", "models")),
                class_="grid four first-wide",
            ),
        ]
    )


def _nothing(view: View) -> Element:
    longer = [
        tag("a", name, href=view.href(period=name, since=None, until=None))
        for name in ("7d", "30d")
        if name != view.period or view.since
    ]
    said = "The period is over. Look at the last: " if view.until else "Look further back: "
    hint = [tag("span", said, *(joined([each, " "]) for each in longer))]
    if view.where:
        hint.append(tag("a", "Or take the filters away", href=view.href(where=None)))
    elif not view.until:
        hint.append(
            tag("span", "New queries show up here by themselves. ", tag("code", "metrics demo"), " records some.")
        )
    return tag("div", empty("No queries in this period", *hint), id="f-nothing", data_key="nothing")
