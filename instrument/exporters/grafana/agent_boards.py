"""The dashboards of agents: an overview of all, and one of them in detail."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana import shapes
from instrument.exporters.grafana.panels import Dashboard, Panel, Row, Target, figure, lines
from instrument.exporters.grafana.promql import RANGE, Asking


def overview() -> Dashboard:
    """How all agents do."""
    ask = Asking("agent")
    seconds, named = names.AGENT_DURATION, "gen_ai_agent_name"
    failed = "Queries that failed in a second, by the error that failed them."
    return Dashboard(
        "overview",
        "Agents: overview",
        "How many queries there are, how many fail, how long they take, and which agents stand out.",
        ask.variables,
        (
            *_figures(ask),
            shapes.rate(
                ask, "Queries over time", "Queries that ended in a second, by how they ended.", names.QUERIES, "outcome"
            ),
            shapes.rate(ask, "Failures over time", failed, names.QUERY_ERRORS, "error_type"),
            shapes.durations(ask, "Durations", "How many queries took how long.", seconds),
            lines("Percentiles", "The median, p95 and p99 of queries' durations.", "s", *_percentiles(ask, seconds)),
            shapes.p95(ask, "p95 by agent", "The p95 of each agent's durations.", seconds, named),
            Row("Agents"),
            *_by_agent(ask),
            Row("What queries are about"),
            *_about(ask),
        ),
    )


def _by_agent(ask: Asking) -> tuple[Panel, ...]:
    seconds, together = names.AGENT_DURATION, "The durations of each agent's queries together."
    failed = "The share of each agent's queries that failed."
    return (
        shapes.total(ask, "Queries by agent", "Queries of each agent over the time shown.", names.QUERIES, "agent"),
        shapes.failures(ask, "Failures by agent", failed, names.QUERIES, "agent"),
        shapes.total(ask, "Time by agent", together, seconds, "gen_ai_agent_name"),
    )


def _about(ask: Asking) -> tuple[Panel, ...]:
    detected, chosen = "Queries in which each entity was detected.", "How often a selector chose each agent."
    complexity = "The mean complexity score of the choices of an agent."
    return (
        shapes.total(ask, "Entities", detected, names.ENTITIES, "entity"),
        shapes.total(ask, "Selections", chosen, names.SELECTIONS, "agent"),
        lines("Complexity", complexity, "short", Target(ask.mean(names.COMPLEXITY), "mean"), width=8),
    )


def one_agent() -> Dashboard:
    """One agent in detail."""
    ask = Asking("agent", one="agent")
    seconds, failed = names.AGENT_DURATION, "The agent's queries that failed in a second, by error."
    ended = "The agent's queries that ended in a second, by how they ended."
    return Dashboard(
        "agent",
        "Agents: one agent",
        "One agent in detail: its failures, durations, tools, models and what it costs.",
        ask.variables,
        (
            *_figures(ask),
            shapes.rate(ask, "Queries over time", ended, names.QUERIES, "outcome"),
            shapes.rate(ask, "Failures over time", failed, names.QUERY_ERRORS, "error_type"),
            shapes.durations(ask, "Durations", "How many of the agent's queries took how long.", seconds),
            lines("Percentiles", "The median, p95 and p99 of its durations.", "s", *_percentiles(ask, seconds)),
            lines(
                "Slow queries",
                "Queries in a second above the two limits of the settings.",
                "reqps",
                Target(ask.rate(names.SLOW_QUERIES), "slow"),
                Target(ask.rate(names.VERY_SLOW_QUERIES), "very slow"),
            ),
            Row("Its tools and models"),
            *_its_calls(ask),
            shapes.tokens(ask),
            shapes.hourly_cost(ask, "Cost over time"),
        ),
        one="agent",
    )


def _its_calls(ask: Asking) -> tuple[Panel, ...]:
    tool, named = names.TOOL_DURATION, "gen_ai_tool_name"
    together = "The durations of the agent's calls of each tool together."
    return (
        shapes.total(ask, "Time by tool", together, tool, named),
        shapes.p95(ask, "p95 by tool", "The p95 of the agent's calls of each tool.", tool, named, width=8),
        lines(
            "Time to the first chunk",
            "The median and p95 of the time to the first chunk, of results that are streams.",
            "s",
            Target(ask.quantile(0.5, names.QUERY_FIRST_CHUNK), "p50"),
            Target(ask.quantile(0.95, names.QUERY_FIRST_CHUNK), "p95"),
            width=8,
        ),
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
