"""The dashboards of calls: tools and GraphQL, models and cost."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana.panels import Dashboard, Row, Target, figure, heat_map, lines, ranking
from instrument.exporters.grafana.promql import RANGE, Asking


def tools() -> Dashboard:
    """Tools and GraphQL operations."""
    ask = Asking("tool", "operation")
    tool, graphql = names.TOOL_DURATION, names.GRAPHQL_DURATION
    named, operation = "gen_ai_tool_name", "operation"
    return Dashboard(
        "tools",
        "Agents: tools and GraphQL",
        "Which tools and GraphQL operations are called, which fail, and where the time goes.",
        ask.variables,
        (
            Row("Tools"),
            lines(
                "Tool calls",
                "Tool calls that ended in a second.",
                "reqps",
                Target(ask.rate(tool, named, end="_count"), "{{gen_ai_tool_name}}"),
                kind="stacked",
            ),
            lines(
                "p95 of tools",
                "The p95 of each tool's durations.",
                "s",
                Target(ask.quantile(0.95, tool, named), "{{gen_ai_tool_name}}"),
            ),
            heat_map("Durations of tool calls", "How many tool calls took how long.", "s", ask.buckets(tool)),
            ranking(
                "Time by tool",
                "The durations of each tool's calls together.",
                "s",
                ask.growth(tool, named, end="_sum"),
                "{{gen_ai_tool_name}}",
            ),
            ranking(
                "Failures by tool",
                "The share of each tool's calls that failed.",
                "percentunit",
                ask.share(names.CALLS, names.FAILED, "name", over=RANGE, kind="tool"),
                "{{name}}",
            ),
            ranking(
                "Errors of calls",
                "Errors that calls raised, each counted where it was raised.",
                "short",
                ask.growth(names.CALL_ERRORS, "error_type"),
                "{{error_type}}",
            ),
            Row("GraphQL"),
            lines(
                "GraphQL calls",
                "GraphQL calls that ended in a second.",
                "reqps",
                Target(ask.rate(graphql, operation, end="_count"), "{{operation}}"),
                kind="stacked",
            ),
            lines(
                "p95 of operations",
                "The p95 of each operation's durations.",
                "s",
                Target(ask.quantile(0.95, graphql, operation), "{{operation}}"),
            ),
            ranking(
                "Time by operation",
                "The durations of each operation's calls together.",
                "s",
                ask.growth(graphql, operation, end="_sum"),
                "{{operation}}",
                width=12,
            ),
            ranking(
                "Failures by operation",
                "The share of each operation's calls that failed.",
                "percentunit",
                ask.share(names.CALLS, names.FAILED, "name", over=RANGE, kind="graphql"),
                "{{name}}",
                width=12,
            ),
        ),
    )


def models() -> Dashboard:
    """Models, tokens and cost."""
    ask = Asking("agent", "model")
    seconds, chunk, model = names.MODEL_DURATION, names.MODEL_FIRST_CHUNK, "gen_ai_request_model"
    return Dashboard(
        "models",
        "Agents: models and cost",
        "Which models are called, how fast they answer, how many tokens they take and what that costs.",
        ask.variables,
        (
            figure("Cost", "US dollars over the time shown.", "currencyUSD", ask.growth(names.COST), width=6),
            figure(
                "Input tokens",
                "Tokens given to models over the time shown.",
                "short",
                ask.growth(names.TOKENS_USED, type=names.INPUT),
                width=6,
            ),
            figure(
                "Output tokens",
                "Tokens that models answered over the time shown.",
                "short",
                ask.growth(names.TOKENS_USED, type=names.OUTPUT),
                width=6,
            ),
            figure(
                "From a cache",
                "The share of the input tokens that the provider had cached.",
                "percentunit",
                f"{ask.growth(names.CACHED_TOKENS)} / {ask.growth(names.TOKENS_USED, type=names.INPUT)}",
                width=6,
            ),
            lines(
                "Cost by model",
                "US dollars in an hour, by model.",
                "currencyUSD",
                Target(f"3600 * {ask.rate(names.COST, 'model')}", "{{model}}"),
                kind="stacked",
            ),
            lines(
                "Tokens over time",
                "Tokens in a second, into and out of models.",
                "cps",
                Target(ask.rate(names.TOKENS_USED, "type"), "{{type}}"),
                kind="stacked",
            ),
            heat_map("Durations of model calls", "How many model calls took how long.", "s", ask.buckets(seconds)),
            lines(
                "Model calls",
                "Model calls that ended in a second.",
                "reqps",
                Target(ask.rate(seconds, model, end="_count"), "{{gen_ai_request_model}}"),
                kind="stacked",
                width=8,
            ),
            lines(
                "p95 by model",
                "The p95 of each model's durations.",
                "s",
                Target(ask.quantile(0.95, seconds, model), "{{gen_ai_request_model}}"),
                width=8,
            ),
            lines(
                "First chunk by model",
                "The p95 of the time to the first chunk of an answer.",
                "s",
                Target(ask.quantile(0.95, chunk, model), "{{gen_ai_request_model}}"),
                width=8,
            ),
            ranking(
                "Cost by agent",
                "US dollars that each agent's queries cost.",
                "currencyUSD",
                ask.growth(names.COST, "agent"),
                "{{agent}}",
            ),
            ranking(
                "Tokens by agent",
                "Tokens that each agent's queries used.",
                "short",
                ask.growth(names.TOKENS_USED, "agent"),
                "{{agent}}",
            ),
            lines(
                "Tokens of a call",
                "The median number of tokens of one model call, in and out.",
                "short",
                Target(ask.quantile(0.5, names.TOKEN_USAGE, "gen_ai_token_type"), "{{gen_ai_token_type}}"),
                width=8,
            ),
        ),
    )
