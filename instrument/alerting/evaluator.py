"""One evaluation of all rules, and the loop that `metrics serve` runs beside its pages."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from instrument.alerting import outbox, state_file
from instrument.alerting.evaluation import Readings, absent, evaluate, needed_seconds
from instrument.alerting.outbox import Outbox, now_utc
from instrument.alerting.rules import Rule, Rules, read_rules
from instrument.alerting.state_file import AlertState
from instrument.alerting.states import Instance, heard, is_worth_keeping, step
from instrument.alerting.targets import all_targets, check_targets, targets_of
from instrument.analysis.periods import Period
from instrument.analysis.periods import period as period_of
from instrument.analysis.windows import Moments
from instrument.config import Config
from instrument.errors import InstrumentError
from instrument.reading import Store, open_period

EVERY = 15.0
"""Seconds between two evaluations."""

LONGEST_APART = 300.0
"""A rule that needs more than two hours of the store is looked at less often, but at least every so many seconds."""

_SPARED = 5
"""How many times as long as an evaluation takes nothing is evaluated, so that a large store never fills a core."""

_REACHES = (2 * 3600.0, 26 * 3600.0, 9 * 86400.0)
"""Rules that need no more than so many seconds of the store are worked out over one reading of it."""


Opened = Callable[[Period], Store]
"""Opens the store for a period."""


class Evaluated(Struct, frozen=True):
    """What one evaluation found: the readings of each rule that was looked at, by name."""

    at: datetime
    readings: dict[str, Readings]


def evaluated(
    directory: Path, config: Config, rules: Iterable[Rule], now: datetime, opened: Opened | None = None
) -> Evaluated:
    """Work rules out at a moment. `opened` opens the store in place of reading it whole each time.

    Raises StoreError when the store cannot be read.
    """
    opened = opened or partial(open_period, directory, config=config)
    found: dict[str, Readings] = {}
    left = sorted(rules, key=needed_seconds)
    while left:
        reach = next((each for each in _REACHES if needed_seconds(left[0]) <= each), needed_seconds(left[-1]))
        together = [rule for rule in left if needed_seconds(rule) <= reach]
        left = left[len(together) :]
        since = now - timedelta(seconds=needed_seconds(together[-1]))
        period = period_of(since=since, until=now, time_zone="UTC", now=now)
        with opened(period) as store:
            for rule in together:
                found[rule.name] = evaluate(rule, store.tables, Moments(now))
    return Evaluated(now, found)


def take_in(state: AlertState, rules: Rules, found: Evaluated) -> None:
    """Bring the state up to what an evaluation found, and let its events wait for their targets."""
    before = {(one.rule, one.group): one for one in state.instances}
    after: dict[tuple[str, str | None], Instance] = {}
    for rule in rules.rules:
        known = [group for name, group in before if name == rule.name]
        if rule.name not in found.readings:
            after |= {(rule.name, group): before[rule.name, group] for group in known}
            continue
        readings = found.readings[rule.name]
        for group in dict.fromkeys([*readings, *known]):
            reading = readings[group][0] if group in readings else absent(rule)
            instance = before.get((rule.name, group), Instance(rule.name, group))
            stepped = step(rule, instance, reading, found.at)
            silenced = state.is_silenced(rule.name, found.at)
            stepped, event = heard(rule, instance, stepped, found.at, silenced)
            if event is not None:
                outbox.put(state, event, targets_of(rule, rules))
            if is_worth_keeping(stepped, found.at):
                after[rule.name, group] = stepped
    state.instances = list(after.values())
    looked = state.looked | dict.fromkeys(found.readings, found.at)
    state.looked = {rule.name: looked[rule.name] for rule in rules.rules if rule.name in looked}
    state.silences = {name: one for name, one in state.silences.items() if found.at < one.until}


def check_once(directory: Path, config: Config, rules: Rules, now: datetime | None = None) -> AlertState:
    """Evaluate every rule once, keep the state, send what is due, and return the state.

    Raises ConfigError for a target that cannot be sent to, StoreError for a store that cannot be used.
    """
    check_targets(rules)
    moment = now or now_utc()
    found = evaluated(directory, config, rules.rules, moment)
    with state_file.only_sender(directory) as sends:
        box = Outbox(directory)
        if sends:
            box.begin()
        with state_file.changing(directory) as state:
            take_in(state, rules, found)
        if sends:
            box.send_due(all_targets(rules))
            box.wait(60)
    return state_file.read(directory)


def evaluate_forever(
    directory: Path,
    config: Config,
    stop: threading.Event,
    *,
    folder: Path | None = None,
    every: float = EVERY,
    quiet: timedelta = outbox.QUIET,
    opened: Opened | None = None,
) -> None:
    """Evaluate every rule of the settings in `folder` again and again until `stop` is set.

    `opened` opens the store for a period, where somebody keeps it current anyway.

    Settings are read anew each time; while they are wrong, the last right ones hold. What goes wrong is said once on
    standard error.
    """
    Evaluator(Path(directory), config, folder or Path.cwd(), quiet, opened).run(stop, every)


class Evaluator:
    """The loop of `evaluate_forever`: which rules are due, and what has been said of what went wrong."""

    def __init__(
        self,
        directory: Path,
        config: Config,
        folder: Path,
        quiet: timedelta = outbox.QUIET,
        opened: Opened | None = None,
    ) -> None:
        self._directory, self._config, self._folder = directory, config, folder
        self._opened = opened
        self._rules = Rules()
        self._last: dict[str, datetime] = {}
        self._said = ""
        self._wrong = False
        self._outbox = Outbox(directory, quiet=quiet)

    def run(self, stop: threading.Event, every: float) -> None:
        """Evaluate until told to stop; then wait a little for what is being sent."""
        while not stop.is_set() and not self._read_rules().rules:
            stop.wait(every)  # nobody has written a rule: no lock, no file, no store
        while not stop.is_set():
            with state_file.only_sender(self._directory) as sends:
                if sends:
                    self._outbox.begin()
                end = now_utc() + timedelta(seconds=60)
                while not stop.is_set() and (sends or now_utc() < end):  # asks again whether the other sender is gone
                    begun = time.monotonic()
                    self._round(sends, every)
                    took = time.monotonic() - begun
                    stop.wait(max(every, min(_SPARED * took, LONGEST_APART)))
                self._outbox.wait(4)

    def _round(self, sends: bool, every: float) -> None:
        try:
            rules = self._read_rules()
            now = now_utc()
            due = [rule for rule in rules.rules if self._is_due(rule, now, every)]
            if due and self._directory.is_dir():
                found = evaluated(self._directory, self._config, due, now, self._opened)
                with state_file.changing(self._directory) as state:
                    take_in(state, rules, found)
                self._last |= {rule.name: now for rule in due}
            if sends:
                self._outbox.send_due(all_targets(rules))
            self._said = self._said if self._wrong else ""
        except InstrumentError as error:
            self._say(str(error))

    def _read_rules(self) -> Rules:
        try:
            rules = read_rules(self._folder)
            check_targets(rules)
        except InstrumentError as error:
            self._wrong = True
            self._say(f"{error}; the rules of before hold")
            return self._rules
        self._wrong = False
        if rules != self._rules:
            self._last.clear()
        self._rules = rules
        return rules

    def _is_due(self, rule: Rule, now: datetime, every: float) -> bool:
        last = self._last.get(rule.name)
        apart = min(max(every, needed_seconds(rule) / 480), LONGEST_APART)
        return last is None or (now - last).total_seconds() >= apart - 0.5 * every

    def _say(self, text: str) -> None:
        if text != self._said:
            print(f"metrics alerts: {text}", file=sys.stderr, flush=True)
            self._said = text
