"""Shipping to a receiver of OTLP: batches of records, sent until the receiver has taken them.

The cursor stands in the store under a name that belongs to the receiver, and goes on only when every signal of a batch
was taken. So whatever happens between, the batch is sent again; its spans and events then have the same ids, and the
metrics are totals, so that nothing counts twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from instrument.config import resolve
from instrument.errors import RefusedError, UsageError
from instrument.exporters.delivery import Delivery
from instrument.exporters.otlp import requests
from instrument.exporters.otlp.receiver import TOO_LARGE, Receiver
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

METRICS_SECONDS = 15.0
"""How often metrics are sent while it follows."""


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

    An error that may pass is said once and tried again, as `Delivery.tried` does. Any other error of the receiver ends
    it.
    """
    if not signals or set(signals) - set(SIGNALS):
        raise UsageError(f"--signals {','.join(signals)} cannot be sent; choose of {', '.join(SIGNALS)}")
    receivers = {signal: Receiver(target_of(signal, address, environ)) for signal in SIGNALS if signal in signals}
    if not follow:
        check_directory(directory)
    name = name_of(receivers)
    registration = Registration(directory, name)
    delivery = Delivery(stop, say, follow=follow)
    with ExitStack() as held:
        for receiver in receivers.values():
            held.callback(receiver.close)
        held.enter_context(registration.held())
        config = resolve({}, environ, Path.cwd()).config
        totals = Totals(directory, name, config) if "metrics" in receivers else None
        shipper = _Shipper(receivers, totals, requests.Resources(environ), delivery, since)
        start = Cursor.parsed(totals.cursor) if totals and totals.cursor else registration.load()
        following = held.enter_context(Following(directory, start, None, delivery.wait, ROWS))
        shipper.run(following, registration)
    shipper.outcome.again = delivery.again
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
        delivery: Delivery,
        since: int,
    ) -> None:
        self.outcome = Outcome()
        self._receivers = receivers
        self._totals = totals
        self._totals_sent = time.monotonic()
        self._resources = resources
        self._delivery = delivery
        self._since = since
        self._encode = {"traces": requests.traces, "logs": requests.events}

    def run(self, following: Following[AnyRow], registration: Registration) -> None:
        """Ship batch after batch: until there is no more, or until told to stop."""
        with self._delivery.until_stopped():
            for rows in self._delivery.batches(following, BATCH):
                if rows:
                    self._ship_all(rows)
                    self._keep(registration, rows, following.cursor.text)
                else:
                    registration.touch()
                self._send_totals(every=METRICS_SECONDS)
            if self._delivery.stop.is_set():
                self._send_totals_once()
            else:
                self._send_totals()

    def _wanted(self, rows: list[AnyRow]) -> list[AnyRow]:
        return [row for row in rows if _began(row) >= self._since] if self._since else rows

    def _ship_all(self, rows: list[AnyRow]) -> None:
        """Send rows to every receiver, in batches."""
        wanted = self._wanted(rows)
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            for signal in self._receivers:
                if signal in self._encode:
                    self._send(signal, batch)
            self.outcome.records += len(batch)

    def _keep(self, registration: Registration, rows: list[AnyRow], cursor: str) -> None:
        """Keep the place behind rows that were taken; the totals that they make up are kept with it."""
        if self._totals is not None:
            if wanted := self._wanted(rows):
                self._totals.add(wanted, min(map(_began, wanted)))
            self._totals.save(cursor)
        registration.save(cursor)

    def _send_totals(self, *, every: float = 0) -> None:
        """Send the metrics, unless that was done lately."""
        if self._totals is None or time.monotonic() - self._totals_sent < every:
            return
        self._totals_sent = time.monotonic()
        if content := self._totals.request(self._resources.here()):
            self._tried("metrics", content)

    def _send_totals_once(self) -> None:
        """Send the metrics before the end, if the receiver takes them at once: they come again another time."""
        if self._totals is not None and (content := self._totals.request(self._resources.here())):
            with suppress(RefusedError):
                self._receivers["metrics"].send(content)
                self.outcome.requests += 1

    def _send(self, signal: str, rows: list[AnyRow]) -> None:
        """Send rows as one request, or in halves where that is too large."""
        content = self._encode[signal](rows, self._resources)
        if not content:
            return
        try:
            self._tried(signal, content)
        except RefusedError as error:
            if error.code != TOO_LARGE or len(rows) < 2:
                raise
            half = len(rows) // 2
            self._send(signal, rows[:half])
            self._send(signal, rows[half:])

    def _tried(self, signal: str, content: bytes) -> None:
        """Send one request until it is taken."""
        receiver = self._receivers[signal]
        answer = self._delivery.tried(lambda: receiver.send(content))
        self.outcome.requests += 1
        if answer:
            self._delivery.say(f"{receiver.name}: {answer}")


def _began(row: AnyRow) -> int:
    """When a record began, in µs since 1970."""
    if isinstance(row, (QueryRow, StandaloneCallRow)):
        return row.started
    assert isinstance(row, (SelectionRow, HealthRow))
    return row.time
