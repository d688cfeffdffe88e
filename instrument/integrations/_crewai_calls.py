"""CrewAI's tool calls: one for each that a model asks for, however often CrewAI tries it or the tool's body runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any

from instrument.collecting.collector import collector
from instrument.recording.failures import seen_before
from instrument.recording.runners import ident
from instrument.recording.scope import Scope, enter, leave, remember
from instrument.recording.slow_path import Site
from instrument.rows.live import LiveCall, LiveQuery
from instrument.spans import tool_span

RETRIES = "tool_retries"
FROM_CACHE = "tool_results_from_cache"

current_tool: ContextVar[AskedTool | None] = ContextVar("instrument_crewai_tool", default=None)
"""The call at hand, for what the event bus has to say of it."""


Asked = tuple[str, Any]
"""What a model asks for: a tool's name, and the tool, None where that is not clear yet."""

NO_TOOL = object()
UNKNOWN = "UnknownTool"


class AskedTool(tool_span):
    """A call from where a model asks for it to where the model is answered."""

    __slots__ = (
        "_find",
        "_inside",
        "_missing",
        "_ours",
        "_token",
        "_where",
        "attempts",
        "cached",
        "passed_on",
        "problem",
        "status",
    )

    def __init__(self, find: Callable[[Any, Any, Any], Asked], owner: Any, args: Any, kwargs: Any) -> None:
        super().__init__("")
        self._find = find
        self._where = (owner, args, kwargs)
        self._ours: Token[AskedTool | None] | None = None
        self._missing = False
        self._inside: Scope | None = None
        self._token: Token[Scope] | None = None
        self.attempts = 0
        self.cached = False
        self.problem: str | None = None
        self.passed_on = False
        self.status = "error"

    def _begin(self) -> None:
        (owner, args, kwargs), self._where = self._where, (None, None, None)
        self._name, tool = self._find(owner, args, kwargs)
        super()._begin()
        if self._opened is None:
            return
        self._missing = tool is NO_TOOL
        self._ours = current_tool.set(self)
        site, row = decorated(tool), self._opened.row
        if site is not None and row is not None:
            self._inside = _known_as(site, row, self._opened.call)
            self._token = enter(self._inside)

    def _end(self, error: BaseException | None) -> None:
        if self._opened is None:
            return
        if self._ours is not None:
            current_tool.reset(self._ours)
        call, row = self._opened.call, self._opened.row
        if self._inside is not None and self._token is not None:
            leave(self._inside, self._token)
        if self._missing:
            self.problem = UNKNOWN
        if self.problem is not None:
            call.status, call.error, call.passed_on = self.status, self.problem, self.passed_on
            if error is not None:  # what CrewAI makes of the problem: counted with it
                seen_before(error, self._opened.began)
        super()._end(error if self.problem is None else None)
        if self.attempts > 1:
            add_up(row, RETRIES, self.attempts - 1)
        if self.cached:
            add_up(row, FROM_CACHE)

    def answered(self, answer: Any) -> Any:
        """Note whether the model's answer was at hand; gives it back."""
        said = answer.get("from_cache") if isinstance(answer, dict) else getattr(answer, "from_cache", None)
        self.cached = self.cached or said is True
        return answer

    # -- what the event bus says -------------------------------------------------------------------------------

    def tried(self) -> None:
        """CrewAI tries it, for the first time or again."""
        self.attempts += 1
        self.problem, self.passed_on = None, False

    def failed(self, problem: str, error: Any = None) -> None:
        """This attempt failed; `error` is what the tool raised, where that is known."""
        self.problem = problem
        if isinstance(error, BaseException) and self._opened is not None:
            self.problem = type(error).__name__
            self.passed_on = seen_before(error, self._opened.began)


def add_up(row: LiveQuery | None, name: str, more: int = 1) -> None:
    """Add to a metric of a query, while it runs."""
    with collector.lock:
        if row is not None and row.scope is not None:
            metrics = {} if row.metrics is None else row.metrics.copy()
            metrics[name] = metrics.get(name, 0.0) + more
            row.metrics = metrics


# -- what is asked for -------------------------------------------------------------------------------------------------


def by_text(_: Any, args: Any, kwargs: Any) -> Asked:
    """A call that the ReAct loop has read out of the model's text."""
    action = kwargs["agent_action"] if "agent_action" in kwargs else args[0]
    name = _sanitised(str(action.tool))
    tools = kwargs["tools"] if "tools" in kwargs else args[1]
    tool = next((tool for tool in tools if tool.name == name or _sanitised(tool.name) == name), None)
    return name, getattr(tool, "_original_tool", None) or tool


def natively(executor: Any, args: Any, kwargs: Any) -> Asked:
    """A call in the form of the model's provider; older executors have taken it apart already."""
    name = kwargs.get("func_name")
    if name is None:
        name = _sanitised(_provided_name(kwargs["tool_call"] if "tool_call" in kwargs else args[0]))
    functions = kwargs.get("available_functions")
    function = (executor._available_functions if functions is None else functions).get(name, NO_TOOL)
    return name, getattr(function, "__self__", function)


def _provided_name(call: Any) -> str:
    """The tool's name as OpenAI, Gemini, Anthropic and Bedrock each put it."""
    if isinstance(call, dict):
        return str(call.get("function", call).get("name") or call.get("name") or "unknown")
    inner = getattr(call, "function", None) or getattr(call, "function_call", None) or call
    return str(getattr(inner, "name", "unknown"))


def by_model(_: Any, args: Any, kwargs: Any) -> Asked:
    """A call that a model's client answers by itself."""
    name = args[0] if args else kwargs["function_name"]
    functions = args[2] if len(args) > 2 else kwargs["available_functions"]
    return name, getattr(functions.get(name), "__self__", None)


@functools.lru_cache(512)
def _sanitised(name: str) -> str:
    """A tool's name as models know it: CrewAI's own function takes some µs."""
    return str(from_crewai("utilities.string_utils", "sanitize_tool_name")(name))


@functools.cache
def from_crewai(module: str, name: str) -> Any:
    """Something of CrewAI's, which the application has imported by now."""
    return getattr(import_module(f"crewai.{module}"), name)


# -- tools that are decorated themselves -------------------------------------------------------------------------------


def decorated(tool: Any) -> Site | None:
    """What `@track_tool` knows of a tool's own function, None for one without."""
    function: Any = getattr(tool, "func", None) or getattr(tool, "_run", None)
    site = getattr(function, "__instrument_site__", None)
    return site if isinstance(site, Site) and site.kind == "tool" else None


def _known_as(site: Site, row: LiveQuery, call: LiveCall) -> Scope:
    """A scope inside a call in which that function is not recorded again; what it calls is, in a list of its own."""
    me = ident()
    frame: Scope = [0, row.started, [], None, row, call, me, call, site]
    with collector.lock:
        if row.scope is not None:
            remember(row, frame)
    return frame
