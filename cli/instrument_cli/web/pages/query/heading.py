"""The head of a query's page: the way to it and its neighbours, its input, its error, its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.wording import count, dollars, duration, percent
from instrument.records import QueryRecord
from instrument_cli.web import rows, words
from instrument_cli.web.charts import axes, small
from instrument_cli.web.html import Child, Element, tag, text
from instrument_cli.web.layout import chart_link, filter_link
from instrument_cli.web.pages.query.found import Found

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_SHOWN, _LINES = 400, 6
"""Characters and lines of an input that stand in the head; the rest opens below."""

_MOST_ERROR, _NAME = 2000, 60
"""Characters of an error's message, and of its name among the figures."""


def heading(view: View, one: Found) -> Element:
    """Draw it."""
    lead = tag("div", _figures(one), _standing(view, one), class_="lead")
    return tag("section", _trail(view, one), *_asked(one.query), _error(one.query), lead, class_="panel heading")


def _trail(view: View, one: Found) -> Element:
    query = one.query
    kept = {"sort": view.get("sort") or None, "q": view.get("q") or None}
    is_by_time = not kept["sort"]

    def step(to: str | None, words_: str, rel: str) -> Element | None:
        return tag("a", words_, href=view.href(f"/queries/{to}", **kept), rel=rel) if to else None

    return tag(
        "p",
        tag("a", "Queries", href=view.href("/queries", **kept)),
        " / ",
        filter_link(view, "agent", query.agent_type, path="/queries"),
        " / ",
        tag("code", text(query.query_id)),
        " ",
        tag("button", "copy id", type="button", class_="plain script", data_copy=query.query_id),
        tag(
            "span",
            step(one.above, "← newer" if is_by_time else "← previous", "prev"),
            " ",
            step(one.below, "older →" if is_by_time else "next →", "next"),
            class_="step",
        ),
        class_="trail",
    )


def _asked(query: QueryRecord) -> list[Element]:
    shown = tag("h2", text(rows.cut(query.user_input, _SHOWN) or "(no input)"), class_="asked", dir="auto")
    if len(query.user_input) <= _SHOWN and query.user_input.count("\n") <= _LINES:
        return [shown]
    return [shown, tag("details", tag("summary", "The whole input"), tag("pre", text(query.user_input)))]


def _error(query: QueryRecord) -> Element | None:
    if not rows.is_bad(query):
        return None
    message = text(rows.cut(query.error_message or "", _MOST_ERROR))
    return tag("p", tag("strong", text(query.error_type or query.status)), " ", message, class_="error")


def _figures(one: Found) -> Element:
    query = one.query
    in_calls = 1 - one.spent.outside_ms / query.duration_ms if query.duration_ms and query.calls else None
    error = None if query.error_type is None else rows.cut(query.error_type, _NAME)
    figures: list[tuple[str, Child]] = [
        ("Outcome", words.outcome(query.status, query.success, error)),
        ("Duration", duration(query.duration_ms)),
        ("In calls", percent(in_calls)),
        ("Calls", _calls(query)),
        ("Cost", dollars(query.cost_usd)),
    ]
    cells = (tag("div", tag("dt", name), tag("dd", value)) for name, value in figures)
    return tag("dl", *cells, class_="figures small")


def _calls(query: QueryRecord) -> str:
    numbers = (query.tool_calls, "tool"), (query.graphql_queries, "GraphQL"), (query.model_calls, "model")
    return " · ".join(f"{count(number)} {name}" for number, name in numbers if number) or "none"


def _standing(view: View, one: Found) -> Element | None:
    if not one.has_standing:
        return None
    faster, queries = percent(one.standing.faster), count(one.standing.queries)
    compared = f"Slower than {faster} of its agent's {queries} in the week up to that day "
    said = tag("figcaption", compared, chart_link(view, "standing"))
    return tag("figure", said, durations(one), class_="standing")


def durations(one: Found) -> Element:
    """How long its agent's queries took, with a mark where this one lies."""
    histogram = one.standing.histogram
    return small.columns(
        histogram.queries,
        width=260,
        height=38,
        mark=axes.place(one.query.duration_ms, histogram.bounds_ms),
        labels=axes.decades(histogram.bounds_ms),
        title=f"Durations of {one.query.agent_type}",
    )
