"""Rows of the store as spans: a query and its calls, as OpenTelemetry's GenAI conventions and OpenInference have them.

A query is `invoke_agent`, a tool call `execute_tool`, a model call `chat`, a GraphQL call a tool with the attributes
of GraphQL. Tokens, model and cost stand on `chat` spans alone: on an agent's span some receivers show none, others
count them twice. Where the application recorded tokens for a whole query and no model call has any, one `chat` span
beside its calls has them. A call that has not ended becomes an event of the query's span, and a span once it ends.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import msgspec

from instrument.exporters.otlp import wire
from instrument.exporters.otlp.ids import call_span, query_span, standalone, trace_of, trace_of_query
from instrument.exporters.otlp.ids import call_spans as call_ids
from instrument.interchange import span_names as names
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, QueryRow, StandaloneCallRow

_INTERNAL, _CLIENT = 1, 3
_ERROR = 2
_NAME, _KIND, _ATTRIBUTES, _EVENTS, _STATUS = 5, 6, 9, 11, 15
_TRACE, _SPAN, _PARENT = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
"""What stands before the ids of trace, span and parent."""

_TOTALS_PLACE = 1 << 32
_times = struct.Struct("<BQBQ").pack  # the fields 7 and 8, each a fixed64
_json = msgspec.json.Encoder().encode
_SESSIONS = ("session", "session_id", names.SESSION, "conversation_id", names.CONVERSATION)
_USERS = ("user", "user_id", names.USER)
_SPECIAL = frozenset({*_SESSIONS, *_USERS})
_OPERATIONS = ("query", "mutation", "subscription")
_FAILED = ("error", "abandoned")
_NO_FACTS = ModelFacts()


def query_spans(row: QueryRow) -> list[bytes]:
    """The spans of a query and of its calls that have ended, each as the message Span; the query's comes first."""
    own = trace_of_query(row)
    span = query_span(own)
    trace = trace_of(row.parent) if row.parent else own
    start = row.started * 1000
    end = start + row.duration
    agent = row.agent or ""
    calls = row.calls
    found = [_root(row, trace, span, start, end)]
    ids, head = call_ids(span, len(calls)), _TRACE + trace + _SPAN
    for identity, call in zip(ids, calls, strict=True):
        duration, around = call.duration, call.parent
        if duration is None:
            continue
        inside = around is not None and 0 <= around < len(calls) and calls[around].duration is not None
        parent = ids[around] if inside and around is not None else span
        begin = start + call.begin
        about, times = _about(call, agent), _times(0x39, begin, 0x41, begin + duration)
        made = b"".join((head, identity, _PARENT, parent, about, times))
        if call.status != "ok" or call.variables is not None or call.result_size is not None or call.late:
            message = row.message if row.passed_on and call.error == row.error else None
            made += _beside_call(call, message, begin + duration)
        found.append(made)
    if (totals := _totals(row)) is not None:
        block = _chat(totals.model, totals.provider, None, agent) + wire.attribute(_ATTRIBUTES, names.TOTALS, True)
        head = _head(trace, call_span(span, _TOTALS_PLACE), span)
        found.append(head + block + _usage(totals) + _times(0x39, start, 0x41, end))
    return found


def call_spans(row: StandaloneCallRow) -> list[bytes]:
    """The span of a call outside any query, or of one that ended after its query had."""
    start = row.started * 1000
    parent = None
    if row.parent:
        trace = trace_of(row.parent)
        parent = query_span(trace)
        place = row.place
        own = standalone(start, row.name, row.duration)[:8] if place is None else call_span(parent, place)
    else:
        origin = row.origin
        trace = standalone(start, row.kind, row.name, row.duration, origin and origin.host, origin and origin.process)
        own = query_span(trace)
    weight = wire.attributes(_ATTRIBUTES, [(names.WEIGHT, float(row.weight) if row.weight != 1 else None)])
    about, end = _about(row, ""), start + row.duration
    beside = _beside_call(row, row.message, end)
    return [_head(trace, own, parent) + about + _times(0x39, start, 0x41, end) + beside + weight]


def _head(trace: bytes, span: bytes, parent: bytes | None) -> bytes:
    """The fields 1, 2 and 4: the ids of trace, span and parent."""
    head = _TRACE + trace + _SPAN + span
    return head if parent is None else head + _PARENT + parent


# -- the query -------------------------------------------------------------------------------------------------------


def _root(row: QueryRow, trace: bytes, span: bytes, start: int, end: int) -> bytes:
    parent = query_span(trace) if row.parent else None
    parts = [_head(trace, span, parent), _agent(row.agent or "", row.name, row.status), _times(0x39, start, 0x41, end)]
    if row.user_input:
        parts.append(_text_input(str(row.user_input)))
    parts += [wire.attribute(_ATTRIBUTES, name, value) for name, value in _beside(row) if value is not None]
    if row.status in _FAILED:
        parts.append(_failure(row.error or row.status, row.message, end))
    elif row.status == "cancelled":
        parts.append(wire.attribute(_ATTRIBUTES, names.ERROR_TYPE, row.error or "CancelledError"))
    for call in row.calls:
        if call.duration is None:
            parts.append(_unfinished(call, start))
    return b"".join(parts)


def _beside(row: QueryRow) -> list[tuple[str, Any]]:
    """The attributes of a query's span that differ from query to query."""
    found: list[tuple[str, Any]] = []
    if row.result_size is not None:
        found.append((names.RESULT_SIZE, row.result_size))
    if row.first_chunk is not None:
        found.append((names.FIRST_CHUNK, row.first_chunk / 1e9))
    if row.entities:
        found.append((names.ENTITIES, row.entities))
    if row.weight != 1:
        found.append((names.WEIGHT, float(row.weight)))
    if (selection := row.selection) is not None:
        found.append((names.SELECTED_AGENT, selection.agent))
        found.append((names.COMPLEXITY, selection.score))
        found.append((names.SELECTION_REASON, selection.why))
    if row.metrics:
        found += [(names.METRIC + name, float(value)) for name, value in row.metrics.items()]
    if attributes := row.attributes:
        found += attributes.items() if _SPECIAL.isdisjoint(attributes) else _own(attributes).items()
    return found


def _own(attributes: dict[str, Any]) -> dict[str, Any]:
    """The application's own attributes; the session and the user also under the names that receivers look for."""
    session = next((attributes[name] for name in _SESSIONS if attributes.get(name)), None)
    user = next((attributes[name] for name in _USERS if attributes.get(name)), None)
    found = {name: value for name, value in attributes.items() if name not in ("session", "user")}
    if session is not None:
        found |= {names.SESSION: str(session), names.CONVERSATION: str(session)}
    if user is not None:
        found[names.USER] = str(user)
    return found


@lru_cache(maxsize=1024)
def _agent(agent: str, function: str, status: str) -> bytes:
    """What the spans of an agent's queries have in common."""
    known = [
        (names.OPERATION, names.INVOKE_AGENT),
        (names.AGENT_NAME, agent or None),
        (names.FUNCTION, function or None),
        (names.OI_KIND, names.OI_AGENT),
        (names.OI_AGENT_NAME, agent or None),
        (names.STATUS, status),
    ]
    name = f"{names.INVOKE_AGENT} {agent}".rstrip()
    return wire.text(_NAME, name) + wire.whole(_KIND, _INTERNAL) + wire.attributes(_ATTRIBUTES, known)


def _totals(row: QueryRow) -> ModelFacts | None:
    """What the application recorded of a whole query, where no model call says it."""
    given = (row.input_tokens, row.output_tokens, row.cost_usd, row.model)
    if given == (None, None, None, None) or any(call.kind == "model" and call.facts is not None for call in row.calls):
        return None
    return ModelFacts(
        row.model,
        None,
        row.input_tokens,
        row.output_tokens,
        row.cached_tokens,
        row.reasoning_tokens,
        None,
        row.cost_usd,
    )


def _unfinished(call: CallRow, start: int) -> bytes:
    """The event of a call that had not ended when its query did."""
    block = wire.attributes(3, [("agent_instrument.call.kind", call.kind), ("agent_instrument.call.name", call.name)])
    return wire.message(_EVENTS, wire.fixed64(1, start + call.begin) + wire.text(2, names.UNFINISHED) + block)


# -- calls -----------------------------------------------------------------------------------------------------------


def _about(call: CallRow | StandaloneCallRow, agent: str) -> bytes:
    """The name, the kind and the attributes by the kind of call."""
    if call.kind == "model":
        facts = call.facts or _NO_FACTS
        return _chat(facts.model, facts.provider, call.name, agent) + _usage(facts)
    return _graphql(call.name, agent) if call.kind == "graphql" else _tool(call.name, agent)


def _beside_call(call: CallRow | StandaloneCallRow, message: str | None, end: int) -> bytes:
    """What few calls have: a failure, a size, variables, an end after that of their query."""
    found = b""
    if call.variables is not None:
        found = wire.attribute(_ATTRIBUTES, names.VARIABLES, call.variables)
        if call.status == "ok" and call.result_size is None and not call.late:
            return found
    if call.status in _FAILED:
        found += _failure(call.error or call.status, message, end)
    elif call.status == "cancelled":
        found += wire.attribute(_ATTRIBUTES, names.ERROR_TYPE, call.error or "CancelledError")
    beside = [
        (names.STATUS, None if call.status in ("ok", "error") else call.status),
        (names.RESULT_SIZE, call.result_size),
        (names.LATE, call.late or None),
    ]
    return found + wire.attributes(_ATTRIBUTES, beside)


@lru_cache(maxsize=4096)
def _tool(name: str, agent: str) -> bytes:
    """What the calls of one tool by one agent have in common."""
    known = [
        (names.OPERATION, names.EXECUTE_TOOL),
        (names.TOOL_NAME, name),
        (names.TOOL_TYPE, "function"),
        (names.AGENT_NAME, agent or None),
        (names.OI_KIND, names.OI_TOOL),
        (names.OI_TOOL_NAME, name),
    ]
    span_name = wire.text(_NAME, f"{names.EXECUTE_TOOL} {name}")
    return span_name + wire.whole(_KIND, _INTERNAL) + wire.attributes(_ATTRIBUTES, known)


@lru_cache(maxsize=4096)
def _graphql(name: str, agent: str) -> bytes:
    """What the calls of one operation by one agent have in common. It is a tool for receivers of OpenInference."""
    kind, _, operation = name.partition(" ")
    if kind not in _OPERATIONS:
        kind, operation = "", name
    known = [
        (names.GRAPHQL_TYPE, kind or None),
        (names.GRAPHQL_NAME, operation or None),
        (names.AGENT_NAME, agent or None),
        (names.OI_KIND, names.OI_TOOL),
        (names.OI_TOOL_NAME, name),
    ]
    return wire.text(_NAME, name) + wire.whole(_KIND, _CLIENT) + wire.attributes(_ATTRIBUTES, known)


@lru_cache(maxsize=1024)
def _chat(model: str | None, provider: str | None, name: str | None, agent: str) -> bytes:
    """What the calls of one model by one agent have in common.

    A record has one name of a model. It is the one that was asked for: Phoenix takes `gen_ai.response.model` for an
    answer, and shows that in place of one that was not kept.
    """
    shown = model or name
    known = [
        (names.OPERATION, names.CHAT),
        (names.REQUEST_MODEL, shown),
        (names.PROVIDER, provider),
        (names.AGENT_NAME, agent or None),
        (names.OI_KIND, names.OI_LLM),
        (names.OI_MODEL, shown),
        (names.OI_PROVIDER, provider),
    ]
    span_name = wire.text(_NAME, f"{names.CHAT} {shown or ''}".rstrip())
    return span_name + wire.whole(_KIND, _CLIENT) + wire.attributes(_ATTRIBUTES, known)


def _usage(facts: ModelFacts) -> bytes:
    """Tokens, cost, time to the first chunk, and the texts where they were kept."""
    given, gave = facts.input_tokens, facts.output_tokens
    parts = []
    if given is not None:
        parts.append(_count("input", given))
    if gave is not None:
        parts.append(_count("output", gave))
    if given is not None or gave is not None:
        parts.append(_count("total", (given or 0) + (gave or 0)))
    if facts.cached_tokens is not None:
        parts.append(_count("cached", facts.cached_tokens))
    if facts.reasoning_tokens is not None:
        parts.append(_count("reasoning", facts.reasoning_tokens))
    if (cost := facts.cost_usd) is not None:
        parts.append(wire.attribute(_ATTRIBUTES, names.OI_COST, float(cost)))
        parts.append(wire.attribute(_ATTRIBUTES, names.MLFLOW_COST, _json({"total_cost": cost})))
    if facts.first_chunk is not None:
        parts.append(wire.attribute(_ATTRIBUTES, names.FIRST_CHUNK, facts.first_chunk / 1e9))
    if facts.input:
        parts.append(_text_input(facts.input))
    if facts.output:
        parts.append(wire.attribute(_ATTRIBUTES, names.OI_OUTPUT, facts.output))
        parts.append(wire.attribute(_ATTRIBUTES, names.OUTPUT_MESSAGES, _messages(b"assistant", facts.output)))
    return b"".join(parts)


_COUNTS = {
    "input": (names.INPUT_TOKENS, names.OI_INPUT_TOKENS),
    "output": (names.OUTPUT_TOKENS, names.OI_OUTPUT_TOKENS),
    "total": (names.OI_TOTAL_TOKENS,),
    "cached": (names.CACHED_TOKENS, names.OI_CACHED_TOKENS),
    "reasoning": (names.REASONING_TOKENS, names.OI_REASONING_TOKENS),
}
"""The attributes that each count of tokens stands in."""


@lru_cache(maxsize=8192)
def _count(kind: str, tokens: int) -> bytes:
    """A count of tokens as attributes: the same counts come again and again."""
    return b"".join([wire.attribute(_ATTRIBUTES, name, tokens) for name in _COUNTS[kind]])


def _text_input(content: str) -> bytes:
    """What went into an agent or a model, under both names."""
    return wire.attribute(_ATTRIBUTES, names.INPUT_MESSAGES, _messages(b"user", content)) + wire.attribute(
        _ATTRIBUTES, names.OI_INPUT, content
    )


def _messages(role: bytes, content: str) -> bytes:
    """One message of text as the conventions write it, in JSON."""
    quoted = _json(content.encode("utf-8", "replace").decode())
    return b'[{"role":"' + role + b'","parts":[{"type":"text","content":' + quoted + b"}]}]"


def _failure(kind: str, message: str | None, when: int) -> bytes:
    """The status, the type and the event of a failure."""
    status = (wire.text(2, message) if message else b"") + wire.whole(3, _ERROR)
    about = wire.attributes(3, [(names.EXCEPTION_TYPE, kind), (names.EXCEPTION_MESSAGE, message or None)])
    event = wire.fixed64(1, when) + wire.text(2, names.EXCEPTION) + about
    return (
        wire.attribute(_ATTRIBUTES, names.ERROR_TYPE, kind)
        + wire.message(_EVENTS, event)
        + wire.message(_STATUS, status)
    )
