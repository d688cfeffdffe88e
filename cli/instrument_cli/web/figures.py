"""Figures for pages: a store is opened once for all who ask; a result is kept as long as it was dear."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from instrument.errors import InstrumentError
from instrument.reading import Store

if TYPE_CHECKING:
    from instrument.analysis.periods import Period
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

KEPT_FOR = 20.0
"""How many times as long as it took a result is kept: so figures cost a twentieth of a core at most."""

THREADS = min(os.cpu_count() or 1, 4)
"""DuckDB works in so many threads, of which the one that asks is one: what that spends is multiplied by it."""

LEAST_SECONDS, MOST_SECONDS = 1.0, 60.0
MOST_APART = 900.0
UNCHANGED_SECONDS = 60.0
"""How long a result stands at the most while nothing new came: the period moves on all the same."""

MOST_KEPT = 32
"""Results that are kept."""

MOST_STORES = 4
"""Periods that are kept open, so that figures of one page are of the same moment."""


class Used(NamedTuple):
    """A result that a page shows: when the store was opened that it is of, the store's mark then, and when it is due.

    Times are those of `time.monotonic`.
    """

    at: float
    mark: object
    due_at: float


_used: ContextVar[list[Used] | None] = ContextVar("used", default=None)
"""The results that the page being drawn uses."""


@contextmanager
def used() -> Iterator[list[Used]]:
    """Collect the results that are used inside."""
    collected: list[Used] = []
    token = _used.set(collected)
    try:
        yield collected
    finally:
        _used.reset(token)


def metered(site: Site) -> Callable[[], float]:
    """Begin to measure work; what this gives says how many seconds of a core it took until then.

    A database elsewhere does the work itself: there it is how long that takes.
    """
    if site.is_elsewhere:
        began = time.monotonic()
        return lambda: time.monotonic() - began
    begun = time.thread_time()
    return lambda: (time.thread_time() - begun) * THREADS


class _Kept(NamedTuple):
    """A result, when the store was opened that it is of, the store's mark then, and until when it is kept.

    Until `shown_until` it is good enough for who opens a page: what is new follows by the live stream.
    """

    value: Any
    at: float
    until: float
    mark: object = None
    shown_until: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is to be worked out anew."""
        until = self.until if _used.get() is not None else max(self.until, self.shown_until)
        return time.monotonic() >= until


class _Open(NamedTuple):
    store: Store
    at: float
    took: float
    version: int


class Figures:
    """The results of one site. One computation runs at a time: DuckDB takes all cores for it anyway."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.RLock()
        self._apart = threading.Lock()
        self._results: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._stores: OrderedDict[Hashable, _Open] = OrderedDict()

    def of(self, view: View, name: str, work: Callable[[Store], Any], *further: Hashable) -> Any:
        """A result over the store of a view's period and its filters, kept for a while under `name`."""
        key = (name, view.period, view.since, view.until, view.tz, view.where, further)
        with self._lock:
            kept = self._results.get(key)
            if kept is None or (kept.is_due and not self._still_holds(kept)):
                kept = self._results[key] = self._worked_out(view, work)
            self._results.move_to_end(key)
            while len(self._results) > MOST_KEPT:
                self._results.popitem(last=False)
            collected = _used.get()
            if collected is not None:
                collected.append(Used(kept.at, kept.mark, kept.until))
            return kept.value

    def _worked_out(self, view: View, work: Callable[[Store], Any]) -> _Kept:
        spent = metered(self._site)
        store, opened_at = self._opened(view)
        value = work(store)
        wait = min(max(spent() * KEPT_FOR, LEAST_SECONDS), MOST_SECONDS)
        return _Kept(value, opened_at, time.monotonic() + wait, store.tables.mark)

    def _still_holds(self, kept: _Kept) -> bool:
        """Whether nothing new has come since, and the period has not moved on by much."""
        if kept.mark is None or time.monotonic() - kept.at > UNCHANGED_SECONDS:
            return False
        try:
            return bool(self._site.live.mark() == kept.mark)
        except InstrumentError:  # the store is away: who works the result out says so
            return False

    def show_for(self, view: View, seconds: float) -> None:
        """Let pages that are opened show what is known of a view for so long, instead of working it out anew."""
        period = (view.period, view.since, view.until, view.tz, view.where)
        until = time.monotonic() + seconds
        with self._lock:
            for key, kept in self._results.items():
                if isinstance(key, tuple) and key[1:6] == period:
                    self._results[key] = kept._replace(shown_until=until)

    def apart(self, view: View, name: str, work: Callable[[Store], Any]) -> Any:
        """A result that takes long: over a store of its own, so that no other page waits for it, and kept longer."""
        key = ("apart", name, view.period, view.since, view.until, view.tz, view.where)
        with self._apart:
            kept = self._results.get(key)
            if kept is None or time.monotonic() >= kept.until:
                begun = time.monotonic()
                with self.opened(view.worked_out(self._site)) as store:
                    value = work(store)
                wait = min((time.monotonic() - begun) * KEPT_FOR, MOST_APART)
                kept = _Kept(value, begun, time.monotonic() + max(wait, LEAST_SECONDS))
                with self._lock:
                    self._results[key] = kept
            return kept.value

    def opened(self, period: Period) -> Store:
        """A store of one's own for a period; close it."""
        return self._site.live.opened(period)

    def _opened(self, view: View) -> tuple[Store, float]:
        """The open store of a period, and when opening it was begun."""
        key = (view.period, view.since, view.until, view.tz)
        now, version = time.monotonic(), self._site.live.version
        for other in [other for other, one in self._stores.items() if one.version != version]:
            self._stores.pop(other).store.close()  # it may name files that are gone
        found = self._stores.get(key)
        if found is not None and now - found.at < min(max(found.took * KEPT_FOR, LEAST_SECONDS), MOST_SECONDS):
            self._stores.move_to_end(key)
            return found.store, found.at
        if found is not None:
            self._stores.pop(key).store.close()
        spent = metered(self._site)
        store = self.opened(view.worked_out(self._site))
        self._stores[key] = _Open(store, now, spent(), self._site.live.version)
        while len(self._stores) > MOST_STORES:
            self._stores.popitem(last=False)[1].store.close()
        return store, now

    def close(self) -> None:
        """Let go of every store and result."""
        with self._lock:
            for each in self._stores.values():
                each.store.close()
            self._stores.clear()
            self._results.clear()


_of_sites: dict[int, Figures] = {}


def figures_of(site: Site) -> Figures:
    """The figures of a site, the same ones for every page of it."""
    return _of_sites.setdefault(id(site), Figures(site))
