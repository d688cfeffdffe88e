"""OTLP JSON: spans as OpenTelemetry's exporters and the collector's file exporter write them.

The spans of a trace may stand in several documents, lines and files; they are put together by its id. What a span
means is `semconv.py`'s business.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from instrument.interchange import semconv, span_names
from instrument.interchange.json_values import Skip, mapping, number, objects, size_of, text, usable
from instrument.interchange.recorded import recorded_in
from instrument.interchange.semconv import Failure, Tokens
from instrument.interchange.trace_spans import Span, Trace

NAME = "otlp"

Object = Mapping[str, Any]

_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_ENVELOPE = "trace"
"""What Tempo has around the spans of the one trace that it was asked for; older versions call them `batches`."""

_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_OTHER = ("resourceMetrics", "resourceLogs", "resource_metrics", "resource_logs")
_ID_BYTES = {"trace": 16, "span": 8}
_SERVICE = {
    "service.name": "service",
    "service.version": "version",
    "deployment.environment.name": "environment",
    "deployment.environment": "environment",
}
# What these name is a field of the record already, repeats the content, or concerns the tracing itself.
_NAMESPACES = frozenset(("gen_ai", "llm", "input", "output", "ai", "tool", "graphql", "agent_name", "model_name"))
_NAMESPACES |= {
    span_names.OURS,
    "langfuse",
    "logfire",
    "openinference",
    "traceloop",
    "mlflow",
    "langsmith",
    "pydantic_ai",
    "final_result",
}
_NAMESPACES |= {"exception", "error", "session", "user", "metadata", "thread", "code", "telemetry", "otel"}
_MOST_ATTRIBUTES = 20


class _Resource(Struct, eq=False):
    """Where spans come from."""

    attributes: dict[str, Any]


class _Parts(Struct, eq=False):
    """The spans of a trace found so far, with their attributes as long as they may matter."""

    trace_id: str
    position: str
    resource: _Resource
    spans: dict[str, Span]
    about: dict[str, dict[str, Any]]


def is_otlp(document: Any) -> bool:
    """Whether a JSON value is a batch of OTLP data, or a list of such."""
    if isinstance(document, list):
        return bool(document) and is_otlp(document[0])
    if not isinstance(document, dict):
        return False
    return any(key in document for key in (*_RESOURCES, *_OTHER)) or (
        isinstance(document.get(_ENVELOPE), dict) and any(key in document[_ENVELOPE] for key in _RESOURCES)
    )


class Collected:
    """Traces, put together from spans wherever they stand.

    `repeated` counts the spans that were given more than once, `foreign` the traces in which nothing is of an agent,
    a model, a tool or a GraphQL operation.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self.foreign = 0
        self._parts: dict[str, _Parts] = {}

    def take(self, documents: Iterable[tuple[str, Any]], skip: Skip) -> int:
        """Take in the spans of a file's documents; returns how many there were."""
        count = 0
        for position, document in documents:
            batch = mapping(document)
            if not is_otlp(batch):
                skip(position, "it is no OTLP: it has no resourceSpans")
            batch = batch if _either(batch, _RESOURCES) is not None else mapping(batch.get(_ENVELOPE))
            for resource_spans in objects(_either(batch, _RESOURCES)):
                resource = _Resource(_attributes(mapping(resource_spans.get("resource"))))
                for scope_spans in objects(_either(resource_spans, _SCOPES)):
                    for place, span in enumerate(objects(scope_spans.get("spans"))):
                        self._take(span, resource, f"{position}, span {place}", skip)
                        count += 1
        return count

    def _take(self, given: Object, resource: _Resource, position: str, skip: Skip) -> None:
        trace_id = _id(_either(given, ("traceId", "trace_id")), "trace")
        if not trace_id:
            skip(position, "the span has no trace id")
            return
        parts = self._parts.get(trace_id)
        if parts is None:
            parts = self._parts[trace_id] = _Parts(trace_id, position, resource, {}, {})
        events = [(text(event.get("name")), _attributes(event)) for event in objects(given.get("events"))]
        attributes = dict(semconv.with_messages(_attributes(given), events))
        span = _span(given, attributes, events, f"#{len(parts.spans)}")
        known = parts.spans.get(span.span_id)
        self.repeated += known is not None
        if known is None or (known.ended is None and span.ended is not None):
            parts.spans[span.span_id] = span
            if span.kind == "agent" or span.parent_id is None:
                parts.about[span.span_id] = attributes

    def traces(self) -> Iterator[Trace]:
        """The traces in which an agent, a model, a tool or a GraphQL operation is at work."""
        for parts in self._parts.values():
            if any(span.kind for span in parts.spans.values()):
                yield _trace(parts)
            else:
                self.foreign += 1


def _trace(parts: _Parts) -> Trace:
    spans = list(parts.spans.values())
    root = next((parts.about[span.span_id] for span in spans if span.parent_id is None), {})
    found = [root, *parts.about.values()]
    resource = parts.resource.attributes
    process = number(resource.get("process.pid"))
    outputs = (size for about in found if (size := _result_size(about)) is not None)
    started = min((span.started for span in spans if span.started is not None), default=0)
    return Trace(
        parts.trace_id,
        NAME,
        f"trace {parts.trace_id}",
        name=text(root.get("langfuse.trace.name")),
        spans=spans,
        question=next((asked for about in found if (asked := semconv.question_of(about))), ""),
        result_size=next(outputs, None),
        repeats=True,
        attributes=_told(found, resource),
        host=text(resource.get("host.name")) or None,
        process=None if process is None else int(process),
        recorded=recorded_in(root, started // 1000),
    )


def _told(found: list[dict[str, Any]], resource: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of the attributes of the root and the agents, and of where they ran."""
    kept: dict[str, Any] = {}
    for about in found:
        kept["session"] = kept.get("session") or semconv.session_of(about)
        kept["user"] = kept.get("user") or semconv.user_of(about)
        own = ((key, value) for key, value in about.items() if key.partition(".")[0] not in _NAMESPACES)
        for key, value in own:
            if len(kept) < _MOST_ATTRIBUTES and isinstance(value, (str, int, float, bool)):
                kept.setdefault(key, value)
    for theirs, ours in _SERVICE.items():
        value = text(resource.get(theirs))
        if value and not value.startswith("unknown_service"):
            kept[ours] = value
    return {key: value for key, value in kept.items() if value not in (None, "")}


def _span(given: Object, attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]], own_id: str) -> Span:
    kind = semconv.kind_of(attributes)
    tokens = semconv.tokens_of(attributes) or Tokens(None, None)
    span_name = text(given.get("name"))
    return Span(
        _id(_either(given, ("spanId", "span_id")), "span") or own_id,
        semconv.name_of(attributes, span_name) if kind in ("tool", "graphql", "agent") else span_name,
        parent_id=_id(_either(given, ("parentSpanId", "parent_span_id")), "span") or None,
        label=kind or "span",
        kind=kind,
        agent=semconv.name_of(attributes, span_name) if kind == "agent" else None,
        started=_time(_either(given, ("startTimeUnixNano", "start_time_unix_nano"))),
        ended=_time(_either(given, ("endTimeUnixNano", "end_time_unix_nano"))),
        failure=_failure(given, attributes, events),
        question=semconv.question_of(attributes, or_all=False) if kind in ("agent", "llm") else "",
        first_chunk=semconv.first_chunk_of(attributes),
        result_size=_result_size(attributes),
        model=semconv.model_of(attributes) if kind in ("agent", "llm") or semconv.is_totals(attributes) else None,
        provider=semconv.provider_of(attributes) if kind == "llm" else None,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
        cost=semconv.cost_of(attributes),
        mcp_call=semconv.mcp_call_of(attributes),
    )


def _result_size(attributes: dict[str, Any]) -> int | None:
    known = semconv.size_recorded(attributes)
    return size_of(semconv.output_of(attributes)) if known is None else known


def _failure(given: Object, attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]]) -> Failure | None:
    status = mapping(given.get("status"))
    return semconv.error_of(
        attributes,
        failed=status.get("code") in (2, "2", "STATUS_CODE_ERROR"),
        message=text(status.get("message")),
        events=events,
    )


def _time(value: Any) -> int | None:
    """Nanoseconds since 1970, which JSON keeps as text; 0 stands for none."""
    try:
        return usable(int(value)) if isinstance(value, (int, str)) else None
    except ValueError:
        return None


def _id(value: Any, kind: str) -> str:
    """An id in lower-case hex; empty for none. Plain Protobuf JSON has ids in base64, OTLP in hex."""
    given = text(value)
    if len(given) != _ID_BYTES[kind] * 2 and given.endswith("="):
        try:
            decoded = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            return given
        given = decoded.hex() if len(decoded) == _ID_BYTES[kind] else given
    return given.lower() if given.strip("0") else ""


def _either(given: Object, names: Iterable[str]) -> Any:
    return next((given[name] for name in names if name in given), None)


def _attributes(given: Object) -> dict[str, Any]:
    found = objects(given.get("attributes"))
    return {text(each.get("key")): _value(mapping(each.get("value"))) for each in found}


def _value(given: Object) -> Any:
    """The value that an AnyValue holds."""
    for kind, value in given.items():
        match kind.replace("_", "").lower():
            case "intvalue":
                return int(whole) if (whole := _signed(value)) is not None else None
            case "arrayvalue":
                return [_value(item) for item in objects(mapping(value).get("values"))]
            case "kvlistvalue":
                pairs = objects(mapping(value).get("values"))
                return {text(pair.get("key")): _value(mapping(pair.get("value"))) for pair in pairs}
            case _:
                return value
    return None


def _signed(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
