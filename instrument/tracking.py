"""The decorators: `track_query`, `track_tool`, `track_graphql`. Everything is decided at decoration.

A decorated function keeps its signature, name, documentation and kind (sync, async, generator, async generator). What
the decorators of a selector do stands in `selecting.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, overload

from instrument.collecting.collector import collector
from instrument.collecting.switches import switches
from instrument.config import checked
from instrument.errors import ConfigError
from instrument.recording.slow_path import Site, default_name

F = TypeVar("F", bound=Callable[..., Any])


@overload
def track_query(agent: F, /) -> F: ...
@overload
def track_query(agent: str | None = None, *, input: str | None = None, name: str | None = None) -> Callable[[F], F]: ...
def track_query(agent: Any = None, *, input: str | None = None, name: str | None = None) -> Any:
    """Record each call of a function as a query.

    `agent` is the agent's type. The query's input is the parameter named by `input`, else `user_input`, else the first
    after self. `name` is kept beside it, the function's own unless given.

    Raises TypeError at decoration for a parameter that the function does not have.
    """

    def decorate(function: Any) -> Any:
        return _tracked(
            function, "query", name, agent if isinstance(agent, str) else None, lambda s: s.find(input, "user_input")
        )

    return _bare_or_called(agent, decorate)


@overload
def track_tool(name: F, /) -> F: ...
@overload
def track_tool(name: str | None = None) -> Callable[[F], F]: ...
def track_tool(name: Any = None) -> Any:
    """Record each call of a function as a tool call, under `name` or the function's own."""
    own = name if isinstance(name, str) else None
    return _bare_or_called(name, lambda function: _tracked(function, "tool", own, None, lambda s: "''"))


@overload
def track_graphql(operation: F, /) -> F: ...
@overload
def track_graphql(operation: str | None = None, *, document: str | None = None) -> Callable[[F], F]: ...
def track_graphql(operation: Any = None, *, document: str | None = None) -> Any:
    """Record each call of a function as a GraphQL call.

    It is named by `operation`, else by the operation in its document: the parameter named by `document`, else `query`
    or `document`, else the first after self; a str, DocumentNode or GraphQLRequest. An answer that has `errors` (a
    dict, or an object with the attribute) marks the call failed.

    Raises TypeError at decoration for a parameter that the function does not have.
    """
    own = operation if isinstance(operation, str) else None
    return _bare_or_called(
        operation,
        lambda function: _tracked(function, "graphql", own, None, lambda s: s.find(document, "query", "document")),
    )


def _bare_or_called(first: Any, decorate: Callable[[Any], Any]) -> Any:
    if first is None or isinstance(first, str):
        return decorate
    return decorate(first)


def _tracked(function: Any, kind: str, name: str | None, agent: str | None, find: Callable[[Any], str]) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_tracked(function.__func__, kind, name, agent, find))
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"track_{kind} decorates a function, a method or a callable object, not {function!r}")
    if switched_off():
        return function
    if not isinstance(function, FunctionType):
        from instrument.recording.callables import track_callable

        return track_callable(function, kind, name, agent, find)
    from instrument.recording.fast_path import wrap

    site = Site(kind, name or default_name(function), named=name is not None, agent=agent)
    return wrap(function, site, find)


def switched_off() -> bool:
    """Whether recording is off when a function is decorated: then it stays as it is."""
    if not switches.enabled:
        return True
    value = os.environ.get("INSTRUMENT_ENABLED")
    if value is None or collector.overrides("enabled"):
        return False
    try:
        return not checked("enabled", value, "INSTRUMENT_ENABLED")
    except ConfigError:
        return False
