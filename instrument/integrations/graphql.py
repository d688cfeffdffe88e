"""graphql-core: operations that are executed in this process."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Coroutine
from types import ModuleType
from typing import Any

from instrument.integrations._graphql import EXECUTOR, operation, subscription
from instrument.integrations._graphql_answers import name_of
from instrument.integrations._patches import Patches, Wrapper


def hook_in(patches: Patches, graphql: ModuleType) -> None:
    """Record the functions that take a whole operation, under whatever name a module has imported them already.

    Only graphql-core itself goes on with the originals, or what one does by calling another would count twice.
    """
    wrapped: dict[int, Any] = {}
    for name, wrapper in _WRAPPERS.items():
        if (original := getattr(graphql, name, None)) is not None:
            patches.wrap(graphql, name, wrapper)
            wrapped[id(original)] = getattr(graphql, name)
    for place, module in list(sys.modules.items()):
        if place.startswith("graphql.") and place != "graphql.execution":
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in wrapped:
                patches.set(module, name, wrapped[id(value)])


async def _graphql(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    with operation(EXECUTOR, _name(*args, **kwargs), variables=(_variables(*args, **kwargs),)) as call:
        result = await wrapped(*args, **kwargs)
        call.gave(result)
        return result


def _execute(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    with operation(EXECUTOR, _name(*args, **kwargs), variables=(_variables(*args, **kwargs),)) as call:
        result = wrapped(*args, **kwargs)
        if isinstance(result, Coroutine):
            return call.goes_on(result)
        call.gave(result)
        return result


def _subscribe(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    name = _name(*args, **kwargs)
    result = wrapped(*args, **kwargs)
    return _subscribed(name, result) if isinstance(result, Coroutine) else _events(name, result)


async def _subscribed(name: str, result: Any) -> Any:
    return _events(name, await result)


def _events(name: str, result: Any) -> Any:
    """A subscription from its first step on; one that was refused is a call that has failed."""
    if hasattr(result, "__anext__"):
        return subscription(EXECUTOR, name, result if inspect.isasyncgen(result) else _each(result))
    if getattr(result, "errors", None):
        with operation(EXECUTOR, name) as call:
            call.gave(result)
    return result


async def _each(events: Any) -> AsyncGenerator[Any, None]:
    """What graphql-core 3.2 gives, which is no generator, as one."""
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()


def _name(*args: Any, **kwargs: Any) -> str:
    """Name the operation: the second argument, `source` or `document`, and the sixth, `operation_name`."""
    document = args[1] if len(args) > 1 else kwargs.get("source", kwargs.get("document"))
    return name_of(document, args[5] if len(args) > 5 else kwargs.get("operation_name"))


def _variables(*args: Any, **kwargs: Any) -> Any:
    """The operation's variables: the fifth argument, `variable_values`; without any, the document where it is text."""
    document = args[1] if len(args) > 1 else kwargs.get("source")
    own = args[4] if len(args) > 4 else kwargs.get("variable_values")
    return own or (document if isinstance(document, str) else None)


_WRAPPERS: dict[str, Wrapper] = {
    "graphql": _graphql,
    "graphql_sync": _execute,
    "execute": _execute,
    "execute_sync": _execute,
    "subscribe": _subscribe,
}
