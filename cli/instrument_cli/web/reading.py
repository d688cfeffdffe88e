"""How rooms read the store: opened for a period, in threads of their own, few at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from instrument.analysis import search
from instrument.analysis.periods import period as worked_out
from instrument.errors import InstrumentError, NotFoundError

if TYPE_CHECKING:
    from datetime import timedelta

    from instrument.analysis.periods import Period
    from instrument.reading import Store
    from instrument_cli.web.site import Site

T = TypeVar("T")

WORKERS = 3
"""How many requests read at a time: each may use several cores and some hundred MB."""

MOST_WAITING = 50
"""How many requests may wait for that."""


class BusyError(InstrumentError):
    """Too many requests read the store already."""


class Readers:
    """Threads for work that takes long, so that a slow request holds up no page and no scrape."""

    def __init__(self) -> None:
        self._waiting = 0

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(WORKERS, "metrics serve: reader")

    async def run(self, work: Callable[[], T]) -> T:
        """Do this in one of the threads. Raises BusyError when too many wait for one."""
        if self._waiting >= WORKERS + MOST_WAITING:
            raise BusyError("too many requests are being answered; try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


readers = Readers()
"""The threads of this process, for every room."""


@contextmanager
def opened(site: Site, period: Period) -> Iterator[Store]:
    """The site's store, opened for a period; an empty one while there is none yet. Raises StoreError."""
    if "://" in str(site.source) or Path(site.source).exists():
        with site.live.opened(period) as store:
            yield store
        return
    from instrument.reading import open_period

    with tempfile.TemporaryDirectory() as empty, open_period(empty, period, site.config) as store:
        yield store


def at_query(site: Site, query_id: str, work: Callable[[Store], T], within: timedelta | None = None) -> T:
    """Do work over the time around a query, as its id says; over all of the store where the work finds no such query.

    `within` is how long after the query's start the time ends, else now. Raises what the work raises, and StoreError.
    """
    near = search.around(query_id, within)
    if near is not None:
        with suppress(NotFoundError), opened(site, near) as store:
            return work(store)
    with opened(site, worked_out(time_zone="UTC")) as store:
        return work(store)
