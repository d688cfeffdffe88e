"""What a decorated function does whenever the short way of `fast_path.py` is not open.

Outside a query, inside another, in a foreign thread, after a fork, suppressed, switched off, or where the result turns
out to be a stream. It records the same as the short way, with the plain means of `queries.py` and
`calls.py`.
"""

from __future__ import annotations

from typing import Any

from instrument.collecting import hot
from instrument.collecting.collector import collector
from instrument.collecting.finalizing import size_later
from instrument.recording.calls import OpenCall, close_call, open_call
from instrument.recording.model_usage import Answer
from instrument.recording.operation_names import operation_name
from instrument.recording.queries import OpenQuery, close_query, open_query
from instrument.recording.recursion import ask_for_room, end_unended
from instrument.recording.scope import (
    CALLS,
    OPEN,
    ROW,
    SAME,
    STREAMS,
    Scope,
    is_suppressed,
    leave,
    remember,
    scope_here,
)
from instrument.recording.streams import AsyncStream, StreamSpan
from instrument.rows.live import LiveCall, LiveFacts, LiveQuery

Opened = OpenQuery | OpenCall | None


class Site:
    """A decorated function: all that is known about it before it is called.

    `wanted` is the parameter that holds its input or document, where one was named. It pickles by its fields, so that
    a wrapper that is pickled by value is the same on the other side.
    """

    __slots__ = ("agent", "kind", "name", "named", "wanted")

    def __init__(
        self, kind: str, name: str, *, named: bool = False, agent: str | None = None, wanted: str | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.named = named
        self.agent = agent
        self.wanted = wanted

    @property
    def provider(self) -> str | None:
        """Who serves the model; a model call has it in the place of an agent."""
        return self.agent


def default_name(function: Any) -> str:
    """A function's name as records have it: a method's carries its class."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def begin(site: Site, value: Any, variables: bytes | None = None, *, entered: bool = True) -> Opened:
    """Begin a query or call in the scope at hand, wherever that is; None where nothing is recorded.

    `value` is the query's input or the call's document, `variables` are a GraphQL call's, encoded. `entered` False
    leaves the scope as it is: streams enter it step by step.
    """
    try:
        ask_for_room()
        if hot.unended is not None:
            end_unended()
        if site.kind == "query":
            opened: Opened = open_query(site.agent, site.name, value, entered=entered)
            return opened
        scope = scope_here()
        if is_suppressed(scope) or (len(scope) > SAME and scope[SAME] is site):
            return None
        if site.kind == "model":
            facts = LiveFacts(site.name if site.named else None, site.provider)
            return open_call(site.kind, site.name, entered=entered, facts=facts)
        name = named_by(value, site.name) if site.kind == "graphql" and not site.named else site.name
        return open_call(site.kind, name, entered=entered, variables=variables)
    except RecursionError:
        hot.too_deep += 1
        return None
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble(site.kind, problem)
        return None


def fail(opened: Opened, error: BaseException) -> None:
    """End what `begin` gave, when an exception leaves it.

    Raises RecursionError where the stack has no room; then it is to be done again.
    """
    if opened is not None:
        if hot.unended is not None:
            end_unended()
        _end(opened, error)


def finish(site: Site, opened: Opened, result: Any) -> Any:
    """End what `begin` gave, when the function has answered; gives what its caller gets."""
    if opened is None:
        return result
    try:
        if is_stream(result):
            return _streaming(opened, result)
        if isinstance(opened, OpenQuery):
            if opened.row.scope is not None and (not opened.joined or opened.row.result_size is None):
                opened.row.result_size = size_later(result)
        elif site.kind == "graphql":
            graphql_answered(opened.call, result)
        elif opened.call.facts is not None:
            answer = Answer()
            answer.see(result)
            answer.give(opened.call.facts)
    except RecursionError:
        hot.too_deep += 1
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble(site.kind, problem)
    try:
        _end(opened, None)
    except RecursionError:
        hot.unended = _end, (opened, None), hot.unended
    return result


def is_stream(result: Any) -> bool:
    """Whether a result is a stream; a type that cannot be hashed, as its metaclass says, is none."""
    try:
        return type(result) in STREAMS
    except Exception:  # noqa: BLE001 - the metaclass is the application's
        return False


def begin_stream(site: Site, inner: Any, value: Any) -> Any:
    """Begin a declared stream, at its first step; None where nothing is recorded."""
    opened = begin(site, value, entered=False)
    return None if opened is None else STREAMS[type(inner)](inner, StreamSpan(opened))


def begin_async_stream(site: Site, inner: Any, value: Any) -> Any:
    """The same for an async generator; one that is not recorded is stepped through as well, and as quietly."""
    opened = begin(site, value, entered=False)
    return AsyncStream(inner, None if opened is None else StreamSpan(opened), alone=False)


def query_streams(row: LiveQuery, result: Any) -> Any:
    """Let a query whose result is a stream last as long as that."""
    return STREAMS[type(result)](result, StreamSpan(OpenQuery(row, None)))


def call_streams(scope: Scope, call: LiveCall, began: int, result: Any) -> Any:
    """The same for a call."""
    call.duration = None
    place = next(place for place, one in enumerate(scope[CALLS]) if one is call)
    frame = [*scope[:OPEN], place, scope[ROW], call]
    remember(scope[ROW], frame)
    return STREAMS[type(result)](result, StreamSpan(OpenCall(call, began, scope[ROW], frame)))


def named_by(document: Any, fallback: str) -> str:
    """Name a GraphQL call by its document, whatever that is."""
    try:
        return operation_name(document, fallback)
    except RecursionError:
        hot.too_deep += 1
        return fallback
    except Exception as problem:  # noqa: BLE001 - a foreign object's attributes may raise anything
        collector.trouble("graphql document", problem)
        return fallback


def graphql_answered(call: LiveCall, result: Any) -> None:
    """Mark a call failed whose answer carries errors; the answer is a dict or an object with `errors`.

    An object's `errors` count only where they are plain data: a mock has every attribute.
    """
    try:
        is_dict = isinstance(result, dict)
        errors = result.get("errors") if is_dict else getattr(result, "errors", None)
        if (is_dict or isinstance(errors, (list, tuple, dict, str))) and errors:
            call.status, call.error = "error", "GraphQLError"
    except RecursionError:
        hot.too_deep += 1
    except Exception as problem:  # noqa: BLE001 - a foreign object's attributes may raise anything
        collector.trouble("graphql answer", problem)


def _streaming(opened: OpenQuery | OpenCall, result: Any) -> Any:
    if opened.token is not None:
        leave(opened.scope if isinstance(opened, OpenQuery) else opened.frame, opened.token)
        opened.token = None
    return STREAMS[type(result)](result, StreamSpan(opened))


def _end(opened: OpenQuery | OpenCall, error: BaseException | None) -> None:
    try:
        if isinstance(opened, OpenQuery):
            close_query(opened, error)
        else:
            close_call(opened, error)
    except RecursionError:
        if isinstance(opened, OpenCall):
            opened.ended = False
        raise
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("span", problem)
