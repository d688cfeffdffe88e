"""OpenInference's decorators on the OpenTelemetry SDK, with an exporter that does nothing."""

from __future__ import annotations

from openinference.instrumentation import OITracer, TraceConfig
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import CountingExporter, batched
from benchmarks.subject import Kit


def start(folder: str) -> Contender:
    """Spans with their inputs and outputs through a batch processor into nothing."""
    exporter = CountingExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batched(exporter))
    tracer = OITracer(provider.get_tracer("benchmark"), config=TraceConfig())
    return Contender(
        kit=Kit(tracer.agent, tracer.tool, tracer.tool),
        flush=provider.force_flush,
        kept=lambda: exporter.spans,
        a_query=6,
        keeps="six spans with all arguments and results as JSON, times, parent, exception; nothing is stored",
        distribution="openinference-instrumentation",
    )
