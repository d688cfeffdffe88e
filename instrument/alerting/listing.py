"""What `metrics alerts` lists: each rule with the state of each of its groups."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from instrument.alerting.rules import Rule, Rules, length
from instrument.alerting.state_file import AlertState
from instrument.alerting.states import Instance
from instrument.alerting.targets import targets_of
from instrument.analysis.filters import picked
from instrument.analysis.periods import period as period_of
from instrument.analysis.series import figure
from instrument.analysis.trend_words import valued
from instrument.config import Config
from instrument.errors import StoreError, UsageError
from instrument.reading import open_period
from instrument.store.tables import Tables

LOOKED_BACK = timedelta(days=7)


class Alert(Struct, frozen=True):
    """One rule and group: its state, since when, what it showed when it was last evaluated (None: never)."""

    name: str
    group: str | None
    severity: str
    state: str
    since: datetime | None
    evaluated: datetime | None
    detail: str
    condition: str
    targets: list[str]
    silenced_until: datetime | None
    comment: str


class Undelivered(Struct, frozen=True):
    """A target that messages wait for: how many events, how often it was tried, and what was wrong."""

    target: str
    events: int
    attempts: int
    next_try: datetime | None
    problem: str


class Listed(Struct, frozen=True):
    """Alerts by rule, in the order of the settings; messages that wait; notes on those that may not have arrived."""

    source: str
    at: datetime
    alerts: list[Alert]
    waiting: list[Undelivered]
    notes: list[str]


def listed(rules: Rules, state: AlertState, now: datetime) -> Listed:
    """Every rule with its state; those that fire come first."""
    alerts = [
        _alert(rule, one, rules, state, now)
        for rule in rules.rules
        for one in sorted(
            [one for one in state.instances if one.rule == rule.name] or [_without_groups(rule, state)],
            key=lambda one: one.group or "",
        )
    ]
    order = {"firing": 0, "pending": 1}
    waiting = [
        Undelivered(box.label, len(box.waiting), box.attempts, box.next_try, box.problem)
        for box in state.boxes.values()
        if box.waiting
    ]
    return Listed(
        rules.source, now, sorted(alerts, key=lambda one: order.get(one.state, 2)), waiting, list(state.notes)
    )


def _alert(rule: Rule, one: Instance, rules: Rules, state: AlertState, now: datetime) -> Alert:
    silence = state.silences.get(rule.name) if state.is_silenced(rule.name, now) else None
    return Alert(
        rule.name,
        one.group,
        rule.severity,
        one.state,
        one.since,
        one.seen,
        one.detail,
        condition(rule),
        [target.label for target in targets_of(rule, rules)],
        None if silence is None else silence.until,
        "" if silence is None else silence.comment,
    )


def _without_groups(rule: Rule, state: AlertState) -> Instance:
    looked = state.looked.get(rule.name)
    return Instance(rule.name, seen=looked, detail="" if looked is None else "no data")


def condition(rule: Rule) -> str:
    """What a rule waits for, in a few words."""
    filters = f" where {', '.join(rule.where)}" if rule.where else ""
    group = f" by {rule.by}" if rule.by else ""
    hold = f" for {length(rule.hold)}" if rule.hold else ""
    window = length(rule.window)
    side = "above" if rule.above is not None else "below"
    limit = rule.above if rule.above is not None else rule.below
    words = {
        "threshold": f"{rule.figure} {side} {valued(limit, figure(rule.figure).unit)} over {window}",
        "change": f"{rule.figure} {side} {limit or 0:g} times that of {length(rule.against)} before, over {window}",
        "burn_rate": f"{rule.figure} burns {rule.factor:g} times what {rule.objective:g} allows over "
        + " and ".join(length(each) for each in rule.windows),
        "silent": f"no query for {window}",
        "dropped": f"more than {rule.above or 0:g} records dropped within {window}",
        "anomaly": f"unusual {rule.figure}",
    }
    return words[rule.kind] + filters + group + hold


def never_matching(directory: Path, config: Config, rules: Rules) -> list[str]:
    """A line for each rule whose filters pick none of the last week's queries, although there are some."""
    filtered = [rule for rule in rules.rules if rule.where]
    if not filtered:
        return []
    lines = []
    now = period_of(time_zone="UTC").now
    try:
        with open_period(directory, period_of(since=now - LOOKED_BACK, until=now, time_zone="UTC"), config) as store:
            if not store.tables.rows("SELECT 1 FROM queries LIMIT 1"):
                return []
            for rule in filtered:
                if problem := _unmatched(store.tables, rule):
                    lines.append(f"alert {rule.name!r}: {problem}")
    except StoreError:
        return []  # whoever evaluates the rules says so
    return lines


def _unmatched(tables: Tables, rule: Rule) -> str:
    try:
        chosen = picked(tables, rule.where)
        if chosen.rows("SELECT 1 FROM queries LIMIT 1"):
            return ""
    except UsageError as error:
        return str(error).replace("--where ", "where ").replace("of this period", "of the last 7 days")
    return f"no query of the last 7 days matches {', '.join(rule.where)}; correct the filter if one should"
