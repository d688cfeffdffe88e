"""Langfuse: traces with their observations, as its interface downloads them and its API gives them.

Its own types decide what an observation is, and its own counts of tokens and cost are taken as they are, so that a
trace has the figures that Langfuse shows for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from instrument.interchange import semconv
from instrument.interchange.json_values import Skip, mapping, moment, number, objects, signed, size_of, text
from instrument.interchange.questions import question_in
from instrument.interchange.semconv import Failure, Kind, Tokens
from instrument.interchange.trace_spans import Span, Trace
from instrument.interchange.usage import tokens_in

NAME = "langfuse"

Object = Mapping[str, Any]

_KINDS: dict[str, Kind] = {
    "AGENT": "agent",
    "TOOL": "tool",
    "RETRIEVER": "tool",
    "GENERATION": "llm",
    "EMBEDDING": "llm",
}
_FIELDS = {
    "sessionId": "session",
    "userId": "user",
    "tags": "tags",
    "environment": "environment",
    "release": "release",
    "version": "version",
}
_USAGES = ("usageDetails", "usage_details", "usage")
_USAGE_FIELDS = (
    *("inputUsage", "outputUsage", "totalUsage"),
    *("promptTokens", "completionTokens", "totalTokens"),
    *("prompt_tokens", "completion_tokens", "total_tokens"),
)
_MACHINERY = frozenset(("attributes", "resourceAttributes", "scope"))
_ERROR = re.compile(r"(?:[A-Za-z_][\w]*\.)*([A-Za-z_]\w*(?:Error|Exception|Timeout|Interrupt|Exit)):\s*")


def is_langfuse(document: Any) -> bool:
    """Whether a JSON value is a trace, an observation, or a page of them."""
    if isinstance(document, list):
        return bool(document) and is_langfuse(document[0])
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("trace"), dict):
        return "observations" in document or is_langfuse(document["trace"])
    return _is_trace(document) or _is_observation(document) or is_langfuse(document.get("data"))


def _is_trace(document: Object) -> bool:
    return "id" in document and ("observations" in document or {"timestamp", "projectId"} <= document.keys())


def _is_observation(document: Object) -> bool:
    return {"id", "traceId", "type"} <= document.keys()


def traces(documents: Iterable[tuple[str, Any]], skip: Skip) -> Iterator[Trace]:
    """The traces in a file's documents; observations without their trace are put together by its id."""
    loose: dict[str, list[Object]] = {}
    for position, document in _flat(documents):
        whole = mapping(document)
        if isinstance(whole.get("trace"), dict):
            yield from _told(whole["trace"], objects(whole.get("observations")), position, skip)
        elif _is_observation(whole) and whole["traceId"]:
            loose.setdefault(str(whole["traceId"]), []).append(whole)
        elif _is_trace(whole) or "timestamp" in whole:
            yield from _told(whole, [], position, skip)
        else:
            skip(position, "it is neither a trace of Langfuse nor an observation")
    for trace_id, observations in loose.items():
        yield from _told({"id": trace_id}, observations, f"trace {trace_id}", skip)


def _flat(documents: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for position, document in documents:
        if isinstance(document, dict) and isinstance(document.get("data"), list):
            yield from ((f"{position}, data[{place}]", item) for place, item in enumerate(document["data"]))
        else:
            yield position, document


def _told(trace: Object, observations: list[Any], position: str, skip: Skip) -> Iterator[Trace]:
    trace_id = text(trace.get("id"))
    if not trace_id:
        skip(position, "it has no id")
        return
    metadata = mapping(trace.get("metadata"))
    resource = mapping(metadata.get("resourceAttributes"))
    seconds = number(trace.get("latency"))
    output = _plainer(trace.get("output"))
    spans = [_span(each, place) for place, each in enumerate(observations or objects(trace.get("observations")))]
    yield Trace(
        trace_id,
        NAME,
        position,
        name=text(trace.get("name")),
        spans=spans,
        question=question_in(trace.get("input")),
        result_size=size_of(output),
        started=moment(trace.get("timestamp")),
        duration=None if seconds is None else round(seconds * 1e9),
        cost=number(trace.get("totalCost")),
        attributes=_attributes(trace, metadata, resource),
        metrics=dict(_scores(trace)),
        host=text(resource.get("host.name")) or None,
        process=_process(resource),
    )


def _span(observation: Object, place: int) -> Span:
    attributes = mapping(mapping(observation.get("metadata")).get("attributes"))
    label = text(observation.get("type")) or "SPAN"
    started = moment(observation.get("startTime"))
    first = moment(observation.get("completionStartTime"))
    tokens = _tokens(observation)
    return Span(
        text(observation.get("id")) or f"#{place}",
        text(observation.get("name")),
        parent_id=text(observation.get("parentObservationId")) or None,
        label=label,
        kind=_kind(label, text(observation.get("name")), attributes),
        agent=_agent(label, observation, attributes),
        started=started,
        ended=moment(observation.get("endTime")),
        first_chunk=None if first is None or started is None or first < started else first - started,
        momentary=label == "EVENT",
        failure=_failure(observation, attributes),
        level=text(observation.get("level")),
        question=_asked(observation, label),
        result_size=size_of(_plainer(observation.get("output"))),
        model=text(observation.get("model")) or None,
        provider=semconv.provider_of(attributes),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
        cost=_cost(observation, label),
        mcp_call=semconv.mcp_call_of(attributes),
    )


def _asked(observation: Object, label: str) -> str:
    """The user's words; what is none of them counts only where nothing is around it."""
    inside = bool(observation.get("parentObservationId"))
    return "" if label == "TOOL" else question_in(observation.get("input"), or_all=not inside)


def _kind(label: str, name: str, attributes: Object) -> Kind | None:
    """What Langfuse says; of its plain spans it cannot say that they are agents or GraphQL operations."""
    if semconv.is_merged(name):
        return None
    concluded = semconv.kind_of(attributes)
    return _KINDS.get(label) or (concluded if concluded in ("agent", "graphql") else None)


def _agent(label: str, observation: Object, attributes: Object) -> str | None:
    named = semconv.agent_of(attributes)
    return named or (text(observation.get("name")) if label == "AGENT" else None)


def _tokens(observation: Object) -> Tokens:
    """The tokens, from the first of the places that a version of Langfuse has them in."""
    own = {key: observation[key] for key in _USAGE_FIELDS if key in observation}
    for usage in (*(mapping(observation.get(key)) for key in _USAGES), own):
        if found := tokens_in(usage):
            return found
    return Tokens(None, None)


def _cost(observation: Object, label: str) -> float | None:
    """The cost; Langfuse gives 0 for what costs nothing by its nature, too."""
    found = number(observation.get("totalCost"))
    if found is None:
        found = number(observation.get("calculatedTotalCost"))
    if found is None:
        details = mapping(observation.get("costDetails")) or mapping(observation.get("cost_details"))
        found = number(details.get("total"))
    return found if found or _KINDS.get(label) == "llm" else None


def _failure(observation: Object, attributes: Object) -> Failure | None:
    if observation.get("level") != "ERROR":
        return None
    told = text(observation.get("statusMessage"))
    found = _ERROR.match(told)
    if found:
        return Failure(found[1], told[found.end() :] or None)
    return semconv.error_of(attributes, failed=True, message=told)


def _attributes(trace: Object, metadata: Object, resource: Object) -> dict[str, Any]:
    kept = {ours: trace[theirs] for theirs, ours in _FIELDS.items() if trace.get(theirs)}
    if kept.get("environment") == "default":
        del kept["environment"]
    service = text(resource.get("service.name"))
    if service and not service.startswith("unknown_service"):
        kept["service"] = service
    return kept | {key: value for key, value in metadata.items() if key not in _MACHINERY}


def _scores(trace: Object) -> Iterator[tuple[str, float]]:
    """What evaluations gave the trace, as far as they are numbers."""
    for score in objects(trace.get("scores")):
        value = signed(score.get("value"))
        if value is not None and text(score.get("name")):
            yield f"score.{text(score['name'])}", value


def _process(resource: Object) -> int | None:
    found = number(resource.get("process.pid"))
    return None if found is None else int(found)


def _plainer(value: Any) -> Any:
    """A text that is kept as JSON, once or twice over, as the text itself."""
    inner = value
    while isinstance(inner, str) and inner[:1] == '"' and isinstance(mapped := _unquoted(inner), str):
        inner = mapped
    return inner


def _unquoted(quoted: str) -> str | None:
    import msgspec

    try:
        return msgspec.json.decode(quoted, type=str)
    except msgspec.DecodeError:
        return None
