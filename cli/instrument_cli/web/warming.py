"""The job of `metrics serve` that keeps the first page ready, so that nobody who opens it waits for its figures."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from instrument.errors import InstrumentError
from instrument_cli.web import pages
from instrument_cli.web.figures import THREADS, figures_of, used
from instrument_cli.web.view import View

if TYPE_CHECKING:
    from instrument_cli.web.site import Site

PAUSE_SECONDS = 5.0
"""How often it looks whether anything is new: a millisecond of work."""

LEAST_SECONDS, TIMES_COST = 60.0, 100.0
"""Where something is new, the page is worked out so long after the last time, or so many times as long as that took."""

IDLE_SECONDS = 300.0
"""Where nothing is, the period still moves on."""


def run(site: Site, stop: threading.Event) -> None:
    """Keep the overview ready until the server stops. A source that is no directory is read only when somebody asks."""
    if "://" in str(site.source):
        return
    view, figures = View("/"), figures_of(site)
    drawn_at, took, known = 0.0, 0.0, None
    while not stop.is_set():
        try:
            mark = site.live.mark()
            age = time.monotonic() - drawn_at
            is_new = mark != known and age >= max(LEAST_SECONDS, took * TIMES_COST)
            if known is None or is_new or age >= IDLE_SECONDS:
                begun = time.thread_time()
                with used():
                    pages.draw(site, view)
                drawn_at, known, took = time.monotonic(), mark, (time.thread_time() - begun) * THREADS
            figures.show_for(view, 2 * PAUSE_SECONDS)
        except InstrumentError:  # no store yet, or it is away: pages say so
            known = None
        stop.wait(PAUSE_SECONDS)
