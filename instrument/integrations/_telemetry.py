"""OpenTelemetry's spans as runs, whoever hands them over; what their attributes mean stands in `conventions.py`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from instrument import conventions
from instrument._documents import operation_name
from instrument.conventions import Attributes, Failure
from instrument.integrations._reported import Reported
from instrument.integrations._runs import Kind

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


def begin_span(reported: Reported, key: Hashable, parent: Hashable, name: str, attributes: Attributes) -> None:
    """Take in that a span has begun."""
    kind: Kind | None = conventions.kind_of(attributes) or conventions.kind_in(name)
    if kind is None and parent not in reported.runs and conventions.is_chain(attributes):
        kind = "agent"  # the outermost chain has the agents inside
    reported.begin(
        key,
        parent,
        kind or "step",
        _named(kind, name, attributes),
        label=name,
        user_input=_asked(attributes) if kind == "agent" else "",
        entered=kind is not None,
    )


def end_span(reported: Reported, key: Hashable, span: Ended) -> None:
    """Take in that it has ended."""
    run = reported.runs.get(key)
    if run is None:
        return
    kind = conventions.kind_of(span.attributes)
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
        tokens=conventions.tokens_of(span.attributes),
        cost=conventions.cost_of(span.attributes),
        exclusive=_EXCLUSIVE in span.attributes,
        model=conventions.model_of(span.attributes) if kind in ("llm", "agent") else None,
        user_input=_asked(span.attributes) if is_agent else "",
        result=conventions.output_of(span.attributes) if is_agent else None,
    )


def _named(kind: Kind | None, name: str, attributes: Attributes) -> str:
    if kind == "graphql" and conventions.operation_of(attributes) is None:
        return operation_name(attributes.get("graphql.document"), name)
    known = conventions.name_of(attributes, "") or (name.partition(" ")[2] if conventions.kind_in(name) else "")
    # A span's own name may have a run's id in it, and OpenInference's of a tool of CrewAI's how it was called.
    return known or _ID.sub("", name.removesuffix(".run") if kind == "tool" else name) or name


def _asked(attributes: Attributes) -> str:
    asked = conventions.input_of(attributes)
    return conventions.question_in(asked) if asked else ""


def _failure(reported: Reported, key: Hashable, span: Ended) -> Failure | BaseException | None:
    failure = conventions.error_of(span.attributes, failed=span.failed, message=span.message, events=span.events)
    if failure is not None:
        return failure
    raised: Any = reported.raised(key)
    ending = None if raised is None else conventions.status_of(Failure(type(raised).__name__, None))
    return raised if ending in ("cancelled", "closed") else None
