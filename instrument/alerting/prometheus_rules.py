"""Alert rules as files for Prometheus: the rules themselves, and unit tests of them for `promtool test rules`.

Each rule is tested with two made-up histories: one in which it must fire, one in which it must not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from msgspec import Struct

from instrument.alerting import prometheus_expressions as promql
from instrument.alerting.listing import condition
from instrument.alerting.rules import Rule, length
from instrument.analysis.filters import parsed
from instrument.errors import UsageError
from instrument.exporters import names

RULES, TESTS, LONG_TESTS = "rules.yml", "rules_test.yml", "rules_long_test.yml"

LONG = 6 * 3600.0
"""A history that is longer, in seconds, is tested in a file of its own, with fewer evaluations."""

_GROUP = "agent-instrument"
_MEMBER = "made-up"
"""The group that the histories are about, where a rule has groups."""


class Made(Struct, frozen=True):
    """The rules, their tests by file, and a line for each rule that has no counterpart in Prometheus.

    Rules with long windows are tested in a file of their own: it is evaluated less often.
    """

    rules: str
    tests: dict[str, str]
    left_out: list[str]


def made(rules: Iterable[Rule]) -> Made:
    """Write rules and their tests."""
    lines: list[str] = []
    tests: dict[str, list[str]] = {}
    apart: dict[str, float] = {}
    left_out = []
    for rule in rules:
        try:
            own, tried = _rule(rule), _tests(rule)
        except UsageError as error:
            left_out.append(f"alert {rule.name!r} is left out: {error}")
            lines.append(f"      # {left_out[-1]}")
            continue
        lines += own
        history = sum(steps for steps, _ in _stretches(rule, _step(rule), True)) * _step(rule)
        file = LONG_TESTS if history > LONG else TESTS
        tests.setdefault(file, []).extend(tried)
        apart[file] = min(apart.get(file, 3600.0), _step(rule))
    has_rules = any(not line.startswith("      #") for line in lines)
    head = ["groups:", f"  - name: {_GROUP}", "    rules:" if has_rules else "    rules: []"]
    files = {
        file: ["rule_files:", f"  - {RULES}", f"evaluation_interval: {length(apart[file])}", "tests:", *tried]
        for file, tried in tests.items()
    }
    return Made(_joined([*head, *lines]), {file: _joined(each) for file, each in files.items()}, left_out)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> list[str]:
    expression = promql.condition_of(rule)
    return [
        f"      - alert: {_text(rule.name)}",
        f"        expr: {_text(expression)}",
        *([f"        for: {length(rule.hold)}"] if rule.hold else []),
        f"        labels: {{severity: {rule.severity}}}",
        f"        annotations: {_mapping(_annotations(rule))}",
    ]


def _annotations(rule: Rule) -> dict[str, str]:
    found = {"summary": condition(rule).replace("{{", "{ {")}
    if rule.description:
        found["description"] = rule.description.replace("{{", "{ {")
    return found


def _text(text: str) -> str:
    """A text in quotes that YAML reads as it stands."""
    return json.dumps(text, ensure_ascii=False)


def _mapping(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {_text(value)}" for key, value in values.items()) + "}"


# -- histories ---------------------------------------------------------------------------------------------------------

_Rates = dict[str, float]
"""By how much each series grows at a step."""


def _tests(rule: Rule) -> list[str]:
    step = _step(rule)
    lines: list[str] = []
    for fires in (True, False):
        stretches = _stretches(rule, step, fires)
        at = (sum(steps for steps, _ in stretches) - 2) * step
        expected = [
            "        exp_alerts:",
            f"          - exp_labels: {_mapping({'severity': rule.severity} | _member(rule))}",
            f"            exp_annotations: {_mapping(_annotations(rule))}",
        ]
        lines += [
            f"  - name: {_text(rule.name + (' fires' if fires else ' stays quiet'))}",
            f"    interval: {length(step)}",
            "    input_series:",
            *_series(stretches),
            "    alert_rule_test:",
            f"      - eval_time: {length(at)}",
            f"        alertname: {_text(rule.name)}",
            *(expected if fires else ["        exp_alerts: []"]),
        ]
    return lines


def _step(rule: Rule) -> float:
    """Seconds between the samples of a history; promtool loads 10,000 samples at the most."""
    return max(1.0, rule.windows[-1] // 5)


def _member(rule: Rule) -> dict[str, str]:
    if rule.by is None or rule.kind == "dropped":
        return {}
    label = promql.label_of(rule, promql.source_of(rule))
    return {label: _MEMBER} if label else {}


def _series(stretches: Sequence[tuple[int, _Rates]]) -> list[str]:
    known = list(dict.fromkeys(name for _, rates in stretches for name in rates))
    lines = []
    for name in known:
        level, values = 0.0, []
        for steps, rates in stretches:
            grows = rates.get(name, 0.0)
            values.append(f"{level:.10g}+{grows:.10g}x{steps}")
            level += grows * (steps + 1)
        lines += [f"      - series: {_quoted_series(name)}", f"        values: {_text(' '.join(values))}"]
    return lines


def _quoted_series(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _stretches(rule: Rule, step: float, fires: bool) -> list[tuple[int, _Rates]]:
    """How many steps each series grows by how much."""

    def steps(seconds: float) -> int:
        return int(seconds // step) + 1

    settled = steps(rule.window + rule.hold) + 4
    if rule.kind == "dropped":
        name = f'{names.RECORDS_DROPPED.prometheus}{{reason="full"}}'
        return [(settled, {name: ((rule.above or 0) + 1) * 2 * step / rule.window if fires else 0.0})]
    if rule.kind == "silent":
        shown = ", ".join(f"{key}={json.dumps(text)}" for key, text in _labels(rule, promql.SEEN).items())
        name = f"{promql.SEEN.metric.prometheus}{{{shown}}}"
        return [(steps(rule.window), {name: step}), (settled, {name: 0.0 if fires else step})]
    if rule.kind == "change":
        base = (2 * rule.least_queries + 10) if rule.figure in promql.COUNTS else _unit(rule)
        times = _beyond(rule, False) if fires else 1.0
        before = (steps(rule.against), _rates(rule, base, step))
        return [before, (settled, _rates(rule, base * times, step))]
    if rule.kind == "burn_rate":
        allowed = rule.factor * (1 - rule.objective)
        return [(settled, _rates(rule, (1 + allowed) / 2 if fires else allowed / 2, step))]
    share = rule.figure in promql.SHARES
    return [(settled, _rates(rule, _beyond(rule, share) if fires else _within(rule, share), step))]


def _unit(rule: Rule) -> float:
    """A middling value of a share, a mean or a percentile that a change starts from."""
    if rule.figure in promql.SHARES:
        return 0.5 / max(rule.above or 1.0, 1.0) * 0.5
    return 100.0


def _beyond(rule: Rule, share: bool) -> float:
    if rule.above is not None:
        return (1 + rule.above) / 2 if share else rule.above * 2 + (0.0 if rule.kind == "change" else 1.0)
    return (rule.below or 0.0) / 2


def _within(rule: Rule, share: bool) -> float:
    if rule.above is not None:
        return rule.above / 2
    return (1 + (rule.below or 0.0)) / 2 if share else (rule.below or 0.0) * 4 + 1


def _rates(rule: Rule, value: float, step: float) -> _Rates:
    """By how much series must grow at each step so that the rule's figure has about a value."""
    source = promql.source_of(rule)
    labels = _labels(rule, source)
    number = (2 * rule.least_queries + 10) * step / min(rule.windows)

    def named(end: str = "", **more: str) -> str:
        shown = ", ".join(f"{key}={json.dumps(text)}" for key, text in (labels | more).items())
        return f"{source.metric.prometheus}{end}{{{shown}}}"

    if rule.figure in promql.SHARES:
        failed, successful = named(outcome=names.FAILED), named(outcome=names.SUCCESSFUL)
        return {failed: number * value, successful: number * (1 - value)}
    if rule.figure in promql.MEANS:
        unit = promql.MEANS[rule.figure][1]
        return {named("_sum"): number * value / unit, named("_count"): number}
    if rule.figure in promql.QUANTILES:
        # All durations lie a little below the value: within 1 % of it.
        low, high = f"{value * 0.99 / 1000:.10g}", f"{value * 1.01 / 1000:.10g}"
        return {
            named("_bucket", le=low): 0.0,
            named("_bucket", le=high): number,
            named("_bucket", le="+Inf"): number,
            named("_count"): number,
        }
    rates = {named(): value * step / rule.window}
    if source.metric in (names.TOKENS_USED, names.COST):  # the queries behind them
        of_queries = {key: text for key, text in labels.items() if key == "agent"} | {"outcome": names.SUCCESSFUL}
        shown = ", ".join(f"{key}={json.dumps(text)}" for key, text in of_queries.items())
        rates[f"{names.QUERIES.prometheus}{{{shown}}}"] = number
    return rates


def _labels(rule: Rule, source: promql.Source) -> dict[str, str]:
    """Labels that the rule's filters pick, as far as one value can."""
    found = dict(source.fixed)
    for each in parsed(rule.where):
        label = source.labels[each.name]
        found.setdefault(label, each.value if each.operator == "=" else _MEMBER)
    member = promql.label_of(rule, source)
    if member is not None:
        found.setdefault(member, _MEMBER)
    return found
