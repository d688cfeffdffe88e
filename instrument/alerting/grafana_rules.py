"""Alert rules of the settings as rules that Grafana manages."""

from __future__ import annotations

from collections.abc import Iterable

from instrument.alerting import prometheus_expressions as promql
from instrument.alerting.listing import condition
from instrument.alerting.rules import Rule
from instrument.errors import UsageError
from instrument.exporters.grafana.alerts import Alert


def made(rules: Iterable[Rule]) -> tuple[tuple[Alert, ...], list[str]]:
    """Write rules for Grafana; returns them, and a line for each rule that has no counterpart there."""
    alerts: list[Alert] = []
    left_out: list[str] = []
    for rule in rules:
        try:
            alerts.append(_alert(rule))
        except UsageError as error:
            left_out.append(f"alert {rule.name!r} is left out: {error}")
    return tuple(alerts), left_out


def _alert(rule: Rule) -> Alert:
    expression = promql.condition_of(rule)
    label = "" if rule.kind == "dropped" else promql.label_of(rule, promql.source_of(rule)) or ""
    words = condition(rule).replace("{{", "{ {")
    summary = f"{{{{ $labels.{label} }}}}: {words}" if label else words
    return Alert(
        rule.name, summary, expression, int(rule.hold), rule.severity, label, rule.description.replace("{{", "{ {")
    )
