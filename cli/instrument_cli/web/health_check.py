"""`/healthz`: whether the store can be read, the counters keep up, and the jobs run. 503 where something is broken."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from instrument.errors import InstrumentError
from instrument.reading import open_tables
from instrument.store import layout

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from instrument_cli.web.site import Site

_LOOKED_BACK = timedelta(minutes=1)
"""The period that is opened to see whether a database or a lake answers."""

_BEHIND_SECONDS = 60.0
"""From when on counters that do not keep up are said to be behind."""


def routes(site: Site) -> list[BaseRoute]:
    """The route of the health check."""
    started = time.monotonic()

    def healthy(request: Request) -> Response:
        found = _state(site, time.monotonic() - started)
        return JSONResponse(found, 503 if found["status"] == "broken" else 200)

    return [Route("/healthz", healthy)]


def _state(site: Site, seconds: float) -> dict[str, Any]:
    """What there is to say; `status` is `ok`, `degraded` (it answers, but something is amiss) or `broken`."""
    store = _store_problem(site)
    jobs = {name.rpartition(".")[2]: problem or "running" for name, problem in site.jobs.items()}
    found: dict[str, Any] = {"status": "ok", "store": store or "readable", "jobs": jobs}
    broken = bool(store) or any(site.jobs.values())
    degraded = False
    if site.exporter is not None:
        progress = site.exporter.progress
        behind = progress.behind_seconds
        metrics = progress.problem or progress.unsaved or ("counting" if behind is not None else "reading the history")
        found["metrics"] = {"state": metrics, "behind_seconds": None if behind is None else round(behind, 1)}
        broken = broken or bool(progress.problem)
        degraded = bool(progress.unsaved) or (seconds if behind is None else behind) > _BEHIND_SECONDS
    found["status"] = "broken" if broken else "degraded" if degraded else "ok"
    return found


def _store_problem(site: Site) -> str:
    try:
        if site.is_elsewhere:
            with open_tables(site.source, since=datetime.now(UTC) - _LOOKED_BACK):
                return ""
        if site.directory.exists():  # it is made with the first record
            layout.list_days(site.directory)
    except InstrumentError as error:
        return str(error)
    return ""
