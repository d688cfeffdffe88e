"""LangChain and LangGraph: the outermost chain or graph is a query, what its agents ask of tools are its calls.

One callback handler is given to every run there is, through LangChain's own hook for that. It is called in the context
of who tells of a begin, and, where that is asynchronous, in a copy of it for most ends.

What a tool or a node of a graph does is inside the query. The code of a runnable that is invoked on its own, without a
graph, is not (only its tools are): a stream would carry the query out to who reads it. A prompt, parser or model alone
is no query; a model's tokens go to the query that is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType
from typing import Any

from instrument.integrations._patches import Patches
from instrument.integrations._reported import RunTracker, quietly
from instrument.interchange.questions import question_in
from instrument.interchange.semconv import Failure, Tokens
from instrument.recording.model_usage import usage_in

_CLOSED = Failure("GeneratorExit", None)
_PARTS = ("prompt", "parser")
"""Types of chains that are no query by themselves."""


def hook_in(patches: Patches, context: ModuleType) -> None:
    """Have one handler of ours told of every run, whoever starts it."""
    base = import_module("langchain_core.callbacks.base").BaseCallbackHandler
    reported = RunTracker("langchain")
    handler = type("InstrumentCallbacks", (_Callbacks, base), {})(reported)
    everywhere: ContextVar[Any] = ContextVar("instrument_langchain", default=handler)
    context.register_configure_hook(everywhere, inheritable=True)
    patches.when_undone(lambda: _take_out(context, everywhere))
    patches.when_undone(reported.stop)


def _take_out(context: ModuleType, everywhere: ContextVar[Any]) -> None:
    hooks = context._configure_hooks  # no public way leads out
    hooks[:] = [hook for hook in hooks if hook[0] is not everywhere]


class _Callbacks:
    """LangChain's names for what happens, in ours; together with its own base class it is a handler."""

    run_inline = True
    raise_error = False
    # Properties of the base class, asked for at every event.
    ignore_agent = ignore_chain = ignore_chat_model = ignore_llm = ignore_retriever = False

    def __init__(self, reported: RunTracker) -> None:
        self._reported = reported

    @quietly
    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, **told: Any) -> None:
        """Begin a query, or a step of one."""
        parent, metadata = told.get("parent_run_id"), told.get("metadata") or {}
        name = str(told.get("name") or _name(serialized, "chain"))
        if parent is None:
            if told.get("run_type") not in _PARTS:
                self._begin(run_id, None, "agent", name, inputs)
        elif metadata.get("lc_agent_name") == name and metadata.get("langgraph_node") != name:
            self._begin(run_id, parent, "agent", name, inputs)
        else:
            self._reported.begin(run_id, parent, "step", name, entered="langgraph_node" in metadata)

    def _begin(self, run_id: Any, parent: Any, kind: Any, name: str, inputs: Any) -> None:
        question = _question(inputs)
        self._reported.begin(run_id, parent, kind, name, label="langchain", user_input=question, entered=False)

    @quietly
    def on_chain_end(self, outputs: Any, *, run_id: Any, **_: Any) -> None:
        """End a query or step."""
        self._reported.end(run_id, result=_answer(outputs))

    @quietly
    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: Any, **told: Any) -> None:
        """Begin a tool's call."""
        self._reported.begin(run_id, told.get("parent_run_id"), "tool", _name(serialized, told.get("name") or "tool"))

    @quietly
    def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        """End it; an answer that says it is an error was one."""
        failed = getattr(output, "status", None) == "error"
        self._reported.end(run_id, Failure("ToolException", str(output.content)) if failed else None)

    @quietly
    def on_retriever_start(self, serialized: Any, query: str, *, run_id: Any, **told: Any) -> None:
        """Begin a retriever's call: a tool like others."""
        name = str(told.get("name") or _name(serialized, "retriever"))
        self._reported.begin(run_id, told.get("parent_run_id"), "tool", name)

    @quietly
    def on_retriever_end(self, documents: Any, *, run_id: Any, **_: Any) -> None:
        """End it."""
        self._reported.end(run_id)

    @quietly
    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **told: Any) -> None:
        """Begin a model's turn."""
        about = told.get("metadata") or {}
        model, provider = about.get("ls_model_name") or "", about.get("ls_provider")
        self._reported.begin(run_id, told.get("parent_run_id"), "llm", str(model), provider=provider)

    on_llm_start = on_chat_model_start

    @quietly
    def on_llm_new_token(self, token: str, *, run_id: Any, **_: Any) -> None:
        """Note when the first part of its answer came."""
        self._reported.answers(run_id)

    @quietly
    def on_llm_end(self, response: Any, *, run_id: Any, **_: Any) -> None:
        """Count its tokens."""
        message = getattr(response.generations[0][0], "message", None) if response.generations else None
        details = getattr(message, "response_metadata", None) or {}
        model = details.get("model_name") or details.get("model")
        self._reported.end(run_id, tokens=_tokens(message, response.llm_output), model=model)

    @quietly
    def on_chain_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        """End what failed; a graph that waits for a human did not."""
        waits = any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__)
        self._reported.end(run_id, _CLOSED if waits else error)

    on_tool_error = on_retriever_error = on_llm_error = on_chain_error


def _name(serialized: Any, otherwise: str) -> str:
    known = serialized if isinstance(serialized, Mapping) else {}
    return str(known.get("name") or (known.get("id") or [otherwise])[-1])


def _question(inputs: Any) -> str:
    """The user's words: the last human message of what a graph or chain is given."""
    messages = inputs.get("messages") if isinstance(inputs, Mapping) else inputs
    for message in reversed(messages) if isinstance(messages, (list, tuple)) else ():
        if getattr(message, "type", None) == "human":
            return question_in(message.content)
        if isinstance(message, tuple) and len(message) == 2 and message[0] in ("human", "user"):
            return question_in(message[1])
    return question_in(inputs if isinstance(inputs, (str, Mapping, list, tuple)) else str(inputs))


def _answer(outputs: Any) -> Any:
    """What a graph or chain said in the end: its last message, where it keeps messages."""
    messages = outputs.get("messages") if isinstance(outputs, Mapping) else None
    last = messages[-1] if isinstance(messages, (list, tuple)) and messages else outputs
    return getattr(last, "content", last)


def _tokens(message: Any, output: Any) -> Tokens | None:
    usage = getattr(message, "usage_metadata", None)
    if not usage:
        usage = output.get("token_usage") if isinstance(output, Mapping) else None
    found = usage_in(usage) if isinstance(usage, Mapping) else None
    return None if found is None else Tokens(*found)
