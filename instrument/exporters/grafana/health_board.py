"""The dashboard of the store's health."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana import shapes
from instrument.exporters.grafana.panels import Dashboard, Panel, Target, figure, lines
from instrument.exporters.grafana.promql import RANGE, RATE, Asking

_FEW, _MANY = 1.0, 100.0


def health() -> Dashboard:
    """Whether recording and serving are well."""
    ask = Asking("agent")
    nested = "Queries inside queries that ended in a second; no other panel counts them."
    custom = "Values of custom metrics that were recorded, in a second."
    return Dashboard(
        "health",
        "Agents: health of the store",
        "Whether records are lost, lines cannot be read, or an agent has gone silent.",
        ask.variables,
        (
            *_figures(ask),
            _in_steps(
                ask, "Records dropped by reason", "Records that could not be kept", names.RECORDS_DROPPED, "reason"
            ),
            _in_steps(ask, "Problems by kind", "Faults while recording", names.PROBLEMS, "kind"),
            lines(
                "Silence by agent",
                "How long ago each agent's newest query ended.",
                "s",
                Target(f"time() - max by (agent) ({ask.series(names.LAST_QUERY)})", "{{agent}}"),
            ),
            shapes.rate(ask, "Nested queries", nested, names.NESTED_QUERIES, "agent", kind="lines"),
            shapes.rate(ask, "Custom metrics", custom, names.METRIC_VALUES, "metric", unit="cps", kind="lines"),
            lines(
                "Versions",
                "The versions of agent-instrument that serve metrics.",
                "short",
                Target(f"count by (version) ({ask.series(names.BUILD)})", "{{version}}"),
            ),
        ),
    )


def _in_steps(ask: Asking, title: str, what: str, metric: names.Metric, by: str) -> Panel:
    grown = Target(ask.growth(metric, by, over=RATE), shapes.legend(by))
    return lines(title, f"{what}, in each step of the chart.", "short", grown, kind="stacked")


def _figures(ask: Asking) -> tuple[Panel, ...]:
    dropped, problems = (
        f"sum(increase({ask.series(metric)}[{RANGE}])) or vector(0)"
        for metric in (names.RECORDS_DROPPED, names.PROBLEMS)
    )
    skipped, newest = f"sum({ask.series(names.LINES_SKIPPED)})", f"1000 * max({ask.series(names.LAST_QUERY)})"
    limits, lost = (_FEW, _MANY), "Records that could not be kept over the time shown."
    return (
        figure("Records dropped", lost, "short", dropped, limits, width=6),
        figure("Problems", "Faults while recording over the time shown.", "short", problems, limits, width=6),
        figure("Lines skipped", "Lines of the store that were no records.", "short", skipped, limits, width=6),
        figure("Newest query", "When the newest query ended.", "dateTimeFromNow", newest, width=6),
    )
