"""Traceloop's decorators (OpenLLMetry) with an exporter that does nothing."""

from __future__ import annotations

import os

os.environ.update({"TRACELOOP_TELEMETRY": "false", "TRACELOOP_METRICS_ENABLED": "false"})

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import tool, workflow

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import CountingExporter, batched
from benchmarks.subject import Kit


def start(folder: str) -> Contender:
    """Spans with their inputs and outputs through a batch processor into nothing."""
    exporter = CountingExporter()
    Traceloop.init(app_name="benchmark", processor=batched(exporter), instruments=set(), telemetry_enabled=False)
    return Contender(
        kit=Kit(workflow(), tool(), tool()),
        flush=lambda: trace.get_tracer_provider().force_flush(),  # type: ignore[attr-defined]
        kept=lambda: exporter.spans,
        a_query=6,
        keeps="six spans with all arguments and results as JSON, times, parent, exception; nothing is stored",
        distribution="traceloop-sdk",
    )
