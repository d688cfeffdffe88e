"""One query: what was asked, how it ended, where its time went, and where it lies among its agent's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from instrument.analysis import listing
from instrument.analysis.filters import picked
from instrument.analysis.listing import Key, Standing
from instrument.analysis.periods import Period, zone_of
from instrument.analysis.results import QueryLine
from instrument.analysis.search import SORTS
from instrument.analysis.time_spent import TimeSpent, time_spent
from instrument.analysis.wording import count, dollars, duration, percent, size, zone_name
from instrument.analysis.wording import moment as moment_of
from instrument.errors import UsageError
from instrument.records import QueryRecord
from instrument.store.tables import microseconds
from instrument_cli.web import rows, words
from instrument_cli.web.charts import axes, small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.rows_file import waterfall_picture
from instrument_cli.web.charts.waterfall import waterfall
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Child, Element, joined, tag, text
from instrument_cli.web.layout import chart_link, filter_link, panel, table
from instrument_cli.web.pages import Drawn
from instrument_cli.web.pages.queries import where_of
from instrument_cli.web.reading import at_query

if TYPE_CHECKING:
    from instrument.reading import Store
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

AMONG = timedelta(days=7)
"""How far back the queries lie that one is held against."""

_INSIDE = timedelta(days=1)
"""How long after its start the calls and queries inside one are looked for."""


class _Found(NamedTuple):
    query: QueryRecord
    spent: TimeSpent
    standing: Standing
    inside: list[QueryLine]
    above: str | None
    below: str | None


def draw(site: Site, view: View) -> Drawn:
    """Draw a query by the id in the path."""
    query_id = view.path.rpartition("/")[2]
    zone, name = zone_of(view.zone_name(site))
    found = _found(site, view, query_id)
    query = found.query
    main = tag("div", _waterfall(view, found), _sub_queries(view, found, zone), class_="column")
    side = tag("div", _facts(view, query, zone), _own_time(found), class_="column")
    body = tag(
        "article",
        _heading(view, found, zone),
        tag("div", main, side, class_="grid two wide-left"),
        class_="one",
        data_id=query.query_id,
    )
    moment = moment_of(query.start_time)
    covered = Period(moment, moment, moment, zone, name)
    return Drawn("Query", body, covered, None, bar=False, charts=_charts(found))


_KINDS = (
    ("tool", "tool"),
    ("graphql", "GraphQL"),
    ("model", "model"),
    ("failed", "failed"),
    ("outside", "outside any call"),
    ("critical", "critical path"),
)


def _charts(found: _Found) -> dict[str, Chart]:
    query = found.query
    title = f"{query.agent_type}: {rows.cut(query.user_input, 80)}"
    charts = {"calls": Chart(title, waterfall_picture(query, found.spent), _KINDS)} if query.calls else {}
    if _has_standing(found):
        charts["standing"] = Chart(f"Durations of {query.agent_type}", _durations(found), (("p95", "this query"),))
    return charts


def _found(site: Site, view: View, query_id: str) -> _Found:
    query, inside = at_query(site, query_id, lambda store: _looked_up(store, query_id), _INSIDE)
    start = moment_of(query.start_time)
    view_of_agent = view.moved(
        period="", since=_day(start - AMONG), until=_day(start + timedelta(days=1)), tz="UTC", where=()
    )
    standing: Standing = figures_of(site).of(
        view_of_agent,
        "standing",
        lambda of: listing.standing(of.tables, query.agent_type, query.duration_ms),
        query.agent_type,
        query.duration_ms,
    )
    above, below = _neighbours(site, view, query)
    return _Found(query, time_spent(query), standing, inside, above, below)


def _looked_up(store: Store, query_id: str) -> tuple[QueryRecord, list[QueryLine]]:
    query = store.query(query_id)
    return query, listing.inside(store.tables, query.query_id)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _neighbours(site: Site, view: View, query: QueryRecord) -> tuple[str | None, str | None]:
    """Previous and next within the filter and the order of the list that one came from."""
    sort = view.get("sort", "time")
    if sort not in SORTS:
        return None, None
    where = tuple(where_of(view))
    values = {
        "time": microseconds(moment_of(query.start_time)),
        "duration": round(query.duration_ms * 1e6),
        "cost": query.cost_usd or 0,
        "tokens": (query.input_tokens or 0) + (query.output_tokens or 0),
        "calls": query.tool_calls + query.graphql_queries + query.model_calls,
    }
    key = Key(float(values[sort]), microseconds(moment_of(query.start_time)), query.query_id)

    def looked_up(store: Store) -> tuple[str | None, str | None]:
        return listing.neighbours(picked(store.tables, where), sort, key)

    try:
        found: tuple[str | None, str | None] = figures_of(site).of(
            view.moved(where=where), "neighbours", looked_up, sort, query.query_id
        )
    except UsageError:  # a filter on a name that nothing of the period has
        return None, None
    return found


def _heading(view: View, found: _Found, zone: tzinfo) -> Element:
    query = found.query
    kept = {"sort": view.get("sort") or None, "q": view.get("q") or None}
    trail = tag(
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
            tag(
                "a",
                "← newer" if not kept["sort"] else "← previous",
                href=view.href(f"/queries/{found.above}", **kept),
                rel="prev",
            )
            if found.above
            else None,
            " ",
            tag(
                "a",
                "older →" if not kept["sort"] else "next →",
                href=view.href(f"/queries/{found.below}", **kept),
                rel="next",
            )
            if found.below
            else None,
            class_="step",
        ),
        class_="trail",
    )
    long = len(query.user_input) > 400 or query.user_input.count("\n") > 6
    words_ = tag("h2", text(rows.cut(query.user_input, 400) or "(no input)"), class_="asked", dir="auto")
    whole = tag("details", tag("summary", "The whole input"), tag("pre", text(query.user_input))) if long else None
    error = None
    if rows.is_bad(query):
        error = tag(
            "p",
            tag("strong", text(query.error_type or query.status)),
            " ",
            text(rows.cut(query.error_message or "", 2000)),
            class_="error",
        )
    in_calls = 1 - found.spent.outside_ms / query.duration_ms if query.duration_ms and query.calls else None
    calls = [
        f"{count(number)} {name}"
        for number, name in (
            (query.tool_calls, "tool"),
            (query.graphql_queries, "GraphQL"),
            (query.model_calls, "model"),
        )
        if number
    ]
    figures = [
        ("Outcome", words.outcome(query.status, query.success, query.error_type)),
        ("Duration", duration(query.duration_ms)),
        ("In calls", percent(in_calls)),
        ("Calls", " · ".join(calls) or "none"),
        ("Cost", dollars(query.cost_usd)),
    ]
    drawn = tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in figures), class_="figures small"
    )
    return tag(
        "section",
        trail,
        words_,
        whole,
        error,
        tag("div", drawn, _standing(view, found), class_="lead"),
        class_="panel heading",
    )


def _has_standing(found: _Found) -> bool:
    return found.standing.queries >= 2 and len(found.standing.histogram.bounds_ms) >= 2


def _standing(view: View, found: _Found) -> Element | None:
    standing, query = found.standing, found.query
    if not _has_standing(found):
        return None
    words_ = tag(
        "figcaption",
        f"Slower than {percent(standing.faster)} of {count(standing.queries)} by ",
        text(query.agent_type),
        ", in the 7 days before ",
        chart_link(view, "standing"),
    )
    return tag("figure", words_, _durations(found), class_="standing")


def _durations(found: _Found) -> Element:
    histogram = found.standing.histogram
    return small.columns(
        histogram.queries,
        width=260,
        height=38,
        mark=axes.place(found.query.duration_ms, histogram.bounds_ms),
        labels=axes.decades(histogram.bounds_ms),
    )


def _waterfall(view: View, found: _Found) -> Element:
    query = found.query
    if not query.calls:
        counted = query.tool_calls + query.graphql_queries + query.model_calls
        return panel(
            "Where the time went",
            tag(
                "p",
                "No call was recorded inside it." if not counted else "Its calls are known by their number only.",
                class_="quiet",
            ),
        )
    legend = tag(
        "span",
        *(tag("span", tag("i", class_=f"key {kind}"), name) for kind, name in _KINDS),
        class_="legend",
    )
    zoom = tag(
        "span",
        tag("button", "Collapse", type="button", class_="plain", data_collapse="yes"),
        tag("button", "−", type="button", class_="plain", data_zoom="out", aria_label="Zoom out"),
        tag("button", "+", type="button", class_="plain", data_zoom="in", aria_label="Zoom in"),
        class_="tools script",
    )
    return panel(
        "Where the time went",
        tag(
            "div",
            waterfall(query, found.spent),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Calls over time",
        ),
        more=joined([legend, zoom, chart_link(view, "calls")]),
        class_="where",
    )


def _sub_queries(view: View, found: _Found, zone: tzinfo) -> Element | None:
    if not found.inside:
        return None
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
        for each in found.inside
    ]
    return panel(
        "Queries inside it",
        table(
            [("Agent", ""), ("Input", "wide"), ("Outcome", ""), ("Took", "number")], lines, caption="Queries inside it"
        ),
    )


def _facts(view: View, query: QueryRecord, zone: tzinfo) -> Element:
    choice = query.selection
    facts: list[tuple[str, Child]] = [("Started", _started(query, zone))]
    facts += [("Recorded by", text(query.name))] if query.name else []
    facts += [("Model", filter_link(view, "model", query.model, path="/queries"))] if query.model else []
    if query.input_tokens is not None or query.output_tokens is not None:
        facts.append(("Tokens", f"{count(query.input_tokens or 0)} in · {count(query.output_tokens or 0)} out"))
    facts += [("Cost", dollars(query.cost_usd))] if query.cost_usd is not None else []
    facts += [("First chunk", duration(query.first_chunk_ms))] if query.first_chunk_ms is not None else []
    facts += [("Answer", size(query.result_size_bytes))] if query.result_size_bytes is not None else []
    facts += (
        [
            (
                "Entities",
                [joined([filter_link(view, "entity", each, path="/queries"), " "]) for each in query.entities_detected],
            )
        ]
        if query.entities_detected
        else []
    )
    if choice is not None:
        score = "" if choice.complexity_score is None else f" (score {choice.complexity_score:.3f})"
        facts.append(("Chosen because", joined([text(choice.selection_reason or "no reason was given"), score])))
    facts += (
        [("Inside", tag("a", "another query", href=view.href(f"/queries/{query.parent_id}")))]
        if query.parent_id
        else []
    )
    facts += [("Stands for", f"{query.weight:g} queries")] if query.weight != 1 else []
    facts += (
        [("Process", text(" · ".join(str(part) for part in (query.host, query.process) if part)))]
        if query.host or query.process
        else []
    )
    for name, value in query.attributes.items():
        written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        facts.append(
            (name, filter_link(view, f"attribute:{name}", written, path="/queries", shown=text(rows.cut(written, 300))))
        )
    facts += [(name, f"{number:,.6g}") for name, number in query.metrics.items()]
    return panel(
        "Facts",
        tag("dl", *(tag("div", tag("dt", text(name)), tag("dd", value)) for name, value in facts), class_="facts"),
    )


def _started(query: QueryRecord, zone: tzinfo) -> Element:
    moment = moment_of(query.start_time).astimezone(zone)
    return tag(
        "time", f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M:%S} {zone_name(moment)}", datetime=query.start_time
    )


def _own_time(found: _Found) -> Element | None:
    if not found.spent.by_name:
        return None
    outside = [("", "outside any call", found.spent.outside_ms)] if found.spent.outside_ms > 0 else []
    listed = sorted([*found.spent.by_name[:15], *outside], key=lambda one: -one[2])
    most = listed[0][2] or 1.0
    lines = [
        tag(
            "tr",
            tag("td", text(name) if kind else name, class_="name" if kind else "name quiet"),
            tag("td", duration(spent), class_="number"),
            tag("td", small.bar(spent / most), class_="bar-cell"),
        )
        for kind, name, spent in listed
    ]
    return panel(
        "Own time by name",
        tag(
            "table",
            tag(
                "thead",
                tag(
                    "tr",
                    tag("th", "Call", scope="col"),
                    tag("th", "Own time", scope="col", class_="number"),
                    tag("td", ""),
                ),
            ),
            tag("tbody", *lines),
        ),
        hint="without the calls inside",
    )
