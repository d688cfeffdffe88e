"""The dashboards of calls: tools and GraphQL, models and cost."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana import shapes
from instrument.exporters.grafana.panels import Dashboard, Panel, Row, Target, figure, lines
from instrument.exporters.grafana.promql import Asking


def tools() -> Dashboard:
    """Tools and GraphQL operations."""
    ask = Asking("tool", "operation")
    return Dashboard(
        "tools",
        "Agents: tools and GraphQL",
        "Which tools and GraphQL operations are called, which fail, and where the time goes.",
        ask.variables,
        (Row("Tools"), *_of_tools(ask), Row("GraphQL"), *_of_operations(ask)),
    )


def _of_tools(ask: Asking) -> tuple[Panel, ...]:
    tool, named = names.TOOL_DURATION, "gen_ai_tool_name"
    errors = "Errors that calls raised, each counted where it was raised."
    failed = "The share of each tool's calls that failed."
    return (
        shapes.rate(ask, "Tool calls", "Tool calls that ended in a second.", tool, named),
        shapes.p95(ask, "p95 of tools", "The p95 of each tool's durations.", tool, named),
        shapes.durations(ask, "Durations of tool calls", "How many tool calls took how long.", tool),
        shapes.total(ask, "Time by tool", "The durations of each tool's calls together.", tool, named),
        shapes.failures(ask, "Failures by tool", failed, names.CALLS, "name", kind="tool"),
        shapes.total(ask, "Errors of calls", errors, names.CALL_ERRORS, "error_type"),
    )


def _of_operations(ask: Asking) -> tuple[Panel, ...]:
    graphql, by = names.GRAPHQL_DURATION, "operation"
    together = "The durations of each operation's calls together."
    failed = "The share of each operation's calls that failed."
    return (
        shapes.rate(ask, "GraphQL calls", "GraphQL calls that ended in a second.", graphql, by),
        shapes.p95(ask, "p95 of operations", "The p95 of each operation's durations.", graphql, by),
        shapes.total(ask, "Time by operation", together, graphql, by, width=12),
        shapes.failures(ask, "Failures by operation", failed, names.CALLS, "name", width=12, kind="graphql"),
    )


def models() -> Dashboard:
    """Models, tokens and cost."""
    ask = Asking("agent", "model")
    seconds, chunk, model = names.MODEL_DURATION, names.MODEL_FIRST_CHUNK, "gen_ai_request_model"
    first = "The p95 of the time to the first chunk of an answer."
    return Dashboard(
        "models",
        "Agents: models and cost",
        "Which models are called, how fast they answer, how many tokens they take and what that costs.",
        ask.variables,
        (
            *_totals(ask),
            shapes.hourly_cost(ask, "Cost by model"),
            shapes.tokens(ask),
            shapes.durations(ask, "Durations of model calls", "How many model calls took how long.", seconds),
            shapes.rate(ask, "Model calls", "Model calls that ended in a second.", seconds, model, width=8),
            shapes.p95(ask, "p95 by model", "The p95 of each model's durations.", seconds, model, width=8),
            shapes.p95(ask, "First chunk by model", first, chunk, model, width=8),
            *_of_agents(ask),
            lines(
                "Tokens of a call",
                "The median number of tokens of one model call, in and out.",
                "short",
                Target(ask.quantile(0.5, names.TOKEN_USAGE, "gen_ai_token_type"), shapes.legend("gen_ai_token_type")),
                width=8,
            ),
        ),
    )


def _of_agents(ask: Asking) -> tuple[Panel, ...]:
    cost, used = "US dollars that each agent's queries cost.", "Tokens that each agent's queries used."
    return (
        shapes.total(ask, "Cost by agent", cost, names.COST, "agent", unit="currencyUSD"),
        shapes.total(ask, "Tokens by agent", used, names.TOKENS_USED, "agent"),
    )


def _totals(ask: Asking) -> tuple[Panel, ...]:
    given = ask.growth(names.TOKENS_USED, type=names.INPUT)
    gave = ask.growth(names.TOKENS_USED, type=names.OUTPUT)
    cached = f"{ask.growth(names.CACHED_TOKENS)} / {given}"
    share = "The share of the input tokens that the provider had cached."
    return (
        figure("Cost", "US dollars over the time shown.", "currencyUSD", ask.growth(names.COST), width=6),
        figure("Input tokens", "Tokens given to models over the time shown.", "short", given, width=6),
        figure("Output tokens", "Tokens that models answered over the time shown.", "short", gave, width=6),
        figure("From a cache", share, "percentunit", cached, width=6),
    )
