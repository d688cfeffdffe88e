"""The tracer that PydanticAI is given: it tells us of spans, and leaves an application's own OpenTelemetry as it is.

Where an application traces PydanticAI itself, its spans are made as ever, and read. Where it does not, a span is kept
here alone, exported by nobody; to whatever is traced inside it looks as if it were not there.
"""

from __future__ import annotations

import contextlib
import itertools
from importlib import import_module
from types import TracebackType
from typing import Any

from instrument.collecting.collector import collector
from instrument.integrations._reported import RunTracker
from instrument.integrations._telemetry import Ended, begin_span, end_span
from instrument.interchange import semconv
from instrument.interchange.semconv import Attributes

# This module is imported only where PydanticAI is, which has brought them in.
context: Any = import_module("opentelemetry.context")
trace: Any = import_module("opentelemetry.trace")

_ids = itertools.count(1).__next__


class OwnSpan(trace.Span):  # type: ignore[misc]
    """A span that nobody exports.

    It answers for the span around it, so that what an application traces inside has the parent it would have had.
    Only those of agents, tools and models are `recording`, so that PydanticAI writes nothing for others.
    """

    def __init__(self, name: str, attributes: Attributes, around: Any, recording: bool) -> None:
        self.name = name
        self.attributes: dict[str, Any] = dict(attributes)
        self.failed = False
        self.message: str | None = None
        self.events: list[tuple[str, Attributes]] = []
        self._around = around
        self._recording = recording

    def end(self, end_time: int | None = None) -> None:
        """Leave it: whoever made the span current ends it."""

    def get_span_context(self) -> Any:
        """Give the context of the span around it."""
        return self._around

    def set_attributes(self, attributes: Attributes) -> None:
        """Keep attributes."""
        if self._recording:
            self.attributes.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep an attribute."""
        if self._recording:
            self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Keep an event, if it is an exception."""
        if name == "exception":
            self.events.append((name, dict(attributes or {})))

    def update_name(self, name: str) -> None:
        """Take another name."""
        self.name = name

    def is_recording(self) -> bool:
        """Whether what is said of it is kept."""
        return self._recording

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Keep whether it failed."""
        code = getattr(status, "status_code", status)
        self.failed = code.name == "ERROR"
        self.message = getattr(status, "description", None) or description

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        """Keep an exception's type and message; of one that has a tool called again, those of its reason."""
        told = exception.__cause__ if type(exception).__name__ == "ToolRetryError" else None
        about = {"exception.type": type(told or exception).__name__, "exception.message": str(told or exception)}
        self.events.append(("exception", about))


class Tracer:
    """An application's tracer, or none that does anything, with us beside it."""

    def __init__(self, inner: Any, reported: RunTracker) -> None:
        self.inner = inner
        self.reported = reported

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Begin a span that is not made current, such as that of a failed attempt: the application's alone."""
        return self.inner.start_span(name, *args, **kwargs)

    def start_as_current_span(self, name: str, *args: Any, **kwargs: Any) -> Current:
        """Begin a span around a block of code."""
        return Current(self, self.inner.start_as_current_span(name, *args, **kwargs), name, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Current:
    """A span around a block of code: the application's, where it is kept, else one of our own."""

    def __init__(self, tracer: Tracer, inner: Any, name: str, options: dict[str, Any]) -> None:
        self._reported = tracer.reported
        self._inner = inner
        self._name = name
        self._options = options
        self._key = _ids()
        self._span: Any = None
        self._token: Any = None
        self._own: OwnSpan | None = None

    def __enter__(self) -> Any:
        span = self._span = self._inner.__enter__()
        try:
            if self._reported.active and not span.is_recording():
                self._stand_in()
            if self._own is None or self._own.is_recording():
                begin_span(self._reported, self._key, None, self._name, self._options.get("attributes") or {})
        except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
            collector.trouble("pydantic_ai span", problem)
        return span if self._own is None else self._own

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            if self._key in self._reported.runs:
                end_span(self._reported, self._key, self._ended(error))
            if self._token is not None:
                _take_out(self._token)
        except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
            collector.trouble("pydantic_ai span", problem)
        return self._inner.__exit__(kind, error, trace)

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(self, *told: Any) -> Any:
        return self.__exit__(*told)

    def _stand_in(self) -> None:
        attributes = self._options.get("attributes") or {}
        around = trace.get_current_span().get_span_context()
        self._own = OwnSpan(self._name, attributes, around, semconv.kind_of(attributes) in ("agent", "tool", "llm"))
        self._token = context.attach(trace.set_span_in_context(self._own))

    def _ended(self, error: BaseException | None) -> Ended:
        own = self._own
        if own is not None:
            return Ended(own.name, own.attributes, own.failed, own.message, own.events)
        status = getattr(self._span, "status", None)
        passes = isinstance(error, Exception) and self._options.get("set_status_on_exception", True)
        failed = passes or getattr(getattr(status, "status_code", None), "name", "") == "ERROR"
        events = [(event.name, event.attributes or {}) for event in getattr(self._span, "events", ())]
        attributes = getattr(self._span, "attributes", None) or {}
        return Ended(self._name, attributes, failed, getattr(status, "description", None), events)


def _take_out(token: Any) -> None:
    """Detach, without the noise that OpenTelemetry makes of a generator closed in another context."""
    with contextlib.suppress(ValueError):
        context._RUNTIME_CONTEXT.detach(token)
