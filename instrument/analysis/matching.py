"""Whether one record is among what filters pick: for whoever follows a store, and has no table to ask.

It decides as `filters.compiled` does in SQL; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from instrument.analysis import filters
from instrument.analysis.filters import Filter
from instrument.errors import UsageError
from instrument.records import CallRecord, QueryRecord

_SESSIONS = ("session", "session_id", "session.id", "conversation_id", "gen_ai.conversation.id")

_CALLS: dict[str, Callable[[CallRecord], str | None]] = {
    "tool": lambda call: call.name if call.kind == "tool" else None,
    "operation": lambda call: call.name if call.kind == "graphql" else None,
    "call_error": lambda call: None if call.success else call.error_type or call.status,
}


def matches(asked: Iterable[Filter], query: QueryRecord) -> bool:
    """Whether all filters are true of a query. Raises UsageError for one that compares what cannot be compared."""
    return all(_is_true(each, query) for each in asked)


def check(asked: Iterable[Filter]) -> None:
    """Raise UsageError for a filter that compares what cannot be compared."""
    for each in asked:
        _is_true(each, _NO_QUERY)


_NO_QUERY = QueryRecord(
    query_id="",
    user_input="",
    agent_type="",
    start_time="",
    end_time="",
    duration_ms=0.0,
    success=True,
    result_size_bytes=None,
    tool_calls=0,
    graphql_queries=0,
    entities_detected=[],
)


def _is_true(asked: Filter, query: QueryRecord) -> bool:
    name = filters.canonical(asked.name)
    if name in _CALLS:
        names = [each for call in query.calls if (each := _CALLS[name](call)) is not None]
        return _any_of(asked, names)
    if name == "entity":
        return _any_of(asked, query.entities_detected)
    if name in filters.FIELDS:
        value = _value(name, query)
        if filters.FIELDS[name].kind == "text":
            return _text(asked, "" if value is None else str(value))
        return _number(asked, value, filters.FIELDS[name].kind == "duration")
    return _free(asked, query)


def _value(name: str, query: QueryRecord) -> Any:
    """What a filter's name stands for in a query; the names that are no field of the record first."""
    if name == "agent":
        return query.agent_type or "unknown"
    if name == "outcome":
        return "cancelled" if query.status == "cancelled" else "succeeded" if query.success else "failed"
    if name == "error":
        unnamed = "unknown" if query.status == "error" else query.status
        return "" if query.success else query.error_type or unnamed
    if name == "session":
        there = (query.attributes[key] for key in _SESSIONS if query.attributes.get(key) is not None)
        return next((_written(value) for value in there), None)
    if name in ("complexity", "reason"):
        choice = query.selection
        field = "complexity_score" if name == "complexity" else "selection_reason"
        return None if choice is None else getattr(choice, field)
    if name == "tokens":
        used = [each for each in (query.input_tokens, query.output_tokens) if each is not None]
        return sum(used) if used else None
    if name == "calls":
        return query.tool_calls + query.graphql_queries + query.model_calls
    return getattr(query, _ATTRIBUTES.get(name, name))


_ATTRIBUTES = {short: long for long, short in filters.ALIASES.items()} | {"id": "query_id", "parent": "parent_id"}


def _any_of(asked: Filter, names: list[str]) -> bool:
    if not asked.value:
        found = not names
    else:
        found = any(_is_like(asked, name) for name in names)
        _check_text(asked)
    return found != asked.operator.startswith("!")


def _text(asked: Filter, value: str) -> bool:
    _check_text(asked)
    return _is_like(asked, value) != asked.operator.startswith("!")


def _is_like(asked: Filter, value: str) -> bool:
    return asked.value.lower() in value.lower() if "~" in asked.operator else asked.value == value


def _check_text(asked: Filter) -> None:
    if asked.operator not in ("=", "!=", "~", "!~"):
        raise UsageError(f"--where {asked}: {asked.name} is a text; compare it with =, !=, ~ or !~")


def _number(asked: Filter, value: Any, is_duration: bool) -> bool:
    if not asked.value and asked.operator in ("=", "!="):
        return (value is None) != (asked.operator == "!=")
    wanted = filters.wanted_number(asked, is_duration=is_duration)
    if asked.operator == "!=":
        return value is None or float(value) != wanted
    return value is not None and _compared(asked, float(value), wanted)


def _compared(asked: Filter, value: Any, wanted: Any) -> bool:
    if asked.operator == "=":
        return bool(value == wanted)
    if asked.operator.startswith(">"):
        return bool(value > wanted or (asked.operator == ">=" and value == wanted))
    return bool(value < wanted or (asked.operator == "<=" and value == wanted))


def _free(asked: Filter, query: QueryRecord) -> bool:
    attribute, metric = (asked.name.removeprefix(prefix) for prefix in (filters.ATTRIBUTE, filters.METRIC))
    if metric in query.metrics and (asked.name.startswith(filters.METRIC) or attribute not in query.attributes):
        return _number(asked, query.metrics[metric], False)
    value = query.attributes.get(attribute)
    text = "" if value is None else _written(value)
    number = filters.plain_number(asked.value)
    if asked.operator in ("=", "!=") and number is not None:
        same = asked.value == text or filters.plain_number(text) == number
        return same != (asked.operator == "!=")
    if asked.operator in ("=", "!=", "~", "!~"):
        return _text(asked, text)
    if value is None:
        return False
    if number is None:
        return _compared(asked, text, asked.value)
    own = filters.plain_number(text)
    return own is not None and _compared(asked, own, number)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
