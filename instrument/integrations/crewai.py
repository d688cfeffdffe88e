"""CrewAI: a kickoff is a query, and what its agents ask of tools are its calls.

No single place of CrewAI sees every call, so each way to a tool has a span around it: the ReAct loop's, the native one
(of an agent, and of a step of its plan), and that of a model which runs its tools itself. What becomes of a call, and
what the models used, the event bus says. It is listened to where events are emitted, in the thread and context of who
emits them: a handler on the bus would cost a thread pool's turn an event, and a tool hook one more event a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from instrument.collecting.collector import collector
from instrument.collecting.guard import guard
from instrument.integrations import _crewai_models as model_calls
from instrument.integrations._crewai_calls import AskedTool, by_model, by_text, natively
from instrument.integrations._crewai_events import UNNAMED, listen
from instrument.integrations._patches import Patches, Wrapper
from instrument.integrations._spans import agent_span
from instrument.redaction.rules import described

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Told = tuple[str, Any] | None
"""Whose query a run is, and what was asked; None for a run that is no query itself."""

Tell = Callable[[Any, Args, Kwargs], Told]


def hook_in(patches: Patches, crewai: ModuleType) -> None:
    """Record kickoffs of crews, flows and single agents, their tool calls, tokens and names."""
    patches.wrap(import_module("crewai.events.event_bus").CrewAIEventsBus, "emit", listen)
    patches.wrap(crewai.Crew, "kickoff", _query(_of_crew))
    patches.wrap(crewai.Crew, "akickoff", _async_query(_of_crew))
    patches.wrap(crewai.Crew, "replay", _query(_of_replay))
    patches.wrap(crewai.Flow, "kickoff_async", _async_query(_of_flow))
    patches.wrap(crewai.Flow, "resume_async", _async_query(_of_flow))
    patches.wrap(crewai.Agent, "kickoff", _query(_of_agent))
    patches.wrap(crewai.Agent, "kickoff_async", _async_query(_of_async_agent))
    for module, names, wrapper in _WAYS_TO_TOOLS:
        _wrap_if_there(patches, f"crewai.{module}", names, wrapper)


def _wrap_if_there(patches: Patches, module: str, names: str, wrapper: Wrapper) -> None:
    owner, _, name = names.rpartition(".")
    try:
        imported = import_module(module)
        patches.wrap(getattr(imported, owner) if owner else imported, name, wrapper)
    except ModuleNotFoundError:
        return  # versions have their executors in different places
    except (ImportError, AttributeError) as problem:
        collector.trouble(f"crewai's tools, where called by {names}", problem)


# -- queries -----------------------------------------------------------------------------------------------------------


class _Kickoff(agent_span):
    """The query of a run, as `tell` tells it."""

    __slots__ = ("_run", "_tell")

    def __init__(self, tell: Tell, runner: Any, args: Args, kwargs: Kwargs) -> None:
        super().__init__("")
        self._tell = tell
        self._run: tuple[Any, Args, Kwargs] = (runner, args, kwargs)

    def _begin(self) -> None:
        (runner, args, kwargs), self._run = self._run, (None, (), {})
        told = self._tell(runner, args, kwargs)
        if told is not None:
            self._agent, self._input = told
            self._name = type(runner).__name__
            super()._begin()

    def _end(self, error: BaseException | None) -> None:
        if self._opened is not None:
            model_calls.give_up(self._row, error)
        super()._end(error)

    def answered(self, output: Any) -> Any:
        """Note the answer's size where the query is this run's own; gives the answer back."""
        with guard("crewai answer"):
            if self._opened is not None:
                self.set_result(getattr(output, "raw", output))
        return output


def _query(tell: Tell) -> Wrapper:
    def run(wrapped: Any, runner: Any, args: Args, kwargs: Kwargs) -> Any:
        with _Kickoff(tell, runner, args, kwargs) as span:
            return span.answered(wrapped(*args, **kwargs))

    return run


def _async_query(tell: Tell) -> Wrapper:
    async def run(wrapped: Any, runner: Any, args: Args, kwargs: Kwargs) -> Any:
        with _Kickoff(tell, runner, args, kwargs) as span:
            return span.answered(await wrapped(*args, **kwargs))

    return run


def _of_crew(crew: Any, args: Args, kwargs: Kwargs) -> Told:
    if crew.stream:
        return None  # it gives a stream at once: what runs while that is read comes this way again
    name = crew.name if crew.name and crew.name != UNNAMED else "crewai"
    asked = _asked(args[0] if args else kwargs.get("inputs"))
    return name, asked or (crew.tasks[0].description if crew.tasks else "")


def _of_replay(crew: Any, args: Args, kwargs: Kwargs) -> Told:
    return _of_crew(crew, args[1:], kwargs)


def _of_flow(flow: Any, args: Args, kwargs: Kwargs) -> Told:
    if flow.stream or hasattr(flow, "_execute_single_native_tool_call"):
        return None  # a stream as above, or an agent's executor, which is a flow as well
    return flow.name or type(flow).__name__, _asked(args[0] if args else kwargs.get("inputs", kwargs.get("feedback")))


def _of_agent(agent: Any, args: Args, kwargs: Kwargs) -> Told:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _of_async_agent(agent, args, kwargs)
    return None  # it gives a coroutine of `kickoff_async`


def _of_async_agent(agent: Any, args: Args, kwargs: Kwargs) -> Told:
    messages = args[0] if args else kwargs.get("messages", "")
    return agent.role, messages[-1].get("content", "") if isinstance(messages, list) and messages else messages


def _asked(inputs: Any) -> Any:
    """The inputs as text: the value of the only one, else all of them."""
    if isinstance(inputs, dict) and len(inputs) == 1:
        inputs = next(iter(inputs.values()))
    return described(inputs) if inputs else ""


# -- calls -------------------------------------------------------------------------------------------------------------


def _asked_by_text(wrapped: Any, _: Any, args: Args, kwargs: Kwargs) -> Any:
    with AskedTool(by_text, None, args, kwargs) as span:
        return span.answered(wrapped(*args, **kwargs))


async def _asked_by_text_async(wrapped: Any, _: Any, args: Args, kwargs: Kwargs) -> Any:
    with AskedTool(by_text, None, args, kwargs) as span:
        return span.answered(await wrapped(*args, **kwargs))


def _asked_natively(wrapped: Any, executor: Any, args: Args, kwargs: Kwargs) -> Any:
    with AskedTool(natively, executor, args, kwargs) as span:
        return span.answered(wrapped(*args, **kwargs))


def _asked_by_model(wrapped: Any, _: Any, args: Args, kwargs: Kwargs) -> Any:
    with AskedTool(by_model, None, args, kwargs) as span:
        return span.answered(wrapped(*args, **kwargs))


_BY_TEXT = "execute_tool_and_check_finality"
_NATIVELY = "execute_single_native_tool_call"

# A function is wrapped in every module that has imported it by name.
_WAYS_TO_TOOLS: tuple[tuple[str, str, Wrapper], ...] = (
    ("agents.agent_executor", _BY_TEXT, _asked_by_text),
    ("agents.agent_executor", f"AgentExecutor._{_NATIVELY}", _asked_natively),
    ("agents.crew_agent_executor", _BY_TEXT, _asked_by_text),
    ("agents.crew_agent_executor", f"a{_BY_TEXT}", _asked_by_text_async),
    ("agents.crew_agent_executor", f"CrewAgentExecutor._{_NATIVELY}", _asked_natively),
    ("agents.step_executor", _BY_TEXT, _asked_by_text),
    ("agents.step_executor", _NATIVELY, _asked_natively),
    ("lite_agent", _BY_TEXT, _asked_by_text),
    ("lite_agent", "LiteAgent.kickoff", _query(_of_async_agent)),
    ("utilities.tool_utils", _BY_TEXT, _asked_by_text),
    ("utilities.tool_utils", f"a{_BY_TEXT}", _asked_by_text_async),
    ("utilities.agent_utils", _NATIVELY, _asked_natively),
    ("llms.base_llm", "BaseLLM._handle_tool_execution", _asked_by_model),
    ("experimental.agent_executor", _BY_TEXT, _asked_by_text),
    ("experimental.agent_executor", f"AgentExecutor._{_NATIVELY}", _asked_natively),
)
