"""LiteLLM: completions, embeddings and responses of whatever provider, sync, async and streamed, with their cost.

Each call of the function that an application calls is a model call, LiteLLM's retries and fallbacks included. The
client that it asks underneath is part of it. What `from litellm import completion` gave before the integration was
installed is not seen.
"""

from __future__ import annotations

import itertools
from importlib import import_module
from types import ModuleType
from typing import Any

from instrument.collecting.collector import collector
from instrument.integrations._clients import Followed, Request, begin
from instrument.integrations._patches import Patches
from instrument.recording.model_usage import read

_FUNCTIONS = ("completion", "text_completion", "embedding", "responses")
_PROMPTS = ("messages", "input", "prompt")
_STREAMS = (
    ("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper"),
    ("litellm.responses.streaming_iterator", "BaseResponsesAPIStreamingIterator"),
)
"""Where the classes of streams are, and what they inherit from."""
_streams = Followed()


def hook_in(patches: Patches, litellm: ModuleType) -> None:
    """Record each call of LiteLLM's functions, and follow its streams."""
    for name in _FUNCTIONS:
        patches.wrap(litellm, name, _call)
        patches.wrap(litellm, f"a{name}", _call_async)
    for name, base in _STREAMS:
        module = import_module(name)
        streams = [
            each for each in vars(module).values() if isinstance(each, type) and issubclass(each, getattr(module, base))
        ]
        for stream, (step, wrapper) in itertools.product(streams, _STEPS):
            if step in vars(stream):
                patches.wrap(stream, step, wrapper)


def _call(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    request = _begin(args, kwargs)
    if request is None:
        return wrapped(*args, **kwargs)
    try:
        answer = wrapped(*args, **kwargs)
    except BaseException as error:
        request.end(error)
        raise
    _answered(request, answer)
    return answer


async def _call_async(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    request = _begin(args, kwargs)
    if request is None:
        return await wrapped(*args, **kwargs)
    try:
        answer = await wrapped(*args, **kwargs)
    except BaseException as error:
        request.end(error)
        raise
    _answered(request, answer)
    return answer


def _begin(args: Any, kwargs: Any) -> Request | None:
    asked = next((kwargs[name] for name in _PROMPTS if kwargs.get(name)), args[1] if len(args) > 1 else None)
    return begin(kwargs.get("model") or (args[0] if args else ""), kwargs.get("custom_llm_provider"), asked)


def _answered(request: Request, answer: Any) -> None:
    try:
        if hasattr(type(answer), "__next__") or hasattr(type(answer), "__anext__"):
            _streams.add(answer, request)
            return
        request.see(answer)
        _price(request, answer)
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("litellm answer", problem)
    request.end()


def _price(request: Request, answer: Any) -> None:
    """Keep the cost and the provider, which LiteLLM has beside its answers."""
    hidden = read(answer, "_hidden_params")
    request.cost(read(hidden, "response_cost"))
    request.serve(read(hidden, "custom_llm_provider"))


def _step(wrapped: Any, stream: Any, args: Any, kwargs: Any) -> Any:
    request = _streams.get(stream)
    if request is None:
        return wrapped(*args, **kwargs)
    try:
        chunk = wrapped(*args, **kwargs)
    except StopIteration:
        request.end()
        raise
    except BaseException as error:
        request.end(error)
        raise
    request.chunk(chunk)
    return chunk


async def _step_async(wrapped: Any, stream: Any, args: Any, kwargs: Any) -> Any:
    request = _streams.get(stream)
    if request is None:
        return await wrapped(*args, **kwargs)
    try:
        chunk = await wrapped(*args, **kwargs)
    except StopAsyncIteration:
        request.end()
        raise
    except BaseException as error:
        request.end(error)
        raise
    request.chunk(chunk)
    return chunk


_STEPS = (("__next__", _step), ("__anext__", _step_async))
