"""What alerts remember between evaluations and restarts: `<store>/.state/alerts.json`, replaced whole.

A change is read, made and written under a lock that is held for no longer than that, so that `metrics serve`, a cron
job and `metrics alerts silence` may work beside each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument.alerting.states import Event, Instance
from instrument.errors import StoreError
from instrument.files import alone, make_directory, write_file
from instrument.rows.decoding import UnreadableError, decoded
from instrument.store.cursors import STATE

VERSION = 1
PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""

MOST_NOTES = 20

_FILE, _LOCK, _SENDING = "alerts.json", "alerts.lock", "alerts-sending.lock"


class Silence(Struct, frozen=True, omit_defaults=True):
    """A rule that says nothing until a time."""

    until: datetime
    comment: str = ""


class Box(Struct, omit_defaults=True):
    """What waits for one target: events, and of those the ids that are being sent right now.

    `attempts` have failed since the last success, `next_try` is when the next one is due, `problem` says what was wrong
    with the last.
    """

    label: str = ""
    waiting: list[Event] = field(default_factory=list[Event])
    sending: list[str] = field(default_factory=list[str])
    attempts: int = 0
    next_try: datetime | None = None
    last_sent: datetime | None = None
    problem: str = ""


class AlertState(Struct, omit_defaults=True):
    """The instances of all rules, the silences by rule, the boxes by target, and notes on what went wrong.

    `looked` says when each rule was last evaluated: one with groups has no instance while it has no group.
    """

    version: int = VERSION
    instances: list[Instance] = field(default_factory=list[Instance])
    looked: dict[str, datetime] = field(default_factory=dict[str, datetime])
    silences: dict[str, Silence] = field(default_factory=dict[str, Silence])
    boxes: dict[str, Box] = field(default_factory=dict[str, Box])
    notes: list[str] = field(default_factory=list[str])

    def is_silenced(self, rule: str, now: datetime) -> bool:
        """Whether a rule is to say nothing now."""
        silence = self.silences.get(rule)
        return silence is not None and now < silence.until

    def note(self, text: str) -> None:
        """Keep a note, and the last few before it."""
        self.notes = [*self.notes, text][-MOST_NOTES:]


_states = msgspec.json.Decoder(AlertState)


def read(directory: Path) -> AlertState:
    """The state as it was last written; a fresh one where there is none. Raises StoreError for a damaged file."""
    file = directory / STATE / _FILE
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return AlertState()
    except OSError as error:
        raise StoreError(file, f"it cannot be read: {error.strerror}") from None
    try:
        found = decoded(content, _states)
    except UnreadableError:
        raise StoreError(
            file, "it is damaged; remove it, and alerts begin anew: those that fire say so again"
        ) from None
    if found.version != VERSION:
        raise StoreError(file, f"another version wrote it (its format is {found.version}); update this one")
    return found


@contextmanager
def changing(directory: Path) -> Iterator[AlertState]:
    """Read the state, let the block change it, and write it whole. Raises StoreError when that cannot be."""
    make_directory(directory / STATE, inside=True)
    with _alone_in_time(directory / STATE):
        state = read(directory)
        yield state
        try:
            write_file(directory / STATE / _FILE, [msgspec.json.encode(state)])
        except OSError as error:
            raise StoreError(directory, f"the state of alerts cannot be written: {error.strerror}") from None


@contextmanager
def _alone_in_time(folder: Path) -> Iterator[None]:
    end = time.monotonic() + PATIENCE
    while True:
        lock = alone(folder, _LOCK, "another process is writing the state of alerts; try again")
        try:
            lock.__enter__()
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def only_sender(directory: Path) -> Iterator[bool]:
    """Be the one process that sends; gives whether this is the one. The lock goes with the process that holds it."""
    make_directory(directory / STATE, inside=True)
    lock = alone(directory / STATE, _SENDING, "another process sends alerts")
    try:
        lock.__enter__()
    except StoreError:
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)
