"""Strawberry: operations that a schema executes in this process, a server's as well as an application's own."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from instrument.integrations._graphql import SCHEMA, operation, subscription
from instrument.integrations._graphql_answers import name_of
from instrument.integrations._patches import Patches


def hook_in(patches: Patches, strawberry: ModuleType) -> None:
    """Record `Schema.execute`, `execute_sync` and `subscribe`, and `stream` where subscriptions go through that."""
    schema = strawberry.Schema
    patches.wrap(schema, "execute", _execute)
    patches.wrap(schema, "execute_sync", _execute_sync)
    patches.wrap(schema, "stream" if hasattr(schema, "stream") else "subscribe", _subscribe)


async def _execute(wrapped: Any, schema: Any, args: Any, kwargs: Any) -> Any:
    with operation(SCHEMA, _name(*args, **kwargs)) as call:
        result = await wrapped(*args, **kwargs)
        call.gave(result)
        return result


def _execute_sync(wrapped: Any, schema: Any, args: Any, kwargs: Any) -> Any:
    with operation(SCHEMA, _name(*args, **kwargs)) as call:
        result = wrapped(*args, **kwargs)
        call.gave(result)
        return result


async def _subscribe(wrapped: Any, schema: Any, args: Any, kwargs: Any) -> Any:
    events = await wrapped(*args, **kwargs)
    return subscription(SCHEMA, _name(*args, **kwargs), events) if inspect.isasyncgen(events) else events


def _name(*args: Any, **kwargs: Any) -> str:
    """Name the operation: the first argument, `query`, and the fifth, `operation_name`."""
    document = args[0] if args else kwargs.get("query")
    return name_of(document, args[4] if len(args) > 4 else kwargs.get("operation_name"))
