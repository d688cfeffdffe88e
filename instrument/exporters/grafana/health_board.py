"""The dashboard of the store's health."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana.panels import Dashboard, Target, figure, lines
from instrument.exporters.grafana.promql import RANGE, RATE, Asking


def health() -> Dashboard:
    """Whether recording and serving are well."""
    ask = Asking("agent")
    newest = ask.series(names.LAST_QUERY)
    return Dashboard(
        "health",
        "Agents: health of the store",
        "Whether records are lost, lines cannot be read, or an agent has gone silent.",
        ask.variables,
        (
            figure(
                "Records dropped",
                "Records that could not be kept over the time shown.",
                "short",
                f"sum(increase({ask.series(names.RECORDS_DROPPED)}[{RANGE}])) or vector(0)",
                (1.0, 100.0),
                width=6,
            ),
            figure(
                "Problems",
                "Faults while recording over the time shown.",
                "short",
                f"sum(increase({ask.series(names.PROBLEMS)}[{RANGE}])) or vector(0)",
                (1.0, 100.0),
                width=6,
            ),
            figure(
                "Lines skipped",
                "Lines of the store that were no records.",
                "short",
                f"sum({ask.series(names.LINES_SKIPPED)})",
                (1.0, 100.0),
                width=6,
            ),
            figure(
                "Newest query",
                "When the newest query ended.",
                "dateTimeFromNow",
                f"1000 * max({newest})",
                width=6,
            ),
            lines(
                "Records dropped by reason",
                "Records that could not be kept, in each step of the chart.",
                "short",
                Target(ask.growth(names.RECORDS_DROPPED, "reason", over=RATE), "{{reason}}"),
                kind="stacked",
            ),
            lines(
                "Problems by kind",
                "Faults while recording, in each step of the chart.",
                "short",
                Target(ask.growth(names.PROBLEMS, "kind", over=RATE), "{{kind}}"),
                kind="stacked",
            ),
            lines(
                "Silence by agent",
                "How long ago each agent's newest query ended.",
                "s",
                Target(f"time() - max by (agent) ({newest})", "{{agent}}"),
            ),
            lines(
                "Nested queries",
                "Queries inside queries that ended in a second; no other panel counts them.",
                "reqps",
                Target(ask.rate(names.NESTED_QUERIES, "agent"), "{{agent}}"),
            ),
            lines(
                "Custom metrics",
                "Values of custom metrics that were recorded, in a second.",
                "cps",
                Target(ask.rate(names.METRIC_VALUES, "metric"), "{{metric}}"),
            ),
            lines(
                "Versions",
                "The versions of agent-instrument that serve metrics.",
                "short",
                Target(f"count by (version) ({ask.series(names.BUILD)})", "{{version}}"),
            ),
        ),
    )
