"""The short lists at the foot of the overview: failures, complexity, entities, models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.front_page import FrontPage
from instrument.analysis.wording import count, dollars, short
from instrument.records import HIGH_COMPLEXITY
from instrument_cli.web import words
from instrument_cli.web.charts import small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.html import Element, tag, text
from instrument_cli.web.layout import chart_link, filter_link, panel, table

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_SHOWN = 8


def failures(view: View, known: FrontPage) -> Element:
    """Errors of failed queries, with the agent that had most of them."""
    most = max((number for _, number, *_ in known.failures), default=1)
    is_long = known.period.hours > 24 if known.period.hours else True
    lines = [
        tag(
            "tr",
            tag("td", filter_link(view, "error", error, path="/queries"), class_="name"),
            tag("td", short(number), class_="number"),
            tag("td", small.bar(number / most, width=40, bad=True), class_="bar-cell opt2"),
            tag("td", text(agent), class_="quiet name short"),
            tag("td", words.moment(last, known.period.zone, seconds=False, dated=is_long), class_="quiet number opt3"),
        )
        for error, number, agent, last in known.failures[:_SHOWN]
    ]
    if not lines:
        return panel("Failures", tag("p", "No query failed.", class_="quiet"), key="failures")
    heads = [("Error", ""), ("Queries", "number"), ("", "bar-cell opt2"), ("Mostly", ""), ("Last", "number opt3")]
    return panel(
        "Failures",
        table(heads, lines, class_="failures", caption="Failures"),
        more=tag("a", "list", href=view.narrowed("outcome", "failed", "/queries")),
        key="failures",
    )


def complexity(view: View, known: FrontPage) -> Element:
    """How complex the selections were."""
    if not known.report.complexity.scored:
        return panel("Complexity", tag("p", "No selection has a score.", class_="quiet"), key="complexity")
    more = [tag("span", _above(known)), chart_link(view, "complexity")]
    return panel("Complexity", _complexities(known), more=more, key="complexity")


def _above(known: FrontPage) -> str:
    return f"{short(known.report.complexity.high)} above {HIGH_COMPLEXITY}"


def _complexities(known: FrontPage) -> Element:
    shape = known.report.complexity
    labels = [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    title = f"{count(shape.scored)} scored selections, {count(shape.high)} above {HIGH_COMPLEXITY}"
    return small.columns(known.complexities, mark=HIGH_COMPLEXITY, labels=labels, title=title, height=90, width=240)


def entities(view: View, known: FrontPage) -> Element:
    """What the queries were about."""
    entities = list(known.report.entities.items())[:_SHOWN]
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


def models(view: View, known: FrontPage) -> Element:
    """Models with their tokens and cost."""
    lines = [
        tag(
            "tr",
            tag("td", filter_link(view, "model", name), class_="name"),
            tag("td", short(one.calls), class_="number opt3"),
            tag("td", short(one.input_tokens + one.output_tokens), class_="number"),
            tag("td", dollars(one.cost_usd), class_="number"),
        )
        for name, one in list(known.report.models.items())[:_SHOWN]
    ]
    if not lines:
        return panel("Models", tag("p", "No model is named.", class_="quiet"), key="models")
    heads = [("Model", ""), ("Calls", "number opt3"), ("Tokens", "number"), ("Cost", "number")]
    return panel(
        "Models", table(heads, lines, caption="Models"), more=tag("a", "all", href=view.href("/models")), key="models"
    )


def charts(known: FrontPage) -> dict[str, Chart]:
    """The complexity as a picture of its own."""
    if not known.report.complexity.scored:
        return {}
    return {"complexity": Chart("Complexity of selections", _complexities(known), (("p95", _above(known)),))}
