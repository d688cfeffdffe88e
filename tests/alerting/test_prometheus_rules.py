"""The rules written for Prometheus are right, pass their own tests, and fire when ours do."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import incidents_day
from incidents_day import START, ended
from programs import needs
from store_rows import write

from instrument.alerting import prometheus_rules
from instrument.alerting.evaluation import evaluate
from instrument.alerting.past import states
from instrument.alerting.rules import Rule, rule_of
from instrument.analysis.windows import Moments
from instrument.exporters import names
from instrument.reading import open_store

EVERY_KIND = [
    {
        "name": "failures",
        "figure": "failure_rate",
        "above": 0.1,
        "for": "5m",
        "description": "{{ braces }} \"and\" 'so'",
    },
    {"name": "by-agent", "figure": "failure_rate", "above": 0.2, "by": "agent", "where": ["agent!=test"]},
    {"name": "few", "figure": "queries", "below": 10, "window": "1h", "where": ["agent=simple"]},
    {"name": "many", "figure": "failed", "above": 100},
    {"name": "cancelled", "figure": "cancelled", "above": 3},
    {"name": "mean", "figure": "average", "above": 2000, "by": "agent"},
    {"name": "p99", "figure": "p99", "above": 5000, "for": "10m"},
    {"name": "fast", "figure": "p50", "below": 5},
    {"name": "chunk", "figure": "first_chunk_p95", "above": 900},
    {"name": "score", "figure": "complexity", "above": 0.7},
    {"name": "tools", "figure": "tool_failure_rate", "above": 0.3, "by": "tool"},
    {"name": "calls", "figure": "tool_calls", "above": 1000},
    {"name": "tokens", "figure": "tokens", "above": 100000, "by": "agent", "least_queries": 5},
    {"name": "input", "figure": "input_tokens", "above": 100000, "where": ["model=large"]},
    {"name": "cost", "figure": "cost", "above": 12.5, "window": "1d"},
    {"name": "less", "kind": "change", "figure": "queries", "below": 0.5, "window": "1h"},
    {"name": "slower", "kind": "change", "figure": "p95", "above": 2, "window": "2h", "against": "1d"},
    {"name": "more", "kind": "change", "figure": "failure_rate", "above": 3, "window": "1h", "against": "1d"},
    {"name": "budget", "kind": "burn_rate"},
    {"name": "ticket", "kind": "burn_rate", "factor": 1, "windows": ["3d", "6h"], "objective": 0.995},
    {"name": "silent", "kind": "silent", "by": "agent", "window": "1h"},
    {"name": "dropped", "kind": "dropped", "above": 10},
]


def check(folder: Path, made: prometheus_rules.Made) -> None:
    [promtool] = needs("promtool")
    (folder / prometheus_rules.RULES).write_text(made.rules, "utf-8")
    for name, text in made.tests.items():
        (folder / name).write_text(text, "utf-8")
    for command in (["check", "rules", prometheus_rules.RULES], ["test", "rules", *made.tests]):
        done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_of_every_kind_pass_promtool_and_their_own_tests(tmp_path: Path) -> None:
    made = prometheus_rules.made([rule_of(table) for table in EVERY_KIND])
    assert made.left_out == []
    assert made.rules.count("- alert:") == len(EVERY_KIND)
    check(tmp_path, made)


def test_a_rule_without_a_counterpart_is_named_and_left_out(tmp_path: Path) -> None:
    tables = [
        {"name": "odd", "kind": "anomaly", "figure": "queries"},
        {"name": "own", "figure": "metric:score", "above": 1},
        {"name": "tenant", "figure": "p95", "above": 1, "where": ["tenant=north"]},
        {"name": "absent", "figure": "p95", "above": 1, "no_data": "alert"},
        {"name": "host", "figure": "p95", "above": 1, "by": "host"},
    ]
    made = prometheus_rules.made([rule_of(table) for table in tables])
    assert [line.split("'")[1] for line in made.left_out] == ["odd", "own", "tenant", "absent", "host"]
    assert made.tests == {}
    [promtool] = needs("promtool")
    (tmp_path / "rules.yml").write_text(made.rules)
    subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, check=True, capture_output=True)


COMPARED = [
    {"name": "failures", "figure": "failure_rate", "above": 0.2, "by": "agent", "for": "5m"},
    {"name": "failed", "figure": "failed", "above": 6, "window": "20m"},
    {"name": "few", "figure": "queries", "below": 40, "window": "1h", "by": "agent"},
    {"name": "slow", "figure": "average", "above": 4000, "window": "30m", "for": "10m"},
    {"name": "less", "kind": "change", "figure": "queries", "below": 0.75, "window": "1h", "against": "2h"},
    {"name": "budget", "kind": "burn_rate", "objective": 0.95, "factor": 3, "windows": ["1h", "10m"]},
    {"name": "silent", "kind": "silent", "by": "agent", "window": "1h", "seen": "1d"},
]
MINUTES = range(4 * 60, 24 * 60)


def test_both_evaluators_agree_on_every_minute_of_a_day_of_incidents(tmp_path: Path) -> None:
    rules = [rule_of(table) for table in COMPARED]
    write(tmp_path / "monitoring", incidents_day.rows())
    ours = {rule.name: _firing(tmp_path / "monitoring", rule) for rule in rules}
    for rule in rules:
        assert 10 < sum(bool(groups) for groups in ours[rule.name].values()) < len(MINUTES) - 10, rule.name
    [promtool] = needs("promtool")
    (tmp_path / "rules.yml").write_text(prometheus_rules.made(rules).rules, "utf-8")
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": " ".join("_" if each is None else f"{each:.6f}" for each in values)}
                    for name, values in _series().items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": f"{minute}m",
                        "alertname": rule.name,
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": rule.severity} | _label(rule, group),
                                "exp_annotations": prometheus_rules._annotations(rule),
                            }
                            for group in sorted(ours[rule.name][minute], key=str)
                        ],
                    }
                    for rule in rules
                    for minute in MINUTES
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests), "utf-8")  # every JSON is YAML
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


def _firing(directory: Path, rule: Rule) -> dict[int, set[str | None]]:
    """Which groups fire at each minute, by our own evaluation."""
    moments = Moments(START, 60, 24 * 60)
    with open_store(directory, time_zone="UTC") as store:
        readings = evaluate(rule, store.tables, moments)
    found: dict[int, set[str | None]] = {minute: set() for minute in MINUTES}
    for group, own in readings.items():
        for minute, state in enumerate(states(rule, own, moments)):
            if state == "firing" and minute in found:
                found[minute].add(group)
    return found


def _label(rule: Rule, group: str | None) -> dict[str, str]:
    return {} if group is None else {"agent": group}


def _series() -> dict[str, list[float | None]]:
    """What a scrape each minute shows of the day, in the metrics of the exporter."""
    changes: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    newest: dict[str, list[float | None]] = {}
    outcomes = {"ok": names.SUCCESSFUL, "error": names.FAILED, "cancelled": names.CANCELLED}
    for row in sorted(incidents_day.rows(), key=ended):
        minute = -int(-ended(row) // 60)
        outcome = outcomes[row.status or "ok"]
        duration = names.AGENT_DURATION.prometheus
        changes[f'{names.QUERIES.prometheus}{{agent="{row.agent}", outcome="{outcome}"}}'][minute] += 1
        changes[f'{duration}_sum{{gen_ai_agent_name="{row.agent}"}}'][minute] += row.duration / 1e9
        changes[f'{duration}_count{{gen_ai_agent_name="{row.agent}"}}'][minute] += 1
        gauge = newest.setdefault(f'{names.LAST_QUERY.prometheus}{{agent="{row.agent}"}}', [None] * (24 * 60))
        gauge[minute:] = [ended(row)] * len(gauge[minute:])
    return {name: _summed(of_minutes) for name, of_minutes in changes.items()} | newest


def _summed(changes: dict[int, float]) -> list[float | None]:
    level, values = 0.0, list[float | None]()
    for minute in range(24 * 60):
        level += changes.get(minute, 0.0)
        values.append(level)
    return values
