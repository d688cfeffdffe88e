"""Messages on their way to targets: each event to each target once, failed ones again later, many events in one.

Before a message goes out, the state says so. Whoever finds that a process ended while it was sending cannot know
whether the message arrived, and does not send it again: the list of alerts says so instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from instrument.alerting import messages, state_file, targets
from instrument.alerting.state_file import AlertState, Box
from instrument.alerting.states import Event
from instrument.alerting.targets import Target
from instrument.analysis.wording import several

QUIET = timedelta(seconds=60)
"""The least time between two messages to a target: what comes meanwhile goes together into the next."""

FIRST_RETRY, LAST_RETRY = timedelta(seconds=15), timedelta(hours=1)
GIVEN_UP = timedelta(days=1)
"""How old an event may get before it is no longer worth sending."""

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def put(state: AlertState, event: Event, whom: list[Target]) -> None:
    """Let an event wait for each of its targets."""
    for target in whom:
        box = state.boxes.setdefault(target.key, Box())
        box.label = target.label
        box.waiting.append(event)


def give_up_on_the_interrupted(state: AlertState) -> None:
    """Note what a process that ended was sending: nobody knows whether it arrived."""
    for box in state.boxes.values():
        lost = [event for event in box.waiting if event.id in box.sending]
        if lost:
            names = ", ".join(f"{event.kind} {messages.name(event)}" for event in lost)
            state.note(f"{box.label}: the program ended while it sent {names}; it may not have arrived")
        box.waiting = [event for event in box.waiting if event.id not in box.sending]
        box.sending = []


class Outbox:
    """Sends what waits in a store's state, each target in a thread of its own; for one process at a time."""

    def __init__(self, directory: Path, *, quiet: timedelta = QUIET, clock: Clock = now_utc) -> None:
        self._directory, self._quiet, self._clock = directory, quiet, clock
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        """Settle what an earlier process left half done."""
        if any(box.sending for box in state_file.read(self._directory).boxes.values()):
            with state_file.changing(self._directory) as state:
                give_up_on_the_interrupted(state)

    def send_due(self, known: Mapping[str, Target]) -> None:
        """Send to each target for which something is due; returns at once, the threads go on."""
        now = self._clock()
        if not any(self._is_due(box, now) for box in state_file.read(self._directory).boxes.values()):
            return
        batches: list[tuple[Target, list[Event]]] = []
        with state_file.changing(self._directory) as state:
            for key, box in list(state.boxes.items()):
                self._drop_the_old(state, box, now)
                if key not in known:
                    if not box.sending:
                        del state.boxes[key]  # the target has been taken out of the settings
                elif self._is_due(box, now):
                    box.sending = [event.id for event in box.waiting]
                    batches.append((known[key], list(box.waiting)))
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for target, events in batches:
            thread = threading.Thread(target=self._send, args=(target, events), name="alerts", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for what is being sent, so long at the most."""
        end = self._clock() + timedelta(seconds=seconds)
        for thread in self._threads:
            thread.join(max(0.0, (end - self._clock()).total_seconds()))

    def _is_due(self, box: Box, now: datetime) -> bool:
        if not box.waiting or box.sending:
            return False
        if box.next_try is not None and now < box.next_try:
            return False
        return box.last_sent is None or now - box.last_sent >= self._quiet

    def _drop_the_old(self, state: AlertState, box: Box, now: datetime) -> None:
        if box.sending:
            return
        old = [event for event in box.waiting if now - event.at > GIVEN_UP]
        if old:
            state.note(f"{box.label}: {several(len(old), 'event')} given up after a day; {box.problem}")
            box.waiting = [event for event in box.waiting if event not in old]

    def _send(self, target: Target, events: list[Event]) -> None:
        problem = targets.send(target, messages.title(events), messages.body(events), messages.kind(events))
        now = self._clock()
        with state_file.changing(self._directory) as state:
            box = state.boxes.setdefault(target.key, Box(target.label))
            box.sending = []
            box.problem = problem
            if problem:
                box.next_try = now + min(FIRST_RETRY * 2 ** min(box.attempts, 12), LAST_RETRY)
                box.attempts += 1
            else:
                sent = {event.id for event in events}
                box.waiting = [event for event in box.waiting if event.id not in sent]
                box.attempts, box.next_try, box.last_sent = 0, None, now
