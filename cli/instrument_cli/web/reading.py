"""How rooms read the store: opened for a period, in threads of their own, few at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from instrument.errors import InstrumentError

if TYPE_CHECKING:
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
