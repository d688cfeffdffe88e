"""Crews whose model follows a script, so that they run offline and do the same every time."""

from __future__ import annotations

import json
from typing import Any

from crewai import Agent, BaseLLM, Crew, Task
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import llm_call_context

MODEL = "scripted-1"
INPUT_TOKENS, OUTPUT_TOKENS = 10, 5
"""Of each call of the model."""

Calls = list[tuple[str, dict[str, Any]]]


class ScriptedLLM(BaseLLM):
    """Answers with one step of its script after another: calls of tools, the answer as text, or an error to raise.

    Where it is in the script, the conversation says: it holds no state, and any number of crews may share it.
    """

    script: list[Any]
    native: bool = False

    def supports_function_calling(self) -> bool:
        return self.native

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        turn = sum(message["role"] == "assistant" for message in messages)
        step = self.script[min(turn, len(self.script) - 1)]
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, from_task=from_task, from_agent=from_agent)
            if isinstance(step, Exception):
                raise step
            answer = self._said(step)
            kind = LLMCallType.LLM_CALL if isinstance(answer, str) else LLMCallType.TOOL_CALL
            self._emit_call_completed_event(str(answer), kind, from_task, from_agent, messages, usage=usage)
        return answer

    def get_input_tokens_count(self, messages: Any, *args: Any) -> int:
        return INPUT_TOKENS

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def _said(self, step: str | Calls) -> Any:
        if isinstance(step, str):
            return step if self.native else f"Thought: I now know the final answer\nFinal Answer: {step}"
        if self.native:
            return [
                {"id": f"call_{place}", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for place, (name, arguments) in enumerate(step)
            ]
        ((name, arguments),) = step
        return f"Thought: I need it\nAction: {name}\nAction Input: {json.dumps(arguments)}"


def steps(calls: Calls, answer: str = "done") -> list[Any]:
    """A script of calls, one after another, and the answer."""
    return [*([call] for call in calls), answer]


def crew_of(
    script: list[Any],
    *tools: Any,
    native: bool = False,
    role: str = "Clerk",
    task: str = "find",
    about: str = "Find {what}",
    **options: Any,
) -> Crew:
    """A crew of one agent and one task."""
    model = ScriptedLLM(model=MODEL, script=script, native=native)
    clerk = Agent(role=role, goal="Find what is asked for", backstory="Years at the desk", tools=list(tools), llm=model)
    work = Task(name=task, description=about, expected_output="What was found", agent=clerk)
    return Crew(agents=[clerk], tasks=[work], **options)
