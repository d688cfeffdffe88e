"""requests: what its sessions send to a GraphQL server, whether as `post(url, json={"query": …})` or prepared."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from instrument.integrations._graphql import HTTP, guarded, operation
from instrument.integrations._graphql_http import answers, asked, in_body, in_url
from instrument.integrations._patches import Patches


def hook_in(patches: Patches, requests: ModuleType) -> None:
    """Record what goes through `Session.send`, as everything does."""
    patches.wrap(requests.Session, "send", _send)


def _send(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
    names = asked(_operations, args[0] if args else kwargs.get("request"))
    if not names:
        return wrapped(*args, **kwargs)
    with operation(HTTP, *names) as call:
        response = wrapped(*args, **kwargs)
        guarded(_note, call, response, kwargs.get("stream", session.stream))
        return response


def _operations(request: Any) -> tuple[str, ...]:
    if request.method == "GET":
        return in_url(request.url.partition("?")[2])
    if request.method not in ("POST", "QUERY"):
        return ()
    return in_body(request.body, lambda: request.headers.get("content-type"))


def _note(call: operation, response: Any, streamed: bool) -> None:
    content = None if streamed else response.content
    call.answered(*answers(response.status_code, content, response.headers.get, "HTTPError"))
