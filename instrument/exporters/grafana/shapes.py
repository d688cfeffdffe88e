"""Panels in the shapes that come again and again: a rate, a percentile, a total and a share of failures, by a label."""

from __future__ import annotations

from instrument.exporters import names
from instrument.exporters.grafana.panels import Kind, Panel, Target, Unit, heat_map, lines, ranking
from instrument.exporters.grafana.promql import RANGE, Asking
from instrument.exporters.names import Metric


def rate(
    ask: Asking,
    title: str,
    description: str,
    metric: Metric,
    by: str,
    *,
    unit: Unit = "reqps",
    width: int = 12,
    kind: Kind = "stacked",
) -> Panel:
    """What a counter grows by in a second, or how many values a histogram takes in."""
    grown = ask.rate(metric, by, end="_count" if metric.type == "histogram" else "")
    return lines(title, description, unit, Target(grown, legend(by)), width=width, kind=kind)


def hourly_cost(ask: Asking, title: str) -> Panel:
    """What models cost."""
    target = Target(f"3600 * {ask.rate(names.COST, 'model')}", legend("model"))
    return lines(title, "US dollars in an hour, by model.", "currencyUSD", target, kind="stacked")


def tokens(ask: Asking) -> Panel:
    """Tokens in and out."""
    return rate(
        ask, "Tokens over time", "Tokens in a second, into and out of models.", names.TOKENS_USED, "type", unit="cps"
    )


def p95(ask: Asking, title: str, description: str, metric: Metric, by: str, *, width: int = 12) -> Panel:
    """The p95 of a histogram of seconds."""
    return lines(title, description, "s", Target(ask.quantile(0.95, metric, by), legend(by)), width=width)


def durations(ask: Asking, title: str, description: str, metric: Metric) -> Panel:
    """A heat map of a histogram of seconds."""
    return heat_map(title, description, "s", ask.buckets(metric))


def total(
    ask: Asking, title: str, description: str, metric: Metric, by: str, *, unit: Unit = "short", width: int = 8
) -> Panel:
    """What a counter grew by over the time shown, or the seconds of a histogram together."""
    if metric.type == "histogram":
        return ranking(title, description, "s", ask.growth(metric, by, end="_sum"), legend(by), width)
    return ranking(title, description, unit, ask.growth(metric, by), legend(by), width)


def failures(
    ask: Asking, title: str, description: str, metric: Metric, by: str, *, width: int = 8, **fixed: str
) -> Panel:
    """The share of what failed over the time shown."""
    share = ask.share(metric, names.FAILED, by, over=RANGE, **fixed)
    return ranking(title, description, "percentunit", share, legend(by), width)


def legend(by: str) -> str:
    """The name of each series: the value of a label."""
    return f"{{{{{by}}}}}"
