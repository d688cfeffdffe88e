"""Where a query's time went: its calls over time, its own time by name, the queries inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.wording import duration
from instrument_cli.web import rows, words
from instrument_cli.web.charts import small
from instrument_cli.web.charts.waterfall import waterfall
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import chart_link, panel, table
from instrument_cli.web.pages.query.found import Found

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_KINDS = (
    ("tool", "tool"),
    ("graphql", "GraphQL"),
    ("model", "model"),
    ("failed", "failed"),
    ("outside", "outside any call"),
    ("critical", "critical path"),
)
"""The colours of the calls and what they mean."""

_MOST_NAMES = 15


def keys(one: Found) -> tuple[tuple[str, str], ...]:
    """The colours that occur among a query's calls, and what they mean."""
    seen = {call.kind if call.success else "failed" for call in one.query.calls}
    seen |= {"outside"} if one.spent.outside else set()
    seen |= {"critical"} if one.spent.critical else set()
    return tuple(each for each in _KINDS if each[0] in seen)


def where_it_went(view: View, one: Found) -> Element:
    """The calls over time."""
    query = one.query
    if not query.calls:
        is_counted = query.tool_calls + query.graphql_queries + query.model_calls
        said = "Its calls are known by their number only." if is_counted else "No call was recorded inside it."
        return panel("Where the time went", tag("p", said, class_="quiet"))
    marks = (tag("span", tag("i", class_=f"key {kind}"), name) for kind, name in keys(one))
    drawn = waterfall(query, one.spent)
    return panel(
        "Where the time went",
        tag("p", *marks, class_="legend left"),
        tag("div", drawn, class_="scroll", tabindex="0", role="region", aria_label="Calls over time"),
        more=joined([_tools(), chart_link(view, "calls")]),
        class_="where",
    )


def _tools() -> Element:
    return tag(
        "span",
        tag("button", "Collapse", type="button", class_="plain", data_collapse="yes"),
        tag("button", "−", type="button", class_="plain", data_zoom="out", aria_label="Zoom out"),
        tag("button", "+", type="button", class_="plain", data_zoom="in", aria_label="Zoom in"),
        class_="tools script",
    )


def sub_queries(view: View, one: Found) -> Element | None:
    """The queries that ran inside it."""
    if not one.inside:
        return None
    heads = [("Agent", ""), ("Input", "wide"), ("Outcome", ""), ("Took", "number")]
    lines = [
        tag(
            "tr",
            tag("td", text(each.agent_type), class_="name"),
            tag(
                "td",
                tag("a", text(rows.cut(each.user_input) or "(no input)"), href=rows.address(view, each)),
                class_="wide",
            ),
            tag("td", words.outcome(each.status, each.success, each.error_type)),
            tag("td", duration(each.duration_ms), class_="number"),
        )
        for each in one.inside
    ]
    return panel("Queries inside it", table(heads, lines, caption="Queries inside it"))


def own_time(one: Found) -> Element | None:
    """The time of its calls without that of the calls inside them, added up by name, beside the time outside any."""
    spent = one.spent
    if not spent.by_name:
        return None
    outside = [("", "outside any call", spent.outside_ms)] if spent.outside_ms > 0 else []
    listed = sorted([*spent.by_name[:_MOST_NAMES], *outside], key=lambda each: -each[2])
    most = listed[0][2] or 1.0
    lines = [
        tag(
            "tr",
            tag("td", text(name) if kind else name, class_="name" if kind else "name quiet"),
            tag("td", duration(took), class_="number"),
            tag("td", small.bar(took / most), class_="bar-cell"),
        )
        for kind, name, took in listed
    ]
    heads = [("Call", ""), ("Own time", "number"), ("", "bar-cell")]
    return panel("Own time by name", table(heads, lines, caption="Own time by name"), hint="without the calls inside")
