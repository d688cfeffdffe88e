"""The states of alerts: inactive, pending, firing, resolved. Pure: a state, a reading and a time give the next state.

A rule has an instance for each of its groups. An instance that is beyond its limit is pending until the rule's `for`
has passed, then it fires; when it is within again, it has resolved. Each change that somebody should hear of becomes an
event, once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from instrument.alerting.evaluation import Reading
from instrument.alerting.rules import Rule

State = Literal["inactive", "pending", "firing", "resolved"]
EventKind = Literal["firing", "reminder", "resolved"]

SHORTEST_GAP = timedelta(minutes=10)
"""A pause between two evaluations up to which a pending alert is taken to have been beyond its limit."""

FORGOTTEN = timedelta(days=7)
"""How long an instance is kept that is neither pending nor firing."""


class Instance(Struct, frozen=True, omit_defaults=True):
    """One group of a rule: its state since when, when it was last looked at, and what it showed then.

    `said` is when its firing was last put into a message, None while nobody has heard of it.
    """

    rule: str
    group: str | None = None
    state: State = "inactive"
    since: datetime | None = None
    seen: datetime | None = None
    said: datetime | None = None
    value: float | None = None
    detail: str = ""
    verdict: str = ""


class Event(Struct, frozen=True, omit_defaults=True):
    """Something to say of one instance; `id` tells it from all others."""

    id: str
    kind: EventKind
    rule: str
    group: str | None
    severity: str
    at: datetime
    since: datetime
    detail: str
    description: str = ""


def step(rule: Rule, before: Instance, reading: Reading, now: datetime) -> Instance:
    """The instance after one more reading."""
    known = replace(before, seen=now, value=reading.value, detail=reading.detail, verdict=reading.verdict)
    is_beyond = _is_beyond(rule, before, reading)
    if is_beyond is None:
        return known
    if not is_beyond:
        if before.state == "firing":
            return replace(known, state="resolved", since=now)
        if before.state == "pending":
            return replace(known, state="inactive", since=now)
        return known
    begun = before.since
    if before.state not in ("pending", "firing") or begun is None or _was_away(rule, before, now):
        begun = now if before.state != "firing" or begun is None else begun
    if before.state == "firing":
        return replace(known, since=begun)
    fires = now - begun >= timedelta(seconds=rule.hold)
    return replace(known, state="firing" if fires else "pending", since=now if fires else begun)


def _is_beyond(rule: Rule, before: Instance, reading: Reading) -> bool | None:
    """Whether the alert's condition holds; None leaves the state as it is."""
    if reading.verdict in ("beyond", "within"):
        return reading.verdict == "beyond"
    if rule.no_data == "keep":
        return None
    return rule.no_data == "alert" and reading.verdict == "no data"


def _was_away(rule: Rule, before: Instance, now: datetime) -> bool:
    """Whether nobody looked for so long that nothing is known of the time between."""
    longest = max(SHORTEST_GAP, timedelta(seconds=rule.window))
    return before.seen is None or now - before.seen > longest


def heard(
    rule: Rule, before: Instance, after: Instance, now: datetime, silenced: bool
) -> tuple[Instance, Event | None]:
    """The event that a step brings, and the instance that knows of it.

    A silence keeps firing and reminders in; whoever has heard of a firing hears of its end. `before` is the instance
    before the step.
    """
    kind: EventKind | None = None
    if after.state == "firing" and not silenced:
        if after.said is None:
            kind = "firing"
        elif rule.remind is not None and now - after.said >= timedelta(seconds=rule.remind):
            kind = "reminder"
    elif after.state == "resolved" and after.said is not None:
        kind = "resolved" if rule.recovery else None
        after = replace(after, said=None)
    if kind is None:
        return after, None
    if kind != "resolved":
        after = replace(after, said=now)
    since = (before.since if kind == "resolved" else after.since) or now
    identity = f"{rule.name}/{after.group or ''}/{kind}/{now.isoformat()}"
    event = Event(identity, kind, rule.name, after.group, rule.severity, now, since, after.detail, rule.description)
    return after, event


def is_worth_keeping(instance: Instance, now: datetime) -> bool:
    """Whether anything is to be remembered of an instance."""
    if instance.state in ("pending", "firing"):
        return True
    return instance.seen is not None and now - instance.seen < FORGOTTEN
