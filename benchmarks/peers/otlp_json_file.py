"""The OpenTelemetry SDK writing OTLP JSON to a file."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import batched, same_for_all


def start(folder: str) -> Contender:
    """Spans through a batch processor into a file."""
    file = Path(folder, "traces.jsonl")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batched(FileSpanExporter(str(file))))
    tracer = provider.get_tracer("benchmark")
    return Contender(
        kit=same_for_all(lambda name: tracer.start_as_current_span(name)),
        flush=provider.force_flush,
        kept=lambda: file.read_bytes().count(b'"spanId"'),
        a_query=6,
        keeps="six spans with name, times, parent, exception, on disk; no input, sizes or operations",
        distribution="opentelemetry-exporter-otlp-json-file",
    )
