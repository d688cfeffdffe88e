"""`/metrics`: the page that Prometheus scrapes, and the job that counts what is recorded between two scrapes."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from instrument.errors import StoreError
from instrument.exporters.prometheus.exposition import OPEN_METRICS, PLAIN
from instrument.reading import named

if TYPE_CHECKING:
    import threading

    from starlette.requests import Request

    from instrument_cli.web.site import Site

_PAUSE_SECONDS = 1.0
_SLICE_SECONDS = 0.25
"""How long one catching up holds the counters at the most, so that a scrape does not wait for a long history."""


def routes(site: Site) -> list[BaseRoute]:
    """The route of the metrics."""
    exporter = site.exporter

    def metrics(request: Request) -> Response:
        if exporter is None:
            return PlainTextResponse(f"{named(site.source)} has no counters; serve a store in a directory\n", 404)
        accept = ",".join(request.headers.getlist("accept"))
        kind = OPEN_METRICS if wants_open_metrics(accept) else PLAIN
        try:
            page = exporter.page(open_metrics=kind == OPEN_METRICS, reader=_reader(request))
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(page, headers={"content-type": kind})

    return [Route("/metrics", metrics)]


def _reader(request: Request) -> str:
    """Who asks, as far as can be told: the host, the program, and the parameters that its settings may add.

    It is written down with the counters, and so as a digest.
    """
    client = request.client.host if request.client else ""
    known = f"{client} {request.headers.get('user-agent', '')} {request.url.query}"
    return blake2b(known.encode("utf-8", "replace"), digest_size=8).hexdigest()


def run(site: Site, stop: threading.Event) -> None:
    """Count what comes, until the server stops."""
    exporter = site.exporter
    if exporter is None:
        return
    try:
        while not stop.is_set():
            if exporter.catch_up(_SLICE_SECONDS):
                stop.wait(_PAUSE_SECONDS)
    finally:
        exporter.close()


def wants_open_metrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to plain text (RFC 9110, section 12.5.1)."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    ranges = [_range(part) for part in accept.split(",")]
    for kind in weights:
        exact = [weight for name, weight in ranges if name == kind]
        any_text = [weight for name, weight in ranges if kind == "text/plain" and name in ("text/*", "*/*")]
        weights[kind] = max(exact or any_text or [0.0])
    open_metrics, plain = weights.values()
    return open_metrics > 0 and open_metrics >= plain


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
