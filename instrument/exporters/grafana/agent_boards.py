"""The dashboards of agents: an overview of all, and one of them in detail."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana.panels import Dashboard, Panel, Row, Target, figure, heat_map, lines, ranking
from instrument.exporters.grafana.promql import RANGE, Asking


def overview() -> Dashboard:
    """How all agents do."""
    ask = Asking("agent")
    seconds = names.AGENT_DURATION
    return Dashboard(
        "overview",
        "Agents: overview",
        "How many queries there are, how many fail, how long they take, and which agents stand out.",
        ask.variables,
        (
            *_figures(ask),
            lines(
                "Queries over time",
                "Queries that ended in a second, by how they ended.",
                "reqps",
                Target(ask.rate(names.QUERIES, "outcome"), "{{outcome}}"),
                kind="stacked",
            ),
            lines(
                "Failures over time",
                "Queries that failed in a second, by the error that failed them.",
                "reqps",
                Target(ask.rate(names.QUERY_ERRORS, "error_type"), "{{error_type}}"),
                kind="stacked",
            ),
            heat_map("Durations", "How many queries took how long.", "s", ask.buckets(seconds)),
            lines("Percentiles", "The median, p95 and p99 of queries' durations.", "s", *_percentiles(ask, seconds)),
            lines(
                "p95 by agent",
                "The p95 of each agent's durations.",
                "s",
                Target(ask.quantile(0.95, seconds, "gen_ai_agent_name"), "{{gen_ai_agent_name}}"),
            ),
            Row("Agents"),
            ranking(
                "Queries by agent",
                "Queries of each agent over the time shown.",
                "short",
                ask.growth(names.QUERIES, "agent"),
                "{{agent}}",
            ),
            ranking(
                "Failures by agent",
                "The share of each agent's queries that failed.",
                "percentunit",
                ask.share(names.QUERIES, names.FAILED, "agent", over=RANGE),
                "{{agent}}",
            ),
            ranking(
                "Time by agent",
                "The durations of each agent's queries together.",
                "s",
                ask.growth(seconds, "gen_ai_agent_name", end="_sum"),
                "{{gen_ai_agent_name}}",
            ),
            Row("What queries are about"),
            ranking(
                "Entities",
                "Queries in which each entity was detected.",
                "short",
                ask.growth(names.ENTITIES, "entity"),
                "{{entity}}",
            ),
            ranking(
                "Selections",
                "How often a selector chose each agent.",
                "short",
                ask.growth(names.SELECTIONS, "agent"),
                "{{agent}}",
            ),
            lines(
                "Complexity",
                "The mean complexity score of the choices of an agent.",
                "short",
                Target(ask.mean(names.COMPLEXITY), "mean"),
                width=8,
            ),
        ),
    )


def one_agent() -> Dashboard:
    """One agent in detail."""
    ask = Asking("agent", one="agent")
    seconds, tool = names.AGENT_DURATION, names.TOOL_DURATION
    return Dashboard(
        "agent",
        "Agents: one agent",
        "One agent in detail: its failures, durations, tools, models and what it costs.",
        ask.variables,
        (
            *_figures(ask),
            lines(
                "Queries over time",
                "The agent's queries that ended in a second, by how they ended.",
                "reqps",
                Target(ask.rate(names.QUERIES, "outcome"), "{{outcome}}"),
                kind="stacked",
            ),
            lines(
                "Failures over time",
                "The agent's queries that failed in a second, by error.",
                "reqps",
                Target(ask.rate(names.QUERY_ERRORS, "error_type"), "{{error_type}}"),
                kind="stacked",
            ),
            heat_map("Durations", "How many of the agent's queries took how long.", "s", ask.buckets(seconds)),
            lines("Percentiles", "The median, p95 and p99 of its durations.", "s", *_percentiles(ask, seconds)),
            lines(
                "Slow queries",
                "Queries in a second above the two limits of the settings.",
                "reqps",
                Target(ask.rate(names.SLOW_QUERIES), "slow"),
                Target(ask.rate(names.VERY_SLOW_QUERIES), "very slow"),
            ),
            Row("Its tools and models"),
            ranking(
                "Time by tool",
                "The durations of the agent's calls of each tool together.",
                "s",
                ask.growth(tool, "gen_ai_tool_name", end="_sum"),
                "{{gen_ai_tool_name}}",
            ),
            lines(
                "p95 by tool",
                "The p95 of the agent's calls of each tool.",
                "s",
                Target(ask.quantile(0.95, tool, "gen_ai_tool_name"), "{{gen_ai_tool_name}}"),
                width=8,
            ),
            lines(
                "Time to the first chunk",
                "The median and p95 of the time to the first chunk, of results that are streams.",
                "s",
                Target(ask.quantile(0.5, names.QUERY_FIRST_CHUNK), "p50"),
                Target(ask.quantile(0.95, names.QUERY_FIRST_CHUNK), "p95"),
                width=8,
            ),
            lines(
                "Tokens over time",
                "Tokens in a second, into and out of models.",
                "cps",
                Target(ask.rate(names.TOKENS_USED, "type"), "{{type}}"),
                kind="stacked",
            ),
            lines(
                "Cost over time",
                "US dollars in an hour, by model.",
                "currencyUSD",
                Target(f"3600 * {ask.rate(names.COST, 'model')}", "{{model}}"),
                kind="stacked",
            ),
        ),
        one="agent",
    )


def _figures(ask: Asking) -> tuple[Panel, ...]:
    seconds = names.AGENT_DURATION
    succeeded = f"1 - {ask.share(names.QUERIES, names.FAILED, over=RANGE)}"
    return (
        figure("Queries", "Queries that ended over the time shown.", "short", ask.growth(names.QUERIES)),
        figure(
            "Succeeded",
            "The share of queries that succeeded, of those that succeeded or failed.",
            "percentunit",
            succeeded,
            (0.99, 0.95),
            less_is_worse=True,
        ),
        figure("Median", "Half of the queries took no longer.", "s", ask.quantile(0.5, seconds, over=RANGE), (5, 30)),
        figure("p95", "95 of 100 queries took no longer.", "s", ask.quantile(0.95, seconds, over=RANGE), (5, 30)),
        figure("Tokens", "Tokens over the time shown.", "short", ask.growth(names.TOKENS_USED)),
        figure("Cost", "US dollars over the time shown.", "currencyUSD", ask.growth(names.COST)),
    )


def _percentiles(ask: Asking, metric: names.Metric) -> tuple[Target, ...]:
    return tuple(Target(ask.quantile(share, metric), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99))
