"""The OpenTelemetry SDK with an exporter that does nothing: the baseline of every comparison."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import CountingExporter, same_for_all


def start(folder: str) -> Contender:
    """Spans straight into nothing: with no exporter to wait for, that is a tenth cheaper than the batch processor."""
    exporter = CountingExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")
    return Contender(
        kit=same_for_all(lambda name: tracer.start_as_current_span(name)),
        flush=provider.force_flush,
        kept=lambda: exporter.spans,
        a_query=6,
        keeps="six spans with name, times, parent, exception; no input, sizes or operations; nothing is stored",
        distribution="opentelemetry-sdk",
    )
