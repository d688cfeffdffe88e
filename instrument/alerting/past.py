"""When a rule would have fired in the past: the same evaluation, at moments that are over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from instrument.alerting.evaluation import NOTHING, Reading, Readings, evaluate, needed_seconds
from instrument.alerting.rules import Rule
from instrument.alerting.states import Instance, State, step
from instrument.analysis.periods import Period
from instrument.analysis.periods import period as period_of
from instrument.analysis.windows import Moments
from instrument.config import Config
from instrument.reading import open_period

MOST_MOMENTS = 20_000


class Firing(Struct, frozen=True):
    """A time in which a rule would have fired for a group: from `start` to `end` (None: still firing at the end)."""

    group: str | None
    start: datetime
    end: datetime | None
    detail: str


class Past(Struct, frozen=True):
    """What a rule would have done over a period, looked at every `step` seconds.

    `beyond`, `within`, `too_few` and `no_data` count the moments of all groups by what they showed.
    """

    rule: str
    since: datetime
    until: datetime
    step: float
    firings: list[Firing]
    beyond: int
    within: int
    too_few: int
    no_data: int
    problem: str = ""


def past(directory: Path, config: Config, rule: Rule, period: Period, step_seconds: float | None = None) -> Past:
    """Work out when a rule would have fired in a period that has a beginning. Raises StoreError."""
    since = period.since or period.until - timedelta(days=7)
    seconds = step_seconds or _step(rule, since, period.until)
    count = max(1, int((period.until - since).total_seconds() // seconds))
    first = period.until - timedelta(seconds=seconds * (count - 1))
    moments = Moments(first, seconds, count)
    begin = since - timedelta(seconds=needed_seconds(rule))
    whole = period_of(since=begin, until=period.until, time_zone="UTC", now=period.until)
    with open_period(directory, whole, config) as store:
        readings = evaluate(rule, store.tables, moments)
    firings = sorted(_firings(rule, readings, moments), key=lambda one: one.start)
    verdicts = [one for group in readings.values() for one in group]
    counts = {name: sum(one.verdict == name for one in verdicts) for name in ("beyond", "within", "too few", "no data")}
    return Past(
        rule.name, since, period.until, seconds, firings,
        counts["beyond"], counts["within"], counts["too few"], counts["no data"],
        next((one.detail for one in verdicts if one.verdict == "no data" and one.detail != NOTHING.detail), ""),
    )  # fmt: skip


def _step(rule: Rule, since: datetime, until: datetime) -> float:
    """A minute, or longer where the period has too many of them."""
    minutes = math.ceil((until - since).total_seconds() / MOST_MOMENTS / 60)
    return 60.0 * max(1, minutes, 5 if rule.kind == "anomaly" else 1)


def states(rule: Rule, readings: list[Reading], moments: Moments) -> Iterator[State]:
    """The state of one group after each moment."""
    instance = Instance(rule.name)
    for place, reading in enumerate(readings):
        instance = step(rule, instance, reading, moments.at(place))
        yield instance.state


def _firings(rule: Rule, readings: Readings, moments: Moments) -> Iterator[Firing]:
    for group, own in readings.items():
        begun: int | None = None
        for place, state in enumerate(states(rule, own, moments)):
            if state == "firing" and begun is None:
                begun = place
            elif state != "firing" and begun is not None:
                yield Firing(group, moments.at(begun), moments.at(place), own[begun].detail)
                begun = None
        if begun is not None:
            yield Firing(group, moments.at(begun), None, own[begun].detail)
