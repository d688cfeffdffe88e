"""gql: every session's execute, batch and subscription, whatever its transport, a local schema included."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from instrument.integrations._graphql import CLIENT, operation, subscription
from instrument.integrations._graphql_answers import name_of
from instrument.integrations._patches import Patches
from instrument.spans import suppress


def hook_in(patches: Patches, gql: ModuleType) -> None:
    """Record what sessions do, through which the client's own methods go as well."""
    sync, asynchronous = gql.client.SyncClientSession, gql.client.AsyncClientSession
    patches.wrap(sync, "execute", _execute)
    patches.wrap(asynchronous, "execute", _execute_async)
    patches.wrap(sync, "execute_batch", _execute_batch)
    patches.wrap(asynchronous, "execute_batch", _execute_batch_async)
    patches.wrap(asynchronous, "subscribe", _subscribe)
    # A client that gathers requests sends them from a thread or task of its own, after each was recorded at `execute`.
    for session, gathering in ((sync, _gathering), (asynchronous, _gathering_async)):
        if hasattr(session, "_batch_loop"):
            patches.wrap(session, "_batch_loop", gathering)


def _execute(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    with operation(CLIENT, _name(*args, **kwargs), variables=(_variables(*args, **kwargs),)) as call:
        result = wrapped(*args, **kwargs)
        call.gave(result)
        return result


async def _execute_async(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    with operation(CLIENT, _name(*args, **kwargs), variables=(_variables(*args, **kwargs),)) as call:
        result = await wrapped(*args, **kwargs)
        call.gave(result)
        return result


def _execute_batch(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    with operation(CLIENT, *_names(*args, **kwargs), variables=_each(*args, **kwargs)) as call:
        results = wrapped(*args, **kwargs)
        call.gave(*results)
        return results


async def _execute_batch_async(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    with operation(CLIENT, *_names(*args, **kwargs), variables=_each(*args, **kwargs)) as call:
        results = await wrapped(*args, **kwargs)
        call.gave(*results)
        return results


def _subscribe(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    return subscription(CLIENT, _name(*args, **kwargs), wrapped(*args, **kwargs))


def _gathering(wrapped: Any, session: Any, args: Any, kwargs: Any) -> None:
    with suppress():
        wrapped(*args, **kwargs)


async def _gathering_async(wrapped: Any, session: Any, args: Any, kwargs: Any) -> None:
    with suppress():
        await wrapped(*args, **kwargs)


def _name(*args: Any, **kwargs: Any) -> str:
    request = args[0] if args else kwargs.get("request")
    return name_of(request, getattr(request, "operation_name", None) or kwargs.get("operation_name"))


def _variables(*args: Any, **kwargs: Any) -> Any:
    """The operation's variables: the request's own from gql 4 on, before that the second argument."""
    request = args[0] if args else kwargs.get("request")
    own = getattr(request, "variable_values", None)
    return own if own is not None else kwargs.get("variable_values", args[1] if len(args) > 1 else None)


def _each(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    requests = args[0] if args else kwargs.get("requests")
    return tuple(map(_variables, requests)) if isinstance(requests, (list, tuple)) else ()


def _names(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    requests = args[0] if args else kwargs.get("requests")
    return tuple(map(_name, requests)) if isinstance(requests, (list, tuple)) else ("GraphQL",)
