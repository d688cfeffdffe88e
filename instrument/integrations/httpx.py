"""httpx: what its clients send to a GraphQL server, whether as `post(url, json={"query": …})` or as a request built."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from instrument.integrations._graphql import HTTP, guarded, operation
from instrument.integrations._graphql_http import answers, asked, in_body, in_url
from instrument.integrations._patches import Patches


def hook_in(patches: Patches, httpx: ModuleType) -> None:
    """Record what goes through `Client.send` and `AsyncClient.send`, as everything does."""
    patches.wrap(httpx.Client, "send", _send)
    patches.wrap(httpx.AsyncClient, "send", _send_async)


def _send(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
    names = asked(_operations, args[0] if args else kwargs.get("request"))
    if not names:
        return wrapped(*args, **kwargs)
    with operation(HTTP, *names) as call:
        response = wrapped(*args, **kwargs)
        guarded(_note, call, response, kwargs)
        return response


def _send_async(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
    names = asked(_operations, args[0] if args else kwargs.get("request"))
    return _awaited(names, wrapped, args, kwargs) if names else wrapped(*args, **kwargs)


async def _awaited(names: tuple[str, ...], wrapped: Any, args: Any, kwargs: Any) -> Any:
    with operation(HTTP, *names) as call:
        response = await wrapped(*args, **kwargs)
        guarded(_note, call, response, kwargs)
        return response


def _operations(request: Any) -> tuple[str, ...]:
    method = request.method
    if method == "GET":
        return in_url(request.url.query.decode("ascii", "replace"))
    if method not in ("POST", "QUERY"):
        return ()
    try:
        body = request.content
    except RuntimeError:  # it is sent as a stream, which only the client may read
        return ()
    return in_body(body, lambda: request.headers.get("content-type"))


def _note(call: operation, response: Any, options: Any) -> None:
    content = None if options.get("stream") else response.content
    call.answered(*answers(response.status_code, content, response.headers.get, "HTTPStatusError"))
