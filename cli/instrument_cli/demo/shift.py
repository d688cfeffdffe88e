"""A shift at work: a phone desk of threads and a chat desk on an event loop, both asking the same agents at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from instrument import query_span
from instrument_cli.demo.client import Api, AsyncApi, connected, connected_async
from instrument_cli.demo.listing_agent import ListingAgent
from instrument_cli.demo.multi_step_agent import MultiStepAgent
from instrument_cli.demo.questions import Question
from instrument_cli.demo.selector import AgentSelector
from instrument_cli.demo.simple_agent import SimpleAgent

PHONES = 3
CHATS = 4

_PAGES_READ = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question: `error` is the type of what ended it, None when it was answered."""

    question: Question
    error: str | None


class Answering(Protocol):
    """An agent that answers on the event loop."""

    async def process_query(self, user_input: str) -> str:
        """Answer a question."""
        ...


MakeAnalyst = Callable[[AsyncApi], Answering]
"""Makes the agent for questions of several parts."""


class Desk:
    """The agents and how a question reaches them, from a thread (`call`) or on the event loop (`chat`)."""

    def __init__(self, api: Api, async_api: AsyncApi, multi_step: MakeAnalyst) -> None:
        self._selector = AgentSelector()
        self._simple = SimpleAgent(api)
        self._listing = ListingAgent(api)
        self._multi_step = multi_step(async_api)
        self._loop = asyncio.get_running_loop()

    def call(self, question: str) -> str:
        """Answer on the phone: the selection comes first and finds its query by itself."""
        match self._selector.select_agent(question).agent:
            case "simple":
                return self._simple.process_query(question)
            case "listing":
                return _read(self._listing.process_query(question))
            case _:
                answer = self._multi_step.process_query(question)
                return asyncio.run_coroutine_threadsafe(answer, self._loop).result()

    async def chat(self, question: str) -> str:
        """Answer in the chat: the query is open before it is known which agent takes it."""
        async with query_span(question, channel="chat"):
            match self._selector.select_agent(question).agent:
                case "simple":
                    return await asyncio.to_thread(self._simple.process_query, question)
                case "listing":
                    return await asyncio.to_thread(lambda: _read(self._listing.process_query(question)))
                case _:
                    return await self._multi_step.process_query(question)


def work(
    url: str, asked: list[Question], report: Callable[[Outcome], None], multi_step: MakeAnalyst = MultiStepAgent
) -> None:
    """Put the questions to the agents, every third by phone, and report each outcome as it comes.

    Ctrl-C cancels the chats, lets the calls at hand end, and is passed on.
    """
    with connected(url) as api, ThreadPoolExecutor(PHONES, "phone") as phones:
        asyncio.run(_until_interrupted(_staff(url, api, phones, asked, report, multi_step)))


async def _until_interrupted(staff: Coroutine[None, None, None]) -> None:
    try:
        await staff
    except asyncio.CancelledError:
        # How the questions at hand fail now is of no interest; the loop would print it.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        raise


async def _staff(
    url: str,
    api: Api,
    phones: ThreadPoolExecutor,
    asked: list[Question],
    report: Callable[[Outcome], None],
    multi_step: MakeAnalyst,
) -> None:
    loop = asyncio.get_running_loop()
    by_phone = iter(asked[::3])
    by_chat = (question for place, question in enumerate(asked) if place % 3)
    async with connected_async(url) as async_api, asyncio.TaskGroup() as workers:
        desk = Desk(api, async_api, multi_step)

        async def take(questions: Iterator[Question], answer: Callable[[str], Awaitable[str]]) -> None:
            for question in questions:
                report(Outcome(question, await _error(answer(question.text))))

        for _ in range(PHONES):
            workers.create_task(take(by_phone, lambda text: loop.run_in_executor(phones, desk.call, text)))
        for _ in range(CHATS):
            workers.create_task(take(by_chat, desk.chat))


async def _error(answer: Awaitable[str]) -> str | None:
    try:
        await answer
    except Exception as error:  # noqa: BLE001 - whatever an agent raises is what became of the question
        return type(error).__name__
    return None


def _read(pages: Iterator[str]) -> str:
    """Read a list as people do: the first pages, then they have seen enough."""
    return "".join(islice(pages, _PAGES_READ))
