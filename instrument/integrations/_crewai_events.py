"""CrewAI's events: what of them belongs to the query and to the tool call in which they are emitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instrument.collecting.collector import collector
from instrument.collecting.guard import guard
from instrument.integrations import _crewai_models as model_calls
from instrument.integrations._crewai_calls import UNKNOWN, add_up, current_tool, from_crewai
from instrument.recording.model_usage import Usage
from instrument.recording.scope import query_here
from instrument.redaction.rules import described

LLM_CALLS = "llm_calls"

UNNAMED = "crew"
"""What CrewAI calls a crew that nobody has named."""

_MOST_CHARACTERS = 80
_MOST_NAMES = 50
_BETWEEN = "; "


def listen(wrapped: Any, bus: Any, args: Any, kwargs: Any) -> Any:
    """Take note of an event on its way to the bus."""
    with guard("crewai event"):
        event = kwargs["event"] if "event" in kwargs else args[1]
        note = _NOTES.get(type(event).__name__)
        if note is not None:
            note(event)
    return wrapped(*args, **kwargs)


# -- of the query ------------------------------------------------------------------------------------------------------


def _crew(event: Any) -> None:
    if event.crew_name != UNNAMED:
        _name("crews", event.crew_name)


def _task(event: Any) -> None:
    _name("tasks", event.task.name or event.task.description)


def _agent(event: Any) -> None:
    _name("agents", event.agent.role)


def _lone_agent(event: Any) -> None:
    _name("agents", event.agent_info["role"])


def _name(key: str, name: Any) -> None:
    """Add a name to those of the query, each once."""
    text = " ".join(described(name or "").split())[:_MOST_CHARACTERS]
    with collector.lock:
        row = query_here()
        known = [] if row is None or row.attributes is None else row.attributes.get(key, "").split(_BETWEEN)
        if row is not None and text and text not in known and len(known) < _MOST_NAMES:
            row.attributes = {**(row.attributes or {}), key: _BETWEEN.join(filter(None, [*known, text]))}


def _model_asked(event: Any) -> None:
    model_calls.begin(event.call_id, event.model)


def _model_chunk(event: Any) -> None:
    model_calls.first_chunk(event.call_id)


def _model_failed(event: Any) -> None:
    model_calls.end(event.call_id, None, failed=True)


def _model(event: Any) -> None:
    usage = from_crewai("types.usage_metrics", "UsageMetrics").from_provider_dict(event.usage)
    if usage is not None:
        tokens = Usage(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_prompt_tokens or None,
            usage.reasoning_tokens or None,
        )
        model_calls.end(event.call_id, tokens, model=event.model)
    elif event.call_type.value == "tool_call":
        return  # of a tool that the model's client ran
    else:
        model_calls.end(event.call_id, None, model=event.model)
    add_up(query_here(), LLM_CALLS)


# -- of the tool call --------------------------------------------------------------------------------------------------


def _tool_tried(event: Any) -> None:
    if tool := current_tool.get():
        tool.tried()


def _tool_failed(event: Any) -> None:
    if tool := current_tool.get():
        tool.failed("ToolError", event.error)


def _tool_finished(event: Any) -> None:
    if tool := current_tool.get():
        tool.cached = tool.cached or event.from_cache


def _tool_unknown(event: Any) -> None:
    if tool := current_tool.get():
        tool.failed(UNKNOWN)


def _tool_failure(event: Any) -> None:
    """The call as a whole failed; of what was raised, the attempt's own event has said more."""
    tool, reason = current_tool.get(), event.failure.reason.value
    if tool is not None and (tool.problem is None or reason not in ("exception", "invalid_input")):
        tool.failed("".join(word.title() for word in reason.split("_")))


def _hook(event: Any) -> None:
    tool = current_tool.get()
    if tool is not None and event.interception_point == "pre_tool_call" and event.outcome == "aborted":
        tool.failed("HookAborted")
        tool.status = "cancelled"


_NOTES: dict[str, Callable[[Any], None]] = {
    "CrewKickoffStartedEvent": _crew,
    "TaskStartedEvent": _task,
    "AgentExecutionStartedEvent": _agent,
    "LiteAgentExecutionStartedEvent": _lone_agent,
    "LLMCallStartedEvent": _model_asked,
    "LLMStreamChunkEvent": _model_chunk,
    "LLMCallFailedEvent": _model_failed,
    "LLMCallCompletedEvent": _model,
    "ToolUsageStartedEvent": _tool_tried,
    "ToolUsageErrorEvent": _tool_failed,
    "ToolUsageFinishedEvent": _tool_finished,
    "ToolSelectionErrorEvent": _tool_unknown,
    "ToolFailureDetectedEvent": _tool_failure,
    "HookDispatchedEvent": _hook,
}
