"""OpenAI Agents: a run of the Runner is a query, and what its agents ask of tools are its calls.

It comes from the SDK's own tracing, through a processor beside those that are there; where an application has switched
tracing off, nothing is told and nothing recorded. The first agent gives the query its type; after a handoff the names
of all stand in the attribute `agents`. A failed tool whose exception the SDK has turned into an answer is a ToolError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType
from typing import Any

from instrument.integrations._patches import Patches
from instrument.integrations._reported import RunTracker, quietly
from instrument.integrations._runs import Kind
from instrument.interchange.questions import question_in
from instrument.interchange.semconv import Failure, Tokens
from instrument.recording.model_usage import usage_in

_asking: ContextVar[Any] = ContextVar("instrument_openai_agents", default=None)
"""What the run that begins here was asked: its spans do not say."""

_KINDS: dict[str, Kind] = {
    "task": "task",
    "agent": "agent",
    "function": "tool",
    "generation": "llm",
    "response": "llm",
}


def hook_in(patches: Patches, agents: ModuleType) -> None:
    """Add a processor of ours to the SDK's, and keep it there when an application sets its own."""
    tracing = import_module("agents.tracing")
    reported = RunTracker("openai_agents")
    processor = type("InstrumentProcessor", (_Processor, tracing.TracingProcessor), {})(reported)
    provider = import_module("agents.tracing.provider").DefaultTraceProvider

    def keep(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        done = wrapped(*args, **kwargs)
        instance.register_processor(processor)
        return done

    patches.wrap(provider, "set_processors", keep)
    for name, wrapper in (("run", _asked_of), ("run_streamed", _asked_of_stream)):
        with contextlib.suppress(AttributeError):  # then the input is what a model is told to have been given
            patches.wrap(import_module("agents.run").AgentRunner, name, wrapper)
    tracing.add_trace_processor(processor)
    patches.when_undone(lambda: _take_out(tracing, processor))
    patches.when_undone(reported.stop)


async def _asked_of(wrapped: Any, runner: Any, args: Any, kwargs: Any) -> Any:
    token = _asking.set(_input(*args, **kwargs))
    try:
        return await wrapped(*args, **kwargs)
    finally:
        with contextlib.suppress(ValueError):  # closed in another context: nothing to take back there
            _asking.reset(token)


def _asked_of_stream(wrapped: Any, runner: Any, args: Any, kwargs: Any) -> Any:
    token = _asking.set(_input(*args, **kwargs))
    try:
        return wrapped(*args, **kwargs)
    finally:
        _asking.reset(token)


def _input(starting_agent: Any = None, input: Any = None, *_: Any, **__: Any) -> Any:
    return input


def _take_out(tracing: ModuleType, processor: Any) -> None:
    every = getattr(tracing.get_trace_provider(), "_multi_processor", None)  # no public way leads out
    if every is not None:
        every.set_processors([one for one in every._processors if one is not processor])


class _Processor:
    """The SDK's names for what happens, in ours; together with its own base class it is a processor."""

    def __init__(self, reported: RunTracker) -> None:
        self._reported = reported

    @quietly
    def on_span_start(self, span: Any) -> None:
        """Begin a query, a call or a step."""
        kind = _KINDS.get(span.span_data.type, "step")
        name = str(getattr(span.span_data, "model" if kind == "llm" else "name", None) or "")
        asked = _asked(_asking.get()) if kind == "task" else ""
        self._reported.begin(
            span.span_id, span.parent_id, kind, name, label=name, user_input=asked, entered=kind != "step"
        )

    @quietly
    def on_span_end(self, span: Any) -> None:
        """End it, with what it knows by now."""
        data = span.span_data
        response = getattr(data, "response", None)
        self._reported.end(
            span.span_id,
            self._reported.raised(span.span_id) or _failure(span),
            tokens=_tokens(getattr(data, "usage", None), getattr(response, "usage", None)),
            model=getattr(response, "model", None) or getattr(data, "model", None),
            user_input=_asked(getattr(data, "input", None)) if _KINDS.get(data.type) == "llm" else "",
            result=_said(response, getattr(data, "output", None)) if _KINDS.get(data.type) == "llm" else None,
        )

    def on_trace_start(self, trace: Any) -> None:
        """Leave it: a trace may hold several runs, and each is a query."""

    def on_trace_end(self, trace: Any) -> None:
        """Leave it."""

    def shutdown(self) -> None:
        """Leave it: records are written by the collector."""

    def force_flush(self) -> None:
        """Leave it."""


def _failure(span: Any) -> Failure | None:
    error = span.error
    if not error:
        return None
    data = error.get("data")
    message = data.get("error") if isinstance(data, Mapping) else None
    kind = "ToolError" if span.span_data.type == "function" else "AgentError"
    return Failure(kind, str(message or error.get("message") or ""))


def _tokens(usage: Any, of_response: Any) -> Tokens | None:
    found = usage_in(usage if isinstance(usage, Mapping) else of_response)
    return None if found is None else Tokens(*found)


def _asked(asked: Any) -> str:
    return question_in(asked) if isinstance(asked, (str, list, tuple)) else ""


def _said(response: Any, output: Any) -> str | None:
    """The text that a model answered with, if it is one."""
    text = getattr(response, "output_text", None)
    if text is None and isinstance(output, (list, tuple)) and output and isinstance(output[-1], Mapping):
        text = output[-1].get("content")
    return text if isinstance(text, str) and text else None
