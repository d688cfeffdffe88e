"""Shipping to a receiver of OTLP: batches of records, sent until the receiver has taken them.

The cursor stands in the store under a name that belongs to the receiver, and goes on only when every signal of a batch
was taken. So whatever happens between, the batch is sent again; its spans and events then have the same ids, and the
metrics are totals, so that nothing counts twice.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from instrument.config import resolve
from instrument.errors import UsageError
from instrument.exporters.otlp import requests
from instrument.exporters.otlp.receiver import Receiver, RefusedError
from instrument.exporters.otlp.settings import SIGNALS, shown, target_of
from instrument.exporters.otlp.totals import Totals
from instrument.exporters.shipping import Order
from instrument.rows.stored import HealthRow, QueryRow, SelectionRow, StandaloneCallRow
from instrument.store.cursors import Cursor, Registration
from instrument.store.layout import check_directory
from instrument.store.stored_records import ROWS, AnyRow
from instrument.store.tail import Following

BATCH = 500
"""Records that go in one request at most: some 3,000 spans, 1 MB, 100 kB gzipped."""

GATHERED_SECONDS = 1.0
"""How long a batch waits for more while it follows."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0

METRICS_SECONDS = 15.0
"""How often metrics are sent while it follows."""

TRIES = 5
"""How often a request is tried when it does not follow; some ten seconds in all."""


class Outcome(Struct):
    """How many records were sent, in how many requests, and how often a receiver had to be asked again."""

    records: int = 0
    requests: int = 0
    again: int = 0


def ship_to(order: Order) -> str:
    """Ship as the order says; a sentence of what was done.

    `order.options` may have `signals`, a list with commas of `traces`, `metrics` and `logs` (traces unless given), and
    `since`, the µs since 1970 from which on records are sent. Raises UsageError for an address or a variable that
    cannot be used; StoreError when the receiver does not take what it is sent, or another process ships there.
    """
    done = ship(
        order.directory,
        order.address,
        signals=tuple(order.options.get("signals", "traces").replace(" ", "").split(",")),
        since=int(order.options.get("since", "0")),
        follow=order.follow,
        stop=order.stop,
        say=order.say,
    )
    return f"Shipped {done.records:,} records in {done.requests:,} requests."


def ship(
    directory: Path,
    address: str,
    *,
    signals: tuple[str, ...] = ("traces",),
    since: int = 0,
    follow: bool = False,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda line: None,
    environ: Mapping[str, str] = os.environ,
) -> Outcome:
    """Ship what the receiver has not had yet; with `follow` also what comes, until `stop` is set.

    An error that may pass is said once and tried again, with growing pauses: for ever while it follows, else
    `TRIES` times. Any other error of the receiver ends it.
    """
    if not signals or set(signals) - set(SIGNALS):
        raise UsageError(f"--signals {','.join(signals)} cannot be sent; choose of {', '.join(SIGNALS)}")
    receivers = {signal: Receiver(target_of(signal, address, environ)) for signal in SIGNALS if signal in signals}
    if not follow:
        check_directory(directory)
    name = name_of(receivers)
    registration = Registration(directory, name)
    stop = stop or threading.Event()
    with ExitStack() as held:
        for receiver in receivers.values():
            held.callback(receiver.close)
        held.enter_context(registration.held())
        config = resolve({}, environ, Path.cwd()).config
        totals = Totals(directory, name, config) if "metrics" in receivers else None
        shipper = _Shipper(receivers, totals, requests.Resources(environ), stop, say, patient=follow)
        start = Cursor.parsed(totals.cursor) if totals and totals.cursor else registration.load()
        wait = GATHERED_SECONDS if follow else 0
        rows = held.enter_context(Following(directory, start, None, wait, ROWS))
        shipper.run(rows, registration, since, follow=follow)
    return shipper.outcome


def name_of(receivers: Mapping[str, Receiver]) -> str:
    """The name of the cursor of what goes to these receivers."""
    text = " ".join(f"{signal}={shown(receiver.name)}" for signal, receiver in sorted(receivers.items()))
    return f"otlp-{blake2b(text.encode(), digest_size=12).hexdigest()}"


class _Shipper:
    def __init__(
        self,
        receivers: dict[str, Receiver],
        totals: Totals | None,
        resources: requests.Resources,
        stop: threading.Event,
        say: Callable[[str], None],
        *,
        patient: bool,
    ) -> None:
        self.outcome = Outcome()
        self._receivers = receivers
        self._totals = totals
        self._totals_sent = time.monotonic()
        self._resources = resources
        self._stop = stop
        self._say = say
        self._patient = patient
        self._encode = {"traces": requests.traces, "logs": requests.events}

    def run(self, following: Following[AnyRow], registration: Registration, since: int, *, follow: bool) -> None:
        """Ship batch after batch: until there is no more, or with `follow` until told to stop."""
        while not self._stop.is_set():
            for rows in _gathered(following, self._stop):
                wanted = rows if not since else [row for row in rows if _began(row) >= since]
                for start in range(0, len(wanted), BATCH):
                    if not self._ship(wanted[start : start + BATCH]):
                        return
                self._keep(registration, wanted, following.cursor.text)
                self._send_totals(every=METRICS_SECONDS)
            if not follow:
                self._send_totals()
                return
            self._send_totals(every=METRICS_SECONDS)
            registration.touch()
        self._send_totals(last=True)

    def _keep(self, registration: Registration, rows: list[AnyRow], cursor: str) -> None:
        """Keep the place behind rows that were taken; the totals that they make up are kept with it."""
        if self._totals is not None:
            if rows:
                self._totals.add(rows, min(map(_began, rows)))
            self._totals.save(cursor)
        registration.save(cursor)

    def _send_totals(self, *, every: float = 0, last: bool = False) -> None:
        """Send the metrics, unless that was done lately. Told to stop, it tries once: they come again another time."""
        if self._totals is None or time.monotonic() - self._totals_sent < every:
            return
        self._totals_sent = time.monotonic()
        receiver = self._receivers["metrics"]
        content = self._totals.request(self._resources.here())
        if not content:
            return
        if not last:
            self._tried(receiver, content)
            return
        with suppress(RefusedError):
            receiver.send(content)
            self.outcome.requests += 1

    def _ship(self, rows: list[AnyRow]) -> bool:
        """Send a batch to every receiver; False when it was to stop before they had taken it."""
        for signal, receiver in self._receivers.items():
            if signal in self._encode and not self._send(signal, receiver, rows):
                return False
        self.outcome.records += len(rows)
        return True

    def _send(self, signal: str, receiver: Receiver, rows: list[AnyRow]) -> bool:
        content = self._encode[signal](rows, self._resources)
        if not content:
            return True
        try:
            return self._tried(receiver, content)
        except RefusedError as error:
            if not error.too_large or len(rows) < 2:
                raise
        half = len(rows) // 2
        return self._send(signal, receiver, rows[:half]) and self._send(signal, receiver, rows[half:])

    def _tried(self, receiver: Receiver, content: bytes) -> bool:
        """Send one request, again and again until it is taken."""
        pause, said, tries = FIRST_PAUSE, "", 0
        while not self._stop.is_set():
            try:
                answer = receiver.send(content)
            except RefusedError as error:
                tries += 1
                hopeless = not self._patient and (tries >= TRIES or error.wait > LONGEST_PAUSE)
                if not error.later or hopeless:
                    raise
                if str(error) != said:
                    said = str(error)
                    self._say(f"{said}; trying again, nothing is lost")
                self.outcome.again += 1
                self._stop.wait(max(error.wait, pause * random.uniform(0.7, 1.3)))
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self.outcome.requests += 1
                if answer:
                    self._say(f"{receiver.name}: {answer}")
                return True
        return False


def _gathered(following: Following[AnyRow], stop: threading.Event) -> Iterator[list[AnyRow]]:
    """Lists of rows: what is there at once, what comes within a second together."""
    gathered: list[AnyRow] = []
    deadline = time.monotonic() + GATHERED_SECONDS
    for rows in following.batches():
        gathered += rows
        if len(gathered) >= BATCH or time.monotonic() > deadline or stop.is_set():
            yield gathered
            gathered, deadline = [], time.monotonic() + GATHERED_SECONDS
    if gathered:
        yield gathered


def _began(row: AnyRow) -> int:
    """When a record began, in µs since 1970."""
    if isinstance(row, (QueryRow, StandaloneCallRow)):
        return row.started
    assert isinstance(row, (SelectionRow, HealthRow))
    return row.time
