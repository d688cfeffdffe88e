"""Alert rules as Grafana manages them, for whoever has no rules of his own in the settings."""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from instrument.config import Config
from instrument.exporters import names
from instrument.exporters.grafana.panels import PREFIX
from instrument.exporters.names import Metric

FOLDER = "Agents"

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Alert(NamedTuple):
    """A rule: it fires while `condition`, in PromQL, has held for so many seconds.

    `label` is the label of what it is about, "" where it is about everything.
    """

    name: str
    summary: str
    condition: str
    hold_seconds: int = 0
    severity: str = "warning"
    label: str = ""
    description: str = ""


def usual(config: Config) -> tuple[Alert, ...]:
    """The rules that everyone needs: failures, slow queries, failing tools, silence, dropped records, no server."""
    slow = config.slow_query_threshold_ms / 1000
    seconds, agent = names.AGENT_DURATION.prometheus, "gen_ai_agent_name"
    p95 = f"histogram_quantile(0.95, sum by (le, {agent}) (rate({seconds}_bucket[15m])))"
    enough = f"sum by ({agent}) (increase({seconds}_count[15m])) >= 10"
    queries = names.QUERIES.prometheus
    return (
        Alert(
            "agent-failures-burn",
            "{{ $labels.agent }} fails more than 14.4 % of its queries, over an hour and now",
            f"{_failing(names.QUERIES, 'agent', '1h')} > 0.144 and {_failing(names.QUERIES, 'agent', '5m')} > 0.144"
            f" and sum by (agent) (increase({queries}[1h])) >= 10",
            severity="critical",
            label="agent",
        ),
        Alert(
            "agent-slow",
            f"{{{{ $labels.gen_ai_agent_name }}}} has a p95 above {slow:g} s over 15 minutes",
            f"{p95} > {slow:g} and {enough}",
            hold_seconds=300,
            label="gen_ai_agent_name",
        ),
        Alert(
            "tool-failing",
            "More than a fifth of the calls of {{ $labels.name }} failed in 15 minutes",
            f"{_failing(names.CALLS, 'name', '15m')} > 0.2"
            f" and sum by (name) (increase({names.CALLS.prometheus}[15m])) >= 10",
            hold_seconds=300,
            label="name",
        ),
        Alert(
            "agent-silent",
            "{{ $labels.agent }} had queries in the last day, and none for an hour",
            f"sum by (agent) (increase({queries}[1h])) == 0 and sum by (agent) (increase({queries}[1d])) > 0",
            hold_seconds=300,
            label="agent",
        ),
        Alert(
            "records-dropped",
            "Records could not be kept",
            f"sum(increase({names.RECORDS_DROPPED.prometheus}[15m])) > 0",
            severity="critical",
        ),
        no_server(),
    )


def no_server() -> Alert:
    """The rule that no rule of the settings can stand for: that nothing is served any more."""
    return Alert(
        "no-server",
        "Prometheus has had no metrics of `metrics serve` for 5 minutes",
        f"absent({names.BUILD.prometheus})",
        hold_seconds=300,
        severity="critical",
    )


def _failing(metric: Metric, label: str, window: str) -> str:
    failed, decided = (
        f"sum by ({label}) (increase({metric.prometheus}{{{condition}}}[{window}]))"
        for condition in ('outcome="failed"', 'outcome!="cancelled"')
    )
    return f"{failed} / {decided}"


def provisioned(alerts: tuple[Alert, ...], data_source: str) -> dict[str, Any]:
    """Rules as a provisioning file has them. Grafana replaces `$NAME` in such a file, so a dollar sign stands twice."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": PREFIX,
                "folder": FOLDER,
                "interval": "1m",
                "rules": [_rule(alert, data_source) for alert in alerts],
            }
        ],
    }


def firing(alert: Alert) -> str:
    """1 for each group that an alert holds for, nothing for the others: a value of 0 must fire, too.

    A dollar sign, which stands in texts alone, is written as PromQL's escape: Grafana would look for a variable.
    """
    return f"({alert.condition}) * 0 + 1".replace("$", r"\x24")


def _uid(name: str) -> str:
    """An id as Grafana allows it: up to 40 letters, digits, `-` and `_`."""
    uid = f"{PREFIX}-{name}"
    return uid if _UID.fullmatch(uid) else f"{PREFIX}-{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def _rule(alert: Alert, data_source: str) -> dict[str, Any]:
    model = {"refId": "A", "expr": firing(alert), "instant": True, "range": False, "editorMode": "code"}
    limit = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
    }
    asked = {"refId": "A", "datasourceUid": data_source, "relativeTimeRange": {"from": 600, "to": 0}, "model": model}
    judged = {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": limit}
    return {
        "uid": _uid(alert.name),
        "title": alert.name,
        "condition": "B",
        "data": [asked, judged],
        "for": f"{alert.hold_seconds}s",
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": alert.severity, "source": PREFIX},
        "annotations": {
            key: text.replace("$", "$$")
            for key, text in (("summary", alert.summary), ("description", alert.description))
            if text
        },
    }
