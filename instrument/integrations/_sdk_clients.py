"""The clients of OpenAI and of Anthropic, which are built alike: one way in for every request, one class of streams.

Every resource, sync or async, plain, parsed or raw, passes its client's `request`, which retries by itself. Which of
them ask a model, their path says.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from instrument.collecting.collector import collector
from instrument.integrations._clients import Followed, Request, begin, follow, follow_async
from instrument.integrations._patches import Patches

Paths = tuple[str, ...]


class Sdk:
    """What one of them needs: the paths that ask a model, where its prompt is, and who serves its own host."""

    def __init__(self, paths: Paths, prompts: Paths, hosts: dict[str, str]) -> None:
        self._paths = paths
        self._prompts = prompts
        self._hosts = hosts
        self._streams = Followed()

    def hook_in(self, patches: Patches, base_client: ModuleType, streaming: ModuleType) -> None:
        """Record the requests of every client."""
        patches.wrap(base_client.SyncAPIClient, "request", self._request)
        patches.wrap(base_client.AsyncAPIClient, "request", self._request_async)
        patches.wrap(streaming.Stream, "__stream__", self._stream)
        patches.wrap(streaming.AsyncStream, "__stream__", self._stream_async)

    def _request(self, wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        request = self._begin(client, args, kwargs)
        if request is None:
            return wrapped(*args, **kwargs)
        try:
            answer = wrapped(*args, **kwargs)
        except BaseException as error:
            request.end(error)
            raise
        self._answered(request, answer)
        return answer

    async def _request_async(self, wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        request = self._begin(client, args, kwargs)
        if request is None:
            return await wrapped(*args, **kwargs)
        try:
            answer = await wrapped(*args, **kwargs)
        except BaseException as error:
            request.end(error)
            raise
        self._answered(request, answer)
        return answer

    def _stream(self, wrapped: Any, stream: Any, args: Any, kwargs: Any) -> Any:
        return follow(wrapped(*args, **kwargs), lambda: self._streams.get(stream.response))

    def _stream_async(self, wrapped: Any, stream: Any, args: Any, kwargs: Any) -> Any:
        return follow_async(wrapped(*args, **kwargs), lambda: self._streams.get(stream.response))

    def _begin(self, client: Any, args: Any, kwargs: Any) -> Request | None:
        try:
            options = args[1] if len(args) > 1 else kwargs["options"]
            if str(options.method).lower() != "post" or not options.url.partition("?")[0].endswith(self._paths):
                return None
            body = options.json_data if isinstance(options.json_data, dict) else {}
            asked = next((body[name] for name in self._prompts if body.get(name)), None)
            return begin(body.get("model") or "", self._provider(client), asked)
        except Exception as problem:  # noqa: BLE001 - ours, or a client that changed: not the application's
            collector.trouble("model client", problem)
            return None

    def _provider(self, client: Any) -> str | None:
        host = client.base_url.host
        return next((name for end, name in self._hosts.items() if host.endswith(end)), host) or None

    def _answered(self, request: Request, answer: Any) -> None:
        """Take in what a client has answered: a stream, a raw response with or without its content, or an object."""
        try:
            raw = getattr(answer, "http_response", None)
            if hasattr(type(answer), "__stream__"):
                self._streams.add(answer.response, request)
            elif raw is not None and not hasattr(raw, "_content"):
                self._streams.add(raw, request)
            else:
                request.see(answer) if raw is None else request.see_bytes(raw)
                request.end()
        except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
            collector.trouble("model client", problem)
            request.end()
