"""Langfuse with an exporter that does nothing."""

from __future__ import annotations

from langfuse import Langfuse, observe
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.peers.contender import Contender
from benchmarks.peers.counting import CountingExporter
from benchmarks.subject import Kit


def start(folder: str) -> Contender:
    """Observations with their inputs and outputs, through its own processor into nothing."""
    exporter = CountingExporter()
    client = Langfuse(
        public_key="pk-benchmark",
        secret_key="sk-benchmark",
        base_url="http://127.0.0.1:9",
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        span_exporter=exporter,
    )
    return Contender(
        kit=Kit(observe(as_type="agent"), observe(as_type="tool"), observe(as_type="tool")),
        flush=client.flush,
        kept=lambda: exporter.spans,
        a_query=6,
        keeps="six observations with all arguments and results as JSON, times, parent, error; nothing is stored",
        distribution="langfuse",
    )
