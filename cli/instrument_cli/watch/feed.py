"""What the live view shows, as it comes: new queries at once, figures as often as their cost allows.

Two threads: one follows the store, the other works figures out, so that neither waits for the other. What they find
goes to `deliver`, which is called in their threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from instrument.analysis.filters import Filter
from instrument.analysis.matching import matches
from instrument.analysis.overview import Overview
from instrument.analysis.periods import Period
from instrument.config import Config
from instrument.errors import InstrumentError
from instrument.live import Live
from instrument.records import QueryRecord, Record
from instrument.store.tail import follow
from instrument_cli.watch.rows import MOST, Row, newest

GATHER_SECONDS = 0.2
"""How long new queries are gathered before they are shown."""

LEAST_SECONDS, TIMES_COST = 1.0, 20.0
"""With traffic, figures wait this long, and so many times what the last ones took."""

LEAST_IDLE_SECONDS, TIMES_IDLE_COST = 15.0, 200.0
"""The same without traffic, when only time passes."""

RETRY_SECONDS = 2.0
_OVERLAP_SECONDS = 2.0


class Asked(NamedTuple):
    """What is watched: the store in a directory, the period as of now, the settings that its figures go by."""

    directory: Path
    period: Callable[[], Period]
    config: Config


class View(NamedTuple):
    """How it is looked at: filters, failed queries only in the list, and how finely the chart is cut."""

    filters: tuple[Filter, ...] = ()
    failed_only: bool = False
    columns: int = 60
    rows: int = 16


class Fresh(NamedTuple):
    """Queries that came just now, for the view that they were chosen for."""

    view: View
    rows: list[Row]


class Figures(NamedTuple):
    """The period as of now: figures, and the newest queries. `overview` is None while there is no store."""

    view: View
    period: Period
    overview: Overview | None
    rows: list[Row]


class Trouble(NamedTuple):
    """Why there is nothing newer, in a line."""

    message: str


Event = Fresh | Figures | Trouble


class Feed:
    """Follows one store for one view after the other; `start` it, `look` differently, `stop` it."""

    def __init__(self, asked: Asked, view: View, deliver: Callable[[Event], None]) -> None:
        self._asked = asked
        self._live = Live(asked.directory, asked.config)
        self._view = view
        self._deliver = deliver
        self._stop = threading.Event()
        self._due = threading.Event()
        self._begun = threading.Event()
        self._came = 0.0
        self._recent: deque[tuple[float, QueryRecord]] = deque(maxlen=MOST)
        self._threads = [
            threading.Thread(target=run, name=f"metrics watch: {name}", daemon=True)
            for name, run in (("following", self._follow), ("figures", self._work_out))
        ]

    def start(self) -> None:
        """Begin; figures come first, then new queries."""
        for thread in self._threads:
            thread.start()

    def look(self, view: View) -> None:
        """Show this view from now on."""
        self._view = view
        self._due.set()

    def stop(self) -> None:
        """End within a second or two."""
        self._stop.set()
        self._due.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(RETRY_SECONDS)
        self._live.close()

    # -- new queries -------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                with follow(self._asked.directory, wait=1.0) as follower:
                    follower.skip()
                    self._begun.set()
                    while not self._stop.is_set():
                        for batch in follower.batches():
                            self._give(batch)
                            if self._stop.wait(GATHER_SECONDS):
                                break
            except InstrumentError as error:
                self._deliver(Trouble(str(error)))
                self._begun.set()
                self._stop.wait(RETRY_SECONDS)
                self._came = time.monotonic()  # what comes meanwhile is in the figures alone
                self._due.set()

    def _give(self, batch: list[Record]) -> None:
        now, view = time.monotonic(), self._view
        queries = [record for record in batch if isinstance(record, QueryRecord)]
        self._recent.extend((now, query) for query in queries)
        self._came = now
        self._due.set()
        if rows := _chosen(queries, view):
            self._deliver(Fresh(view, rows))

    # -- figures -----------------------------------------------------------------------------------------------------

    def _work_out(self) -> None:
        self._begun.wait()
        while not self._stop.is_set():
            self._due.clear()
            begun, view = time.monotonic(), self._view
            idle, cost = LEAST_IDLE_SECONDS, time.process_time()
            try:
                self._deliver(self._figures(view, begun))
            except InstrumentError as error:
                self._deliver(Trouble(str(error)))
                idle = RETRY_SECONDS
            # Its cost is what it computed, not how long a busy machine let it wait.
            self._rest(view, begun, time.process_time() - cost, idle)

    def _rest(self, shown: View, begun: float, took: float, idle: float) -> None:
        """Wait until figures are due again: sooner when records came, at once when the view is another."""
        soon = max(LEAST_SECONDS, TIMES_COST * took)
        late = max(idle, TIMES_IDLE_COST * took)
        done = time.monotonic()
        while not self._stop.is_set() and self._view == shown:
            came = self._came > begun
            left = done + (min(soon, late) if came else late) - time.monotonic()
            if left <= 0:
                return
            self._due.wait(left)
            self._due.clear()

    def _figures(self, view: View, begun: float) -> Figures:
        period = self._asked.period()
        if not self._asked.directory.exists():
            return Figures(view, period, None, [])
        with self._live.opened(period) as store:
            overview = store.overview(view.filters, columns=view.columns, rows=view.rows)
            where = [*view.filters, *([Filter("outcome", "=", "failed")] if view.failed_only else [])]
            listed = store.queries(where, limit=MOST)
        # What came while the store was opened may be missing from it.
        since = begun - _OVERLAP_SECONDS
        late = [query for came, query in list(self._recent) if came >= since]
        return Figures(view, period, overview, newest(map(Row.of, listed), _chosen(late, view)))

    def query(self, row: Row) -> QueryRecord:
        """One query of the list whole, read anew. Raises StoreError, UsageError."""
        period = self._asked.period()
        around = msgspec.structs.replace(
            period, since=row.started - timedelta(seconds=1), until=row.started + timedelta(seconds=1)
        )
        with self._live.opened(around) as store:
            return store.query(row.query_id)


def _chosen(queries: list[QueryRecord], view: View) -> list[Row]:
    rows = [Row.of(query) for query in queries if matches(view.filters, query)]
    return [row for row in rows if row.failed or not view.failed_only]
