"""Alert rules as `[[alerts]]` in instrument.toml (or `[[tool.agent-instrument.alerts]]`) has them, read and checked.

Every mistake is one line that names the rule and says what to write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from instrument.analysis import series
from instrument.analysis.filters import parsed
from instrument.config import sections
from instrument.errors import ConfigError, UsageError

Kind = Literal["threshold", "change", "burn_rate", "anomaly", "silent", "dropped"]
Severity = Literal["info", "warning", "critical"]
NoData = Literal["ok", "alert", "keep"]

WEEK = 7 * 86400.0
LEAST_QUERIES = 10
"""Queries that a rate, a mean, a percentile or a comparison needs, unless the rule says otherwise."""

ANOMALIES = {"queries": "queries", "failure_rate": "failures", "p95": "durations"}
"""The figures that an anomaly can be looked for in, and what the detector calls them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")

_COMMON = ("name", "kind", "where", "for", "severity", "recovery", "remind", "notify", "description")
_KEYS: dict[Kind, tuple[str, ...]] = {
    "threshold": ("figure", "above", "below", "window", "by", "least_queries", "no_data"),
    "change": ("figure", "above", "below", "window", "against", "by", "least_queries", "no_data"),
    "burn_rate": ("figure", "objective", "factor", "windows", "by", "least_queries", "no_data"),
    "anomaly": ("figure", "no_data"),
    "silent": ("window", "seen", "by", "no_data"),
    "dropped": ("above", "window"),
}
"""What each kind of rule may have beside the keys of all of them."""


class Rule(Struct, frozen=True, kw_only=True):
    """One alert rule; lengths of time are in seconds.

    `windows` are the window of a rule and, for a burn rate, the short one that must burn, too. `above` and `below` are
    in the figure's unit (durations in ms, shares 0 to 1); for a change they are times the figure of `against` before.
    """

    name: str
    kind: Kind = "threshold"
    figure: str = "queries"
    above: float | None = None
    below: float | None = None
    windows: tuple[float, ...] = (900.0,)
    hold: float = 0.0
    where: tuple[str, ...] = ()
    by: str | None = None
    least_queries: float = 0.0
    severity: Severity = "warning"
    no_data: NoData = "ok"
    recovery: bool = True
    remind: float | None = None
    notify: tuple[str, ...] = ()
    description: str = ""
    against: float = WEEK
    objective: float = 0.99
    factor: float = 14.4
    seen: float = WEEK

    @property
    def window(self) -> float:
        """The rule's window, the longer one of a burn rate."""
        return self.windows[0]


class Rules(Struct, frozen=True):
    """The rules there are, the targets by name, and the file that both came from ("" where there is none)."""

    rules: tuple[Rule, ...] = ()
    targets: dict[str, str] = {}
    source: str = ""

    def named(self, name: str) -> Rule:
        """The rule of that name. Raises UsageError that names the nearest one."""
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise UsageError(f"there is no alert {name!r}; {_near(name, [rule.name for rule in self.rules])}")


def read_rules(folder: Path) -> Rules:
    """Read the rules of the settings file that is in force in a folder. Raises ConfigError for the first mistake."""
    source, found = sections(folder)
    given, targets = found.get("alerts", []), found.get("alert_targets", {})
    if not isinstance(given, list):
        raise ConfigError("alerts", source, "it is no list of rules; begin each rule with [[alerts]]")
    named = _targets(targets, source)
    rules: list[Rule] = []
    for place, table in enumerate(given, start=1):
        try:
            rule = rule_of(table)
        except UsageError as error:
            name = table.get("name") if isinstance(table, dict) else None
            raise ConfigError("alerts", source, f"alert {name or place!r}: {error}") from None
        if any(rule.name == other.name for other in rules):
            raise ConfigError("alerts", source, f"alert {rule.name!r}: two rules have this name; rename one of them")
        _check_notify(rule, named, source)
        rules.append(rule)
    return Rules(tuple(rules), named, source)


def _targets(given: Any, source: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ConfigError("alert_targets", source, 'it is no table; write [alert_targets], then NAME = "URL"')
    for name, url in given.items():
        if not isinstance(url, str) or not ("://" in url or "${" in url):
            raise ConfigError(
                "alert_targets", source, f'target {name!r} is no URL; write one such as {name} = "${{URL_OF_IT}}"'
            )
    return dict(given)


def _check_notify(rule: Rule, targets: Mapping[str, str], source: str) -> None:
    for target in rule.notify:
        if "://" not in target and "${" not in target and target not in targets:
            advice = "write a URL, or the name of a target in [alert_targets]"
            if targets:
                advice = _near(target, list(targets))
            raise ConfigError("alerts", source, f"alert {rule.name!r}: there is no target {target!r}; {advice}")


def rule_of(table: Any) -> Rule:
    """Make a table of the settings file a rule. Raises UsageError that says what to write."""
    if not isinstance(table, dict):
        raise UsageError("it is no table; begin each rule with [[alerts]]")
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError('it needs a name of letters, digits and _ . : -, such as name = "failures"')
    kind = _one_of("kind", table.get("kind", "threshold"), Kind)
    _check_keys(table, kind)
    figure = _figure(table, kind)
    above, below = (_number(table, key) for key in ("above", "below"))
    rule = Rule(
        name=name,
        kind=kind,
        figure=figure,
        above=0.0 if kind == "dropped" and above is None else above,
        below=below,
        windows=_windows(table, kind),
        hold=_seconds("for", table.get("for", 0), least=0.0),
        where=_filters(table.get("where", ())),
        by=_text(table, "by") or None,
        least_queries=_least(table, kind, figure),
        severity=_one_of("severity", table.get("severity", "warning"), Severity),
        no_data=_one_of("no_data", table.get("no_data", "ok"), NoData),
        recovery=_flag(table, "recovery", True),
        remind=_seconds("remind", table["remind"], least=60.0) if "remind" in table else None,
        notify=_texts("notify", table.get("notify", ())),
        description=_text(table, "description"),
        against=_seconds("against", table.get("against", WEEK)),
        objective=_objective(table),
        factor=_number(table, "factor") or 14.4,
        seen=_seconds("seen", table.get("seen", WEEK)),
    )
    _check(rule)
    return rule


def _check_keys(table: Mapping[str, Any], kind: Kind) -> None:
    known = [key for key in (*_COMMON, *_KEYS[kind]) if not (kind == "dropped" and key == "where")]
    for key in table:
        if key not in known:
            raise UsageError(f"a rule of kind {kind!r} has no key {key!r}; {_near(key, known)}")


def _check(rule: Rule) -> None:
    """What the parts of a rule must be to each other."""
    if rule.kind in ("threshold", "change") and (rule.above is None) == (rule.below is None):
        raise UsageError("it needs a limit: write either above = NUMBER or below = NUMBER")
    if rule.kind == "change":
        if not (rule.above is None or rule.above > 1) or not (rule.below is None or 0 < rule.below < 1):
            raise UsageError("a change is in times the earlier figure: write above = 1.5, or below = 0.5")
        if rule.against < rule.window:
            raise UsageError('the window overlaps the one that it is compared with; write against = "7d" or longer')
    unit = series.figure(rule.figure).unit
    for limit in (rule.above, rule.below):
        if rule.kind == "threshold" and unit == "share" and limit is not None and not 0 <= limit <= 1:
            raise UsageError(f"{rule.figure} is a share of 0 to 1, and never {_beyond(limit)}; write 0.1 for 10 %")
    if rule.kind == "threshold" and unit == "share" and (rule.above == 1 or rule.below == 0):
        raise UsageError(f"{rule.figure} is a share of 0 to 1, so this never fires; write another limit")
    if rule.kind == "burn_rate" and (len(rule.windows) != 2 or rule.windows[1] >= rule.windows[0]):
        raise UsageError('a burn rate has two windows, the long one first: windows = ["1h", "5m"]')
    if rule.kind == "burn_rate" and rule.factor * (1 - rule.objective) >= 1:
        raise UsageError(
            f"factor {rule.factor:g} of what the objective {rule.objective:g} allows is all queries and more, so this "
            "never fires; write a lower factor or a higher objective"
        )
    if rule.kind == "silent" and rule.seen <= rule.window:
        raise UsageError("seen must be longer than window: who was seen within seen, and not within window, is silent")
    if rule.hold > rule.window and rule.kind != "anomaly":
        raise UsageError(
            f"for ({length(rule.hold)}) is longer than its window ({length(rule.window)}), so one burst would have "
            "left the window before it fires; write a longer window or a shorter for"
        )


def _beyond(limit: float) -> str:
    return f"{'above' if limit > 1 else 'below'} {limit:g}"


def _figure(table: Mapping[str, Any], kind: Kind) -> str:
    if kind in ("silent", "dropped"):
        return "queries"
    name = _text(table, "figure") or ("failure_rate" if kind == "burn_rate" else "")
    if not name:
        raise UsageError('it needs a figure, such as figure = "failure_rate"')
    series.figure(name)
    if kind == "burn_rate" and name not in ("failure_rate", "tool_failure_rate"):
        raise UsageError(f"a burn rate is of failure_rate or tool_failure_rate, not of {name!r}")
    if kind == "anomaly" and name not in ANOMALIES:
        raise UsageError(f"an anomaly is looked for in {', '.join(ANOMALIES)}, not in {name!r}")
    return name


def _windows(table: Mapping[str, Any], kind: Kind) -> tuple[float, ...]:
    if kind == "burn_rate":
        given = table.get("windows", ["1h", "5m"])
        if not isinstance(given, list):
            raise UsageError('a burn rate has two windows, the long one first: windows = ["1h", "5m"]')
        return tuple(_seconds("windows", each) for each in given)
    if kind == "anomaly":
        return (900.0,)
    return (_seconds("window", table.get("window", "1h" if kind == "silent" else "15m")),)


def _seconds(key: str, given: Any, *, least: float = 1.0) -> float:
    if isinstance(given, (int, float)) and not isinstance(given, bool) and given == 0 and least == 0:
        return 0.0
    if isinstance(given, (str, int, float)) and not isinstance(given, bool):
        try:
            seconds = series.every(given)
        except UsageError:
            seconds = math.nan
        if least <= seconds <= 366 * 86400:
            return seconds
    raise UsageError(f'{key} = {given!r} is no length of time; write one such as {key} = "15m" (s, m, h, d, w)')


def _least(table: Mapping[str, Any], kind: Kind, figure: str) -> float:
    given = _number(table, "least_queries")
    if given is not None and given < 0:
        raise UsageError("least_queries is a number of 0 or more")
    if given is not None:
        return given
    counted = kind == "threshold" and series.figure(figure).adds_up
    return 0.0 if counted or kind in ("silent", "dropped", "anomaly") else float(LEAST_QUERIES)


def _objective(table: Mapping[str, Any]) -> float:
    given = _number(table, "objective")
    if given is None:
        return 0.99
    if not 0 < given < 1:
        raise UsageError(f"objective = {given:g} is no share of successes; write one such as objective = 0.99")
    return given


def _number(table: Mapping[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{key} = {value!r} is no number; write one such as {key} = 0.1 (durations are in ms)")
    return float(value)


def _flag(table: Mapping[str, Any], key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise UsageError(f"{key} = {value!r} is neither true nor false")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{key} = {value!r} is no text; put it in quotes")
    return value


def _texts(key: str, given: Any) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)) or not all(isinstance(each, str) for each in texts):
        raise UsageError(f'{key} is a list of texts; write {key} = ["…", "…"]')
    return tuple(texts)


def _filters(given: Any) -> tuple[str, ...]:
    texts = _texts("where", given)
    try:
        parsed(texts)
    except UsageError as error:
        raise UsageError(str(error).replace("--where ", "where ")) from None
    return texts


def _one_of(key: str, value: Any, kinds: Any) -> Any:
    try:
        return msgspec.convert(value, kinds)
    except msgspec.ValidationError:
        known = kinds.__args__
        raise UsageError(f"{key} = {value!r} is unknown; choose {', '.join(known[:-1])} or {known[-1]}") from None


def _near(name: str, known: list[str]) -> str:
    import difflib  # only where a name is wrong: it is slow to import

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"


def length(seconds: float) -> str:
    """A length of time as a rule writes it: `90s`, `15m`, `1h`, `7d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
