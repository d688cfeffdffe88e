"""OpenTelemetry: what an application emits by the GenAI conventions or OpenInference becomes queries and calls.

A processor of ours stands beside those of every TracerProvider of the SDK, also of one that is made later. The
outermost span of an agent (or chain) is the query, or joins the one that is open; those of tools and GraphQL operations
are its calls. Recorded is when spans are begun and ended, not what times they are given, and only what is sampled.

A span should say what it is when it begins. One that says so only at its end is still a call, and its tokens count, but
what is inside it stands beside it; an agent told of so late is none.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any
from weakref import WeakSet

from instrument.integrations._patches import Patches
from instrument.integrations._reported import RunTracker, quietly
from instrument.integrations._telemetry import Ended, begin_span, end_span
from instrument.interchange.semconv import Attributes


def hook_in(patches: Patches, sdk: ModuleType) -> None:
    """Put a processor of ours into each TracerProvider, the one that is set and those still to come."""
    processor = _processor(sdk.SpanProcessor)

    def join(provider: Any) -> None:
        if provider not in _joined:
            _joined.add(provider)
            provider.add_span_processor(processor)

    def made(wrapped: Any, provider: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        join(provider)

    patches.wrap(sdk.TracerProvider, "__init__", made)
    # Asked for by its public name, a provider that only the environment names would be made.
    already: Any = getattr(sys.modules.get("opentelemetry.trace"), "_TRACER_PROVIDER", None)
    if isinstance(already, sdk.TracerProvider):
        join(already)
    _reported.active = True
    patches.when_undone(_reported.stop)  # the processor stays, since no way leads out, and takes nothing in


# One for good, as no provider gives a processor back: what is installed again finds it where it was.
_reported = RunTracker("opentelemetry")
_joined: WeakSet[Any] = WeakSet()


@functools.cache
def _processor(base: type) -> Any:
    return type("InstrumentProcessor", (_Processor, base), {})(_reported)


class _Processor:
    """OpenTelemetry's names for what happens, in ours; together with its own base class it is a processor."""

    def __init__(self, reported: RunTracker) -> None:
        self._reported = reported

    @quietly
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Begin a query, a call or a step."""
        if self._reported.active or self._reported.runs:
            parent = span.parent
            begin_span(
                self._reported,
                _key(span.context),
                None if parent is None else _key(parent),
                span.name,
                dict(span.attributes or ()),  # once, since each look at the SDK's own takes a lock
            )

    @quietly
    def on_end(self, span: Any) -> None:
        """End it."""
        key = _key(span.context)
        if key in self._reported.runs:
            status = span.status
            failed = status.status_code.name == "ERROR"
            ended = Ended(span.name, dict(span.attributes or ()), failed, status.description, _events(span))
            end_span(self._reported, key, ended)

    def shutdown(self) -> None:
        """Leave it: records are written by the collector."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Leave it; true, as nothing waits here."""
        return True


def _key(context: Any) -> tuple[int, int]:
    return context.trace_id, context.span_id


def _events(span: Any) -> list[tuple[str, Attributes]]:
    return [(event.name, event.attributes or {}) for event in span.events]
