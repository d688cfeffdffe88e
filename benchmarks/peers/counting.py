"""An OpenTelemetry exporter that counts spans instead of sending them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.subject import Kit


class CountingExporter(SpanExporter):
    """Takes spans over and forgets them."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += len(spans)
        return SpanExportResult.SUCCESS


def batched(exporter: SpanExporter) -> BatchSpanProcessor:
    """The processor that production uses, with a queue that drops nothing within a slice."""
    return BatchSpanProcessor(exporter, max_queue_size=1 << 16)


def named(decorate: Callable[[str], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator out of one that has to be told the name."""
    return lambda function: decorate(function.__qualname__.rpartition(".<locals>.")[2])(function)


def same_for_all(decorate: Callable[[str], Callable[[Any], Any]]) -> Kit:
    """A kit of one decorator that has to be told the name."""
    return Kit(named(decorate), named(decorate), named(decorate))
