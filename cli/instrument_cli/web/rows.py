"""Queries as rows of a table: in the list of queries, and the short form beside the overview's agents."""

from __future__ import annotations

import math
from datetime import tzinfo

from instrument.analysis.results import QueryLine
from instrument.analysis.wording import NOTHING, count, dollars, duration
from instrument.analysis.wording import moment as moment_of
from instrument.records import QueryRecord
from instrument_cli.web import words
from instrument_cli.web.charts import small
from instrument_cli.web.html import Element, tag, text
from instrument_cli.web.layout import filter_link
from instrument_cli.web.view import View

MOST_INPUT = 240
"""Characters of an input that a row shows: the rest is on the query's own page."""

HEADS = [
    ("Time", ""),
    ("Agent", "opt3"),
    ("Input", "wide"),
    ("Outcome", "ended"),
    ("Duration", "number"),
    ("", "bar-cell opt"),
    ("Tools", "number opt"),
    ("GraphQL", "number opt"),
    ("Tokens", "number opt2"),
    ("Cost", "number opt2"),
]


def cut(words_: str, most: int = MOST_INPUT) -> str:
    """A text cut to so many characters, with an ellipsis where something is missing."""
    return words_ if len(words_) <= most else words_[: most - 1].rstrip() + "…"


def tokens_of(query: QueryLine | QueryRecord) -> str:
    """Input and output tokens together."""
    known = [each for each in (query.input_tokens, query.output_tokens) if each is not None]
    return count(sum(known)) if known else NOTHING


def is_bad(query: QueryLine | QueryRecord) -> bool:
    """Whether a query failed."""
    return not query.success and query.status != "cancelled"


def row(view: View, query: QueryLine | QueryRecord, zone: tzinfo) -> Element:
    """A query in the list of queries."""
    share = min(1.0, max(0.0, (math.log10(max(query.duration_ms, 1.0))) / 5))
    bad = is_bad(query)
    calls = [count(number) if number else NOTHING for number in (query.tool_calls, query.graphql_queries)]
    cells = [
        tag("td", words.moment(moment_of(query.start_time), zone, split=True), class_="quiet"),
        tag("td", filter_link(view, "agent", query.agent_type, path="/queries"), class_="name opt3"),
        tag(
            "td",
            tag("a", text(cut(query.user_input) or "(no input)"), href=address(view, query), class_="open"),
            class_="wide",
        ),
        tag("td", words.outcome(query.status, query.success, query.error_type), class_="ended"),
        tag("td", duration(query.duration_ms), class_="number"),
        tag("td", small.bar(share, width=40, bad=bad), class_="bar-cell opt"),
        *(tag("td", number, class_="number quiet opt") for number in calls),
        tag("td", tokens_of(query), class_="number quiet opt2"),
        tag("td", dollars(query.cost_usd), class_="number quiet opt2"),
    ]
    return tag(
        "tr", *cells, class_="query bad" if bad else "query", data_id=query.query_id, data_key=f"q-{query.query_id}"
    )


def short_row(view: View, query: QueryLine | QueryRecord, zone: tzinfo) -> Element:
    """A query beside the overview's agents."""
    bad = is_bad(query)
    return tag(
        "tr",
        tag("td", words.moment(moment_of(query.start_time), zone, dated=False), class_="quiet"),
        tag("td", text(query.agent_type), class_="name quiet opt3"),
        tag(
            "td",
            tag("a", text(cut(query.user_input, 90) or "(no input)"), href=address(view, query), class_="open"),
            class_="wide",
        ),
        tag(
            "td",
            tag("span", "▲ ", class_="mark", title="failed") if bad else None,
            duration(query.duration_ms),
            class_="number",
        ),
        class_="query bad" if bad else "query",
        data_id=query.query_id,
        data_key=f"q-{query.query_id}",
    )


def address(view: View, query: QueryLine | QueryRecord) -> str:
    """The page of a query, with the filter and the order that previous and next keep to."""
    kept = {"sort": view.get("sort") or None, "q": view.get("q") or None}
    return view.href(f"/queries/{query.query_id}", **kept)
