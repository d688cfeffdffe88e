"""Figures of alert rules in PromQL, over the metrics that `exporters.names` lists."""

from __future__ import annotations

import json

from msgspec import Struct

from instrument.alerting.rules import Rule, length
from instrument.analysis.filters import parsed
from instrument.errors import UsageError
from instrument.exporters import names
from instrument.exporters.names import Metric


class Source(Struct, frozen=True):
    """Where a figure comes from: a metric, labels that are fixed, and the labels that filters and groups stand for."""

    metric: Metric
    fixed: tuple[tuple[str, str], ...] = ()
    labels: dict[str, str] = {}


_QUERIES = Source(names.QUERIES, (), {"agent": "agent"})
_DURATION = Source(names.AGENT_DURATION, (), {"agent": "gen_ai_agent_name"})
_FIRST_CHUNK = Source(names.QUERY_FIRST_CHUNK, (), {"agent": "agent"})
_COMPLEXITY = Source(names.COMPLEXITY, (), {"agent": "agent"})
SEEN = Source(names.LAST_QUERY, (), {"agent": "agent"})
_OF_MODELS = {"agent": "agent", "model": "model"}


def _queries(outcome: str) -> Source:
    return Source(names.QUERIES, (("outcome", outcome),), _QUERIES.labels)


def _calls(kind: str) -> Source:
    return Source(names.CALLS, (("kind", kind),), {"tool": "name"} if kind == "tool" else {})


def _tokens(kind: str) -> Source:
    return Source(names.TOKENS_USED, (("type", kind),), _OF_MODELS)


COUNTS: dict[str, Source] = {
    "queries": _QUERIES,
    "failed": _queries(names.FAILED),
    "cancelled": _queries(names.CANCELLED),
    "tool_calls": _calls("tool"),
    "graphql_calls": _calls("graphql"),
    "model_calls": _calls("model"),
    "input_tokens": _tokens(names.INPUT),
    "output_tokens": _tokens(names.OUTPUT),
    "tokens": Source(names.TOKENS_USED, (), _OF_MODELS),
    "cost": Source(names.COST, (), _OF_MODELS),
}
"""Figures that are a counter's increase."""

SHARES: dict[str, Source] = {"failure_rate": _QUERIES, "tool_failure_rate": _calls("tool")}
"""Figures that are a share of failures."""

MEANS: dict[str, tuple[Source, float]] = {"average": (_DURATION, 1000.0), "complexity": (_COMPLEXITY, 1.0)}
QUANTILES: dict[str, tuple[Source, float]] = {
    "p50": (_DURATION, 0.5),
    "p95": (_DURATION, 0.95),
    "p99": (_DURATION, 0.99),
    "first_chunk": (_FIRST_CHUNK, 0.5),
    "first_chunk_p95": (_FIRST_CHUNK, 0.95),
}


def source_of(rule: Rule) -> Source:
    """The metric that a rule's figure is of. Raises UsageError for a figure that has none."""
    name = rule.figure
    if rule.kind == "silent":
        return SEEN
    if name in COUNTS:
        return COUNTS[name]
    if name in SHARES:
        return SHARES[name]
    found = MEANS.get(name) or QUANTILES.get(name)
    if found is None:
        raise UsageError(f"{name} is in no metric of Prometheus")
    return found[0]


def label_of(rule: Rule, source: Source) -> str | None:
    """The label that the rule groups by. Raises UsageError where the metric has none for it."""
    if rule.by is None:
        return None
    if rule.by not in source.labels:
        raise UsageError(f"{source.metric.prometheus} has no label for by = {rule.by!r}")
    return source.labels[rule.by]


def selector(rule: Rule, source: Source, *more: tuple[str, str, str]) -> str:
    """The labels in braces that a rule's filters come to. Raises UsageError for a filter that no label stands for."""
    parts = [f"{label}={json.dumps(value)}" for label, value in source.fixed]
    for each in parsed(rule.where):
        label = source.labels.get(each.name)
        if label is None or label == "name" or each.operator not in ("=", "!="):
            raise UsageError(f"{source.metric.prometheus} has no label for {each}")
        parts.append(f"{label}{each.operator}{json.dumps(each.value, ensure_ascii=False)}")
    parts += [f"{label}{operator}{json.dumps(value)}" for label, operator, value in more]
    return "{" + ", ".join(parts) + "}" if parts else ""


def figure_over(rule: Rule, seconds: float, offset: float = 0.0) -> str:
    """A rule's figure over a window that ends `offset` seconds ago, in its own unit. Raises UsageError."""
    source = source_of(rule)
    if rule.figure in SHARES:
        failed = _summed(rule, source, "", seconds, offset, ("outcome", "=", names.FAILED))
        decided = _summed(rule, source, "", seconds, offset, ("outcome", "!=", names.CANCELLED))
        return f"{failed} / {decided}"
    if rule.figure in MEANS:
        total, number = (_summed(rule, source, end, seconds, offset) for end in ("_sum", "_count"))
        return f"{MEANS[rule.figure][1]:g} * {total} / {number}"
    if rule.figure in QUANTILES:
        buckets = _summed(rule, source, "_bucket", seconds, offset, group=("le",))
        return f"1000 * histogram_quantile({QUANTILES[rule.figure][1]:g}, {buckets})"
    return _summed(rule, source, "", seconds, offset)


def count_over(rule: Rule, seconds: float, offset: float = 0.0) -> str:
    """How many queries or calls are behind a rule's figure."""
    source = source_of(rule)
    if rule.figure in MEANS or rule.figure in QUANTILES:
        return _summed(rule, source, "_count", seconds, offset)
    if source.metric in (names.TOKENS_USED, names.COST):
        source = _QUERIES  # each filter and group by agent has a label there, too; one by model has none
    return _summed(rule, source, "", seconds, offset)


def _summed(
    rule: Rule,
    source: Source,
    end: str,
    seconds: float,
    offset: float,
    *more: tuple[str, str, str],
    group: tuple[str, ...] = (),
) -> str:
    label = label_of(rule, source)
    by = ", ".join((*group, *([label] if label else [])))
    ago = f" offset {length(offset)}" if offset else ""
    chosen = f"{source.metric.prometheus}{end}{selector(rule, source, *more)}[{length(seconds)}]{ago}"
    return f"sum{f' by ({by})' if by else ''} (increase({chosen}))"


def condition_of(rule: Rule) -> str:
    """The expression that holds while a rule is beyond its limit. Raises UsageError for what Prometheus cannot say."""
    if rule.no_data != "ok":
        raise UsageError(f"no_data = {rule.no_data!r} has no counterpart in a rule of Prometheus")
    if rule.kind == "anomaly":
        raise UsageError("the detector of anomalies has no counterpart in PromQL")
    if rule.kind == "dropped":
        dropped = f"sum (increase({names.RECORDS_DROPPED.prometheus}[{length(rule.window)}]))"
        return f"{dropped} > {rule.above or 0:g}"
    if rule.kind == "silent":
        label = label_of(rule, SEEN)
        newest = f"max{f' by ({label})' if label else ''} ({SEEN.metric.prometheus}{selector(rule, SEEN)})"
        return f"time() - {newest} >= {rule.window:g} < {rule.seen:g}"
    if rule.kind == "burn_rate":
        burnt = f"{rule.factor * (1 - rule.objective):.12g}"
        burning = " and ".join(f"{figure_over(rule, seconds)} > {burnt}" for seconds in rule.windows)
        return _with_enough(rule, burning, (0.0,))
    side, limit = (">", rule.above) if rule.above is not None else ("<", rule.below or 0.0)
    if rule.kind == "change":
        now, before = figure_over(rule, rule.window), figure_over(rule, rule.window, rule.against)
        offsets = (rule.against,) if rule.figure in COUNTS else (0.0, rule.against)
        return _with_enough(rule, f"({now}) / ({before}) {side} {limit:.12g}", offsets)
    return _with_enough(rule, f"{figure_over(rule, rule.window)} {side} {limit:.12g}", (0.0,))


def _with_enough(rule: Rule, condition: str, offsets: tuple[float, ...]) -> str:
    if not rule.least_queries:
        return condition
    enough = [f"{count_over(rule, rule.window, offset)} >= {rule.least_queries:g}" for offset in offsets]
    return " and ".join([condition, *enough])
