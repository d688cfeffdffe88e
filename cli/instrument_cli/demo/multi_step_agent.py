"""An agent for questions of several parts: it plans, asks for everything at once, and puts the findings together."""

from __future__ import annotations

import asyncio

from instrument import current_query, tool_span, track_query
from instrument_cli.demo.client import AsyncApi
from instrument_cli.demo.model import LARGE, ask_async
from instrument_cli.demo.steps import Findings, Steps, country_in


class MultiStepAgent:
    """Plans its steps by the words of the question and runs those that need nothing of each other side by side."""

    def __init__(self, api: AsyncApi) -> None:
        self._steps = Steps(api)

    @track_query(agent="multi_step")
    async def process_query(self, user_input: str) -> str:
        """Answer a question in some lines."""
        with tool_span("plan"):
            steps = await ask_async(LARGE, user_input, self._steps.planned(user_input))
        current_query().set_attributes(country=country_in(user_input), steps=len(steps))
        findings = await asyncio.gather(*(self._take(step, user_input) for step in steps))
        for step in self._steps.planned_last(user_input):
            findings.append(await self._take(step, user_input))
        with tool_span("compose_answer"):
            lines = "\n".join(line for part in findings for line in part)
            return await ask_async(LARGE, f"{user_input}\n{lines}", lines)

    async def _take(self, step: str, user_input: str) -> Findings:
        with tool_span(step):
            return await self._steps.take(step, user_input)
