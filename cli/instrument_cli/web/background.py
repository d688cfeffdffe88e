"""What `metrics serve` does beside answering: jobs, a thread each, that end when the server stops.

A new job is a function `run(site, stop)` that returns soon after `stop` is set, named in `JOBS`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instrument_cli.web.site import Site

JOBS: tuple[str, ...] = tuple(
    f"instrument_cli.web.{name}" for name in ("prometheus", "alerting", "shipping", "warming")
)
"""The modules with a function `run(site, stop)`, by their full names."""

PATIENCE = 5.0
"""Seconds that a job has to end in once the server stops."""


@contextmanager
def running(site: Site) -> Iterator[None]:
    """Run every job until the block ends."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_run, args=(name, site, stop), name=f"metrics serve: {name}", daemon=True)
        for name in JOBS
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def _run(name: str, site: Site, stop: threading.Event) -> None:
    """Run one job; one that fails is said on standard error and in the health check, and tried again."""
    wait = 1.0
    while not stop.is_set():
        site.jobs[name] = ""
        try:
            import_module(name).run(site, stop)
        except Exception as error:  # noqa: BLE001 - one job's fault ends no other, nor the server
            site.jobs[name] = str(error) or type(error).__name__
            site.say(f"{name.rpartition('.')[2]}: {error}; goes on in {wait:.0f} s")
            stop.wait(wait)
            wait = min(wait * 2, 60.0)
        else:
            return
