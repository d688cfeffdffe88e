"""Logfire with an exporter that does nothing."""

from __future__ import annotations

import logfire

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import CountingExporter, batched, same_for_all


def start(folder: str) -> Contender:
    """Spans through a batch processor into nothing; arguments are extracted, as is the default."""
    exporter = CountingExporter()
    own = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[batched(exporter)],
    )
    return Contender(
        kit=same_for_all(lambda name: own.instrument(name)),
        flush=own.force_flush,
        kept=lambda: exporter.spans,
        a_query=6,
        keeps="six spans with arguments as JSON, times, parent, exception; no result; nothing is stored",
        distribution="logfire",
    )
