"""The overview: six figures, one panel over time, and what the time and the failures went to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.charts import bucket_length
from instrument.analysis.front_page import FrontPage
from instrument.analysis.overview import Headline
from instrument.analysis.periods import Period
from instrument.analysis.results import CallFigures
from instrument.analysis.standing_out import stands_out
from instrument.analysis.wording import NOTHING, count, dollars, duration, percent, short
from instrument.reading import Store
from instrument.records import HIGH_COMPLEXITY
from instrument.store.tables import microseconds
from instrument_cli.web import rows, words
from instrument_cli.web.charts import small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.time_panel import KEYS, legend, time_panel
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import chart_link, empty, filter_link, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

COLUMNS, ROWS = 88, 16
_AGENTS, _CALLS, _SHORT_LIST = 12, 10, 8


def draw(site: Site, view: View) -> Drawn:
    """Draw the overview."""
    found: FrontPage = figures_of(site).of(view, "overview", lambda store: _found(store, view))
    zone = found.period.zone
    if not found.report.queries.total and not found.latest.lines:
        live = {"nothing": _nothing(view, found)}
        return Drawn("Overview", joined(live.values()), found.period, live)
    over_time = time_panel(found.overview, zone)
    tools = "tool", found.report.tools, "/tools"
    graphql = "operation", found.report.graphql, "/graphql"
    live = {
        "figures": _figures(view, found),
        "worse": _worse(view, found),
        "time": panel(
            "Queries and how long they took",
            tag("div", over_time, class_="chart-box"),
            more=joined([legend(), chart_link(view, "queries")]),
            key="time",
        ),
        "agents": _agents(view, found),
        "latest": _latest(view, found),
        "tools": _calls(view, "Tools", *tools),
        "graphql": _calls(view, "GraphQL", *graphql),
        "failures": _failures(view, found),
        "complexity": _complexity(view, found),
        "entities": _entities(view, found),
        "models": _models(view, found),
    }
    body = [
        live["figures"],
        live["worse"],
        live["time"],
        tag("div", live["agents"], live["latest"], class_="grid two wide-left"),
        tag("div", live["tools"], live["graphql"], class_="grid two"),
        tag(
            "div", live["failures"], live["complexity"], live["entities"], live["models"], class_="grid four first-wide"
        ),
    ]
    charts = {"queries": Chart("Queries and how long they took", over_time, KEYS)}
    if found.report.complexity.scored:
        charts["complexity"] = Chart("Complexity of selections", _complexities(found), (("p95", _above(found)),))
    return Drawn("Overview", joined(body), found.period, live, charts=charts)


def _found(store: Store, view: View) -> FrontPage:
    return store.front_page(view.where, columns=_columns(store.period), rows=ROWS, worse=("tool", "agent"))


def _columns(period: Period) -> int:
    """How many columns make each a round length: a day's rhythm does not show in columns of ten hours."""
    first, last = (microseconds(moment) for moment in (period.since or period.until, period.until))
    return max(2, round((last - first) / bucket_length(first, last, COLUMNS)) + 1)


def _nothing(view: View, found: FrontPage) -> Element:
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


_NAMES = {
    "queries": "Queries",
    "succeeded": "Succeeded",
    "median": "Median",
    "p95": "95th percentile",
    "tokens": "Tokens",
    "cost": "Cost",
}


def _shown(figure: Headline) -> str:
    if figure.value is None or (figure.value == 0 and figure.unit in ("tokens", "usd")):
        return NOTHING
    if figure.unit == "share":
        return percent(figure.value)
    if figure.unit == "ms":
        return duration(figure.value)
    return dollars(figure.value) if figure.unit == "usd" else short(figure.value)


_MOST_WORSE = 3
"""Tools, and agents, that are named as worse."""


def _worse(view: View, found: FrontPage) -> Element:
    """What got worse since the period before, each with the page that shows it; nothing where nothing did."""
    said: list[Element] = []
    everything = found.overview.worse
    shown = [
        one for kind in ("tool", "agent") for one in [each for each in everything if each.kind == kind][:_MOST_WORSE]
    ]
    for one in shown:
        fails = one.how == "failing"
        before, after = (percent(each) if fails else duration(each) for each in (one.before, one.after))
        href = view.narrowed(one.kind, one.name, "/queries") + (
            "&where=outcome%3Dfailed" if fails else "&sort=duration"
        )
        said.append(
            tag(
                "li",
                tag("span", "▲ ", class_="mark", aria_hidden="true"),
                f"{one.kind.capitalize()} ",
                tag("a", text(one.name), href=href),
                f" {'fails more' if fails else 'is slower'}: {'' if fails else 'median '}{before} → ",
                tag("strong", after),
            )
        )
    rest = len(everything) - len(said)
    said += [tag("li", f"and {count(rest)} more", class_="quiet")] if rest > 0 else []
    more = tag("li", tag("a", "all changes", href=view.href("/trends")), class_="quiet")
    content = [tag("h2", "Worse than in the period before"), tag("ul", *said, more)] if said else []
    return tag("section", *content, id="f-worse", data_key="worse", class_="worse")


def _linked(view: View, found: FrontPage, name: str) -> Element | None:
    """Where a figure leads to: the queries that failed, the slowest ones."""
    failed = found.report.queries.failed
    if name == "succeeded" and failed:
        return tag("a", f"{short(failed)} failed", href=view.narrowed("outcome", "failed", "/queries"))
    if name == "p95":
        return tag("a", "slowest", href=view.moved(path="/queries").href(sort="duration"))
    return None


def _figures(view: View, found: FrontPage) -> Element:
    cells = []
    for figure in found.overview.figures:
        values = (
            [None if value is None else 1 - value for value in figure.values]
            if figure.unit == "share"
            else figure.values
        )
        cells.append(
            tag(
                "div",
                tag("dt", tag("span", _NAMES[figure.name]), _linked(view, found, figure.name)),
                tag("dd", _shown(figure), class_="value"),
                tag("dd", words.delta(figure.change, figure.better, is_share=figure.unit == "share"), class_="change"),
                tag(
                    "dd",
                    small.spark(values[1:-1] if len(values) > 4 else values, bad=figure.unit == "share"),
                    class_="trace",
                ),
                class_="figure",
            )
        )
    return tag("dl", *cells, id="f-figures", data_key="figures", class_="figures")


def _agents(view: View, found: FrontPage) -> Element:
    agents = found.report.agents
    most = max((one.queries for one in agents.values()), default=1)
    failed, total = found.report.queries.failed, found.report.queries.total
    lines = []
    for name, one in list(agents.items())[:_AGENTS]:
        stands = stands_out(one.failed, one.queries, failed - one.failed, total - one.queries)
        series = found.agents.get(name)
        lines.append(
            tag(
                "tr",
                tag("td", filter_link(view, "agent", name), class_="name"),
                tag("td", short(one.queries), class_="number"),
                tag("td", small.bar(one.queries / most, width=48), class_="bar-cell opt2"),
                tag("td", percent(one.success_rate), class_="number bad" if stands else "number"),
                tag("td", duration(one.average_ms), class_="number opt"),
                tag("td", duration(one.p95_ms), class_="number"),
                tag("td", small.spark(series.values, height=20, width=72) if series else None, class_="bar-cell opt2"),
                tag("td", dollars(one.cost_usd), class_="number opt3"),
            )
        )
    heads = [
        ("Agent", ""),
        ("Queries", "number"),
        ("", "bar-cell opt2"),
        ("Succeeded", "number"),
        ("Average", "number opt"),
        ("p95", "number"),
        ("p95 over time", "bar-cell opt2"),
        ("Cost", "number opt3"),
    ]
    more = tag("a", f"compare all {count(len(agents))}", href=view.href("/agents"))
    return panel("Agents", table(heads, lines, caption="Agents"), more=more, key="agents")


def _latest(view: View, found: FrontPage) -> Element:
    lines = [rows.short_row(view, each, found.period.zone) for each in found.latest.lines]
    heads = [("Time", ""), ("Agent", "opt3"), ("Input", "wide"), ("Took", "number")]
    body = table(heads, lines, class_="latest", caption="Newest queries")
    return panel("Newest", body, more=tag("a", "all queries", href=view.href("/queries")), key="latest")


def _calls(view: View, title: str, name: str, calls: dict[str, CallFigures], path: str) -> Element:
    by_time = sorted(calls.items(), key=lambda one: -one[1].busy_ms)
    everything = sum(one.busy_ms for one in calls.values()) or 1.0
    failed, total = sum(one.failed for one in calls.values()), sum(one.calls for one in calls.values())
    most = by_time[0][1].busy_ms if by_time else 1.0
    lines = []
    for called, one in by_time[:_CALLS]:
        rate = one.failed / one.calls if one.calls else None
        stands = stands_out(one.failed, one.calls, failed - one.failed, total - one.calls)
        lines.append(
            tag(
                "tr",
                tag("td", filter_link(view, name, called, path="/queries"), class_="name"),
                tag("td", short(one.calls), class_="number"),
                tag("td", percent(rate), class_="number bad" if stands else "number"),
                tag("td", duration(one.p95_ms), class_="number"),
                tag("td", percent(one.busy_ms / everything), class_="number opt3"),
                tag("td", small.bar(one.busy_ms / (most or 1.0), width=48), class_="bar-cell opt2"),
            )
        )
    if not lines:
        return panel(title, tag("p", "None in this period.", class_="quiet"), key=path[1:])
    heads = [
        ("By time spent", ""),
        ("Calls", "number"),
        ("Failed", "number"),
        ("p95", "number"),
        ("Of all time", "number opt3"),
        ("", "bar-cell opt2"),
    ]
    return panel(
        title,
        table(heads, lines, caption=title),
        more=tag("a", f"all {count(len(calls))}", href=view.href(path)),
        key=path[1:],
    )


def _failures(view: View, found: FrontPage) -> Element:
    most = max((number for _, number, *_ in found.failures), default=1)
    is_long = found.period.hours > 24 if found.period.hours else True
    lines = [
        tag(
            "tr",
            tag("td", filter_link(view, "error", error, path="/queries"), class_="name"),
            tag("td", short(number), class_="number"),
            tag("td", small.bar(number / most, width=40, bad=True), class_="bar-cell opt2"),
            tag("td", text(agent), class_="quiet name"),
            tag("td", words.moment(last, found.period.zone, seconds=False, dated=is_long), class_="quiet number opt3"),
        )
        for error, number, agent, last in found.failures[:_SHORT_LIST]
    ]
    if not lines:
        return panel("Failures", tag("p", "No query failed.", class_="quiet"), key="failures")
    heads = [("Error", ""), ("Queries", "number"), ("", "bar-cell opt2"), ("Mostly", ""), ("Last", "number opt3")]
    return panel(
        "Failures",
        table(heads, lines, caption="Failures"),
        more=tag("a", "list", href=view.narrowed("outcome", "failed", "/queries")),
        key="failures",
    )


def _complexity(view: View, found: FrontPage) -> Element:
    if not found.report.complexity.scored:
        return panel("Complexity", tag("p", "No selection has a score.", class_="quiet"), key="complexity")
    more = [tag("span", _above(found)), chart_link(view, "complexity")]
    return panel("Complexity", _complexities(found), more=more, key="complexity")


def _above(found: FrontPage) -> str:
    return f"{short(found.report.complexity.high)} above {HIGH_COMPLEXITY}"


def _complexities(found: FrontPage) -> Element:
    shape = found.report.complexity
    labels = [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    title = f"{count(shape.scored)} scored selections, {count(shape.high)} above {HIGH_COMPLEXITY}"
    return small.columns(found.complexities, mark=HIGH_COMPLEXITY, labels=labels, title=title, height=90, width=240)


def _entities(view: View, found: FrontPage) -> Element:
    entities = list(found.report.entities.items())[:_SHORT_LIST]
    most = max((number for _, number in entities), default=1)
    lines = [
        tag(
            "tr",
            tag("td", filter_link(view, "entity", name), class_="name"),
            tag("td", short(number), class_="number"),
            tag("td", small.bar(number / most, width=56), class_="bar-cell"),
        )
        for name, number in entities
    ]
    if not lines:
        return panel("Entities", tag("p", "No query names an entity.", class_="quiet"), key="entities")
    return panel(
        "Entities",
        table([("Entity", ""), ("Queries", "number"), ("", "bar-cell")], lines, caption="Entities"),
        key="entities",
    )


def _models(view: View, found: FrontPage) -> Element:
    lines = [
        tag(
            "tr",
            tag("td", filter_link(view, "model", name), class_="name"),
            tag("td", short(one.calls), class_="number opt3"),
            tag("td", short(one.input_tokens + one.output_tokens), class_="number"),
            tag("td", dollars(one.cost_usd), class_="number"),
        )
        for name, one in list(found.report.models.items())[:_SHORT_LIST]
    ]
    if not lines:
        return panel("Models", tag("p", "No model is named.", class_="quiet"), key="models")
    heads = [("Model", ""), ("Calls", "number opt3"), ("Tokens", "number"), ("Cost", "number")]
    return panel(
        "Models", table(heads, lines, caption="Models"), more=tag("a", "all", href=view.href("/models")), key="models"
    )
