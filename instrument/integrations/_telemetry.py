"""OpenTelemetry's spans as runs, whoever hands them over; what their attributes mean stands in `semconv.py`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from instrument.integrations._reported import RunTracker
from instrument.integrations._runs import Kind
from instrument.interchange import semconv
from instrument.interchange.semconv import Attributes, Failure, McpCall
from instrument.recording.operation_names import operation_name

_ID = re.compile(r"[_ -]?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_EXCLUSIVE = "gen_ai.aggregated_usage.input_tokens"
"""What PydanticAI writes of an agent: without the agents inside, unlike others' figures of agents."""


class Ended(NamedTuple):
    """A span that has ended: `failed` is whether its status is ERROR, `message` what that says besides."""

    name: str
    attributes: Attributes
    failed: bool
    message: str | None
    events: Iterable[tuple[str, Attributes]]


def begin_span(reported: RunTracker, key: Hashable, parent: Hashable, name: str, attributes: Attributes) -> None:
    """Take in that a span has begun."""
    kind: Kind | None = semconv.kind_of(attributes) or semconv.kind_in(name)
    if kind is None and parent not in reported.runs and semconv.is_chain(attributes):
        kind = "agent"  # the outermost chain has the agents inside
    named = _named(kind, name, attributes)
    call = semconv.mcp_call_of(attributes) if kind == "tool" else None
    if call is not None and _is_told_again(reported, parent, named, call):
        kind = "double"
    reported.begin(
        key,
        parent,
        kind or "step",
        semconv.model_of(attributes) or "" if kind == "llm" else named,
        label=name,
        user_input=_asked(attributes) if kind == "agent" else "",
        provider=semconv.provider_of(attributes) if kind == "llm" else None,
        entered=kind is not None,
    )
    run = reported.runs.get(key) if call is not None else None
    if run is not None:
        run.mcp_call = call


def end_span(reported: RunTracker, key: Hashable, span: Ended) -> None:
    """Take in that it has ended."""
    run = reported.runs.get(key)
    if run is None:
        return
    events = list(span.events)
    span = span._replace(attributes=semconv.with_messages(span.attributes, events), events=events)
    kind = semconv.kind_of(span.attributes)
    if run.kind == "step" and kind in ("tool", "graphql"):
        reported.name_late(key, kind, _named(kind, span.name, span.attributes))
    failure = _failure(reported, key, span)
    if kind not in ("agent", "llm", None):
        reported.end(key, failure)
        return
    is_agent = run.kind == "agent"
    reported.end(
        key,
        failure,
        tokens=semconv.tokens_of(span.attributes),
        cost=semconv.cost_of(span.attributes),
        exclusive=_EXCLUSIVE in span.attributes,
        model=semconv.model_of(span.attributes) if kind in ("llm", "agent") else None,
        provider=semconv.provider_of(span.attributes) if kind == "llm" else None,
        user_input=_asked(span.attributes) if is_agent else "",
        result=semconv.output_of(span.attributes) if is_agent else None,
    )


def _named(kind: Kind | None, name: str, attributes: Attributes) -> str:
    if kind == "graphql" and semconv.operation_of(attributes) is None:
        return operation_name(attributes.get("graphql.document"), name)
    known = semconv.name_of(attributes, "") or (name.partition(" ")[2] if semconv.kind_in(name) else "")
    # A span's own name may have a run's id in it, and OpenInference's of a tool of CrewAI's how it was called.
    return known or _ID.sub("", name.removesuffix(".run") if kind == "tool" else name) or name


def _is_told_again(reported: RunTracker, parent: Hashable, name: str, call: McpCall) -> bool:
    """Whether the call around an MCP call's span stands for it: the framework's, the client's or the server's."""
    around = reported.runs.get(parent)
    while around is not None and around.kind == "step":
        around = around.parent  # such as the HTTP request from the client to the server
    return (
        around is not None
        and around.kind in ("tool", "double")
        and around.name == name
        and call.may_be(around.mcp_call)
    )


def _asked(attributes: Attributes) -> str:
    return semconv.question_of(attributes)


def _failure(reported: RunTracker, key: Hashable, span: Ended) -> Failure | BaseException | None:
    failure = semconv.error_of(span.attributes, failed=span.failed, message=span.message, events=span.events)
    if failure is not None:
        return failure
    raised: Any = reported.raised(key)
    ending = None if raised is None else semconv.status_of(Failure(type(raised).__name__, None))
    return raised if ending in ("cancelled", "closed") else None
