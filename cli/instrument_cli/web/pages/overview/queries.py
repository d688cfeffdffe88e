"""Agents on the overview, each with its 95th percentile over time, beside the newest queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.front_page import FrontPage
from instrument.analysis.results import AgentFigures
from instrument.analysis.standing_out import stands_out
from instrument.analysis.wording import count, dollars, duration, percent, short
from instrument_cli.web import rows
from instrument_cli.web.charts import small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.rows_file import over_time_picture
from instrument_cli.web.html import Element, joined, tag
from instrument_cli.web.layout import chart_link, filter_link, panel, table

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_AGENTS = 12
_AGENT_HEADS = [
    ("Agent", ""),
    ("Queries", "number"),
    ("", "bar-cell opt2"),
    ("Succeeded", "number"),
    ("Average", "number opt"),
    ("p95", "number"),
    ("p95 over time", "bar-cell opt2"),
    ("Cost", "number opt3"),
]
_LATEST_HEADS = [("Time", ""), ("Agent", "opt3"), ("Input", "wide"), ("Took", "number")]


def agents(view: View, known: FrontPage) -> Element:
    """Draw the agents."""
    everyone = known.report.agents
    lines = [_agent(view, known, name, one) for name, one in list(everyone.items())[:_AGENTS]]
    more = [tag("a", f"compare all {count(len(everyone))}", href=view.href("/agents"))]
    more += [chart_link(view, "agents", what="p95 over time")] if known.agents else []
    return panel("Agents", table(_AGENT_HEADS, lines, caption="Agents"), more=joined(more), key="agents")


def _agent(view: View, known: FrontPage, name: str, one: AgentFigures) -> Element:
    most = max(each.queries for each in known.report.agents.values())
    failed, total = known.report.queries.failed, known.report.queries.total
    stands = stands_out(one.failed, one.queries, failed - one.failed, total - one.queries)
    series = known.agents.get(name)
    return tag(
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


def charts(known: FrontPage) -> dict[str, Chart]:
    """The agents' 95th percentiles over time, as one picture."""
    named = [(name, one) for name, one in list(known.report.agents.items())[:_AGENTS] if name in known.agents]
    if not named:
        return {}
    lines = [(name, known.agents[name].values, duration(one.p95_ms)) for name, one in named]
    begin, end = known.period.since or known.period.until, known.period.until
    picture = over_time_picture(lines, begin, end, known.period.zone)
    return {"agents": Chart("95th percentile of each agent over time", picture)}


def latest(view: View, known: FrontPage) -> Element:
    """Draw the newest queries."""
    lines = [rows.short_row(view, each, known.period.zone) for each in known.latest.lines]
    body = table(_LATEST_HEADS, lines, class_="latest", caption="Newest queries")
    return panel("Newest", body, more=tag("a", "all queries", href=view.href("/queries")), key="latest")
