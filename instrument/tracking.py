"""The decorators: `track_query`, `track_tool`, `track_graphql`, `track_model`. Everything is decided at decoration.

A decorated function keeps its signature, name, documentation and kind (sync, async, generator, async generator). What
the decorators of a selector do stands in `selecting.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, overload

from instrument.collecting.collector import collector
from instrument.collecting.switches import switches
from instrument.config import checked
from instrument.errors import ConfigError
from instrument.recording.slow_path import Site, default_name
from instrument.redaction.rules import described

F = TypeVar("F", bound=Callable[..., Any])


@overload
def track_query(agent: F, /) -> F: ...
@overload
def track_query(agent: str | None = None, *, input: str | None = None, name: str | None = None) -> Callable[[F], F]: ...
def track_query(agent: Any = None, *, input: str | None = None, name: str | None = None) -> Any:
    """Record each call of a function as a query.

    `agent` is the agent's type. The query's input is the parameter named by `input`, else `user_input`, else the first
    after self. `name` is kept beside it, the function's own unless given.

    Raises TypeError at decoration for an option of the wrong type and for a parameter that the function does not have.
    """
    function, given = _function_or_text("query", "agent", agent)
    texts = _texts("query", agent=given, input=input, name=name)
    return _decorated(function, "query", texts["name"], texts["agent"], texts["input"])


@overload
def track_tool(name: F, /) -> F: ...
@overload
def track_tool(name: str | None = None) -> Callable[[F], F]: ...
def track_tool(name: Any = None) -> Any:
    """Record each call of a function as a tool call, under `name` or the function's own."""
    function, given = _function_or_text("tool", "name", name)
    return _decorated(function, "tool", _texts("tool", name=given)["name"])


@overload
def track_graphql(operation: F, /) -> F: ...
@overload
def track_graphql(operation: str | None = None, *, document: str | None = None) -> Callable[[F], F]: ...
def track_graphql(operation: Any = None, *, document: str | None = None) -> Any:
    """Record each call of a function as a GraphQL call.

    It is named by `operation`, else by the operation in its document: the parameter named by `document`, else `query`
    or `document`, else the first after self; a str, DocumentNode or GraphQLRequest. An answer that has `errors` (a
    dict, or an object with the attribute) marks the call failed.

    Raises TypeError at decoration for an option of the wrong type and for a parameter that the function does not have.
    """
    function, given = _function_or_text("graphql", "operation", operation)
    texts = _texts("graphql", operation=given, document=document)
    return _decorated(function, "graphql", texts["operation"], None, texts["document"])


@overload
def track_model(name: F, /) -> F: ...
@overload
def track_model(name: str | None = None, provider: str | None = None) -> Callable[[F], F]: ...
def track_model(name: Any = None, provider: str | None = None) -> Any:
    """Record each call of a function as a call to a model, under `name` or the function's own.

    `name` is the model's, `provider` who serves it. An answer that has `usage` (an object or a dict, as OpenAI's and
    Anthropic's have it), or a stream with such chunks, says which model it was and how many tokens it took; else
    `current_model_call().record_tokens(…)` inside the function does. Of a stream, the time to the first chunk is kept.

    Raises TypeError at decoration for an option of the wrong type.
    """
    function, given = _function_or_text("model", "name", name)
    texts = _texts("model", name=given, provider=provider)
    return _decorated(function, "model", texts["name"], texts["provider"])


def _function_or_text(kind: str, option: str, first: Any) -> tuple[Any, Any]:
    """Tell the bare form of a decorator, `@track_tool`, from the called one, `@track_tool("name")`."""
    if first is None or isinstance(first, str):
        return None, first
    if callable(first) or hasattr(type(first), "__get__"):
        return first, None
    what = f"{type(first).__name__}: {_short(first)}"
    raise TypeError(f"track_{kind} decorates a function, or takes {option}=… as a str, not {what}")


def _texts(kind: str, **options: Any) -> dict[str, str | None]:
    """The options of a decorator, checked; raises TypeError for one that is no text."""
    for option, value in options.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"track_{kind}({option}=…) must be a str, not {type(value).__name__}: {_short(value)}")
    return {option: None if value is None else described(value) for option, value in options.items()}


def _short(value: Any) -> str:
    text = described(value).splitlines() or [""]
    return text[0][:80]


def _decorated(function: Any, kind: str, name: str | None, agent: str | None = None, wanted: str | None = None) -> Any:
    if function is not None:
        return _tracked(function, kind, name, agent, wanted)
    return lambda function: _tracked(function, kind, name, agent, wanted)


def _tracked(function: Any, kind: str, name: str | None, agent: str | None, wanted: str | None) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_tracked(function.__func__, kind, name, agent, wanted))
    if not callable(function):
        return _tracked_descriptor(function, kind, lambda inner: _tracked(inner, kind, name, agent, wanted))
    if isinstance(function, type):
        raise TypeError(f"track_{kind} decorates a function, not a class: put it on methods of {function.__name__}")
    if switched_off():
        return function
    site = Site(kind, name or "", named=name is not None, agent=agent, wanted=wanted)
    if not isinstance(function, FunctionType):
        from instrument.recording.callables import track_callable

        return track_callable(function, site)
    from instrument.recording.fast_path import wrap

    site.name = name or default_name(function)
    return wrap(function, site)


def _tracked_descriptor(found: Any, kind: str, track: Callable[[Any], Any]) -> Any:
    """The same descriptor around a tracked function, for those that hold one function; else say where to decorate."""
    if isinstance(found, property) and found.fget is not None:
        return found.getter(track(found.fget))
    if type(found) is functools.cached_property:
        return functools.cached_property(track(found.func))
    if type(found) is functools.partialmethod:
        return functools.partialmethod(track(found.func), *found.args, **found.keywords)
    what = type(found).__name__
    if not hasattr(type(found), "__get__"):
        raise TypeError(f"track_{kind} decorates a function, a method or a callable object, not {what}")
    raise TypeError(f"put @track_{kind} below @{what}, on the function itself, not above it")


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
