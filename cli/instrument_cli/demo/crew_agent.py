"""The same agent as a crew of CrewAI, offline: its model plans by the words of the question, as a script would.

Nothing here is decorated, begun or ended: `instrument.install("crewai")` records it. Importing CrewAI takes some
seconds, so only a demo that finds it installed imports this.
"""

from __future__ import annotations

import asyncio
import json
import os
from importlib import import_module
from typing import Any

from instrument_cli.demo.client import AsyncApi
from instrument_cli.demo.steps import Steps

# Before CrewAI is imported: it is to ask nothing of the network, which would keep the demo from ending for 12 s.
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_DISABLE_TRACKING="true",
    CREWAI_TRACING_ENABLED="false",
    CREWAI_DISABLE_VERSION_CHECK="true",
    CREWAI_TESTING="true",  # or it asks on the terminal whether it may trace
)

crewai: Any = import_module("crewai")
BaseTool: Any = import_module("crewai.tools").BaseTool
_models: Any = import_module("crewai.llms.base_llm")
_LLM_CALL: Any = import_module("crewai.events.types.llm_events").LLMCallType.LLM_CALL

_CHARACTERS_A_TOKEN = 4


class CrewAgent:
    """A crew of one clerk a question, who may take every step."""

    def __init__(self, api: AsyncApi) -> None:
        self._steps = Steps(api)
        self._loop = asyncio.get_running_loop()

    async def process_query(self, user_input: str) -> str:
        """Answer a question in some lines."""
        output = await self._crew(user_input).kickoff_async(inputs={"question": user_input})
        return str(output.raw)

    def _crew(self, user_input: str) -> Any:
        tools = [
            StepTool(name=name, steps=self._steps, question=user_input, loop=self._loop) for name in self._steps.names()
        ]
        model = PlanningModel(model="rules", question=user_input, steps=self._steps)
        clerk = crewai.Agent(
            role="Analyst", goal="Answer with figures", backstory="Knows the books by heart", tools=tools, llm=model
        )
        work = crewai.Task(name="answer", description="{question}", expected_output="A line a finding", agent=clerk)
        return crewai.Crew(name="multi_step", agents=[clerk], tasks=[work])


class StepTool(BaseTool):  # type: ignore[misc]
    """A step of the analysis, for one question."""

    description: str = "Find what its name says"
    tool_failure_policy: Any = "raise"  # it ends the crew's run, and so the query
    steps: Any
    question: str
    loop: Any

    def _run(self) -> str:
        findings, error = asyncio.run_coroutine_threadsafe(self._taken(), self.loop).result()
        if error is not None:
            raise error
        return "\n".join(findings)

    async def _taken(self) -> tuple[list[str], Exception | None]:
        # A future between threads would raise another TimeoutError than the step did, counted as one more.
        try:
            return await self.steps.take(self.name, self.question), None
        except Exception as error:  # noqa: BLE001 - raised again, in the thread that waits for it
            return [], error


class PlanningModel(crewai.BaseLLM):  # type: ignore[misc]
    """A model without a model: it asks for the planned steps at once, then for the last ones, then sums up."""

    question: str
    steps: Any

    def supports_function_calling(self) -> bool:
        """Ask for tools in the form of a provider, so that they run side by side."""
        return True

    def get_input_tokens_count(self, messages: Any, *_: Any) -> int:
        """Count what a model would be asked, in tokens."""
        return len(str(messages)) // _CHARACTERS_A_TOKEN

    def call(self, messages: Any, tools: Any = None, *args: Any, **options: Any) -> Any:
        """Give the next calls, or the answer."""
        with _models.llm_call_context():
            self._emit_call_started_event(messages, tools)
            answer = self._next(messages)
            usage = {
                "prompt_tokens": self.get_input_tokens_count(messages),
                "completion_tokens": len(str(answer)) // _CHARACTERS_A_TOKEN,
            }
            self._emit_call_completed_event(str(answer), _LLM_CALL, messages=messages, usage=usage)
        return answer

    def _next(self, messages: Any) -> Any:
        found = [message for message in messages if message["role"] == "tool"]
        taken = {message["name"] for message in found}
        for stage in (self.steps.planned(self.question), self.steps.planned_last(self.question)):
            if steps := [step for step in stage if step not in taken]:
                return [{"id": step, "function": {"name": step, "arguments": json.dumps({})}} for step in steps]
        return "\n".join(message["content"] for message in found) or "There is nothing to be found."
