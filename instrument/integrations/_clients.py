"""What clients of models share: one request, from its call to the end of its answer or stream.

A request inside another model call, such as a framework's, is that very call: nothing is recorded for it, and what its
answer says is added to the call around it. Retries of the client's own belong to the request.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from instrument.collecting.collector import collector
from instrument.integrations._model_calls import enclosing_facts
from instrument.integrations._reported import quietly
from instrument.recording.calls import OpenCall, close_call, open_call
from instrument.recording.model_usage import NOTHING, Answer, add, fill, text_of
from instrument.recording.scope import clock, leave
from instrument.redaction.rules import described
from instrument.rows.live import LiveFacts

LARGEST_ANSWER = 4 << 20
"""An answer that only its bytes are known of is looked into up to this size."""


class Request:
    """A request to a model while it runs: a call of its own, `opened`, or part of the one that is open around it."""

    __slots__ = ("__weakref__", "_answer", "_asked", "_facts", "_said", "opened")

    def __init__(self, facts: LiveFacts, opened: OpenCall | None) -> None:
        self._facts = facts
        self._answer = Answer()
        self._said: list[str] | None = [] if keeps_texts() else None
        self._asked: Any = None
        self.opened = opened

    @quietly
    def ask(self, asked: Any) -> None:
        """Keep the prompt's text, where texts are kept."""
        if self._said is not None and asked is not None:
            self._asked = described(asked)

    @quietly
    def chunk(self, part: Any) -> None:
        """Look at one chunk of the answer."""
        if self._facts.first_chunk is None and not self._facts.ended:
            self._facts.first_chunk = clock() - self._facts.began
        self.see(part)

    @quietly
    def see(self, part: Any) -> None:
        """Look at the answer, or at a chunk of it."""
        self._answer.see(part)
        if self._said is not None and (text := text_of(part)):
            self._said.append(text)

    @quietly
    def see_bytes(self, response: Any) -> None:
        """Look at an answer of which the HTTP response is all there is, if it has been read."""
        content = getattr(response, "_content", None)
        if isinstance(content, bytes) and len(content) <= LARGEST_ANSWER:
            self.see(msgspec.json.decode(content))

    @quietly
    def cost(self, usd: Any) -> None:
        """Keep what it cost, where the client knows that."""
        if isinstance(usd, (int, float)) and usd == usd and not self._facts.ended:
            self._facts.cost_usd = (self._facts.cost_usd or 0.0) + float(usd)

    @quietly
    def serve(self, provider: Any) -> None:
        """Keep who serves the model, where only the answer says that."""
        if isinstance(provider, str) and not self._facts.ended:
            self._facts.provider = self._facts.provider or provider

    @quietly
    def streams(self) -> None:
        """Go on when the function has returned: what the application does between two chunks is not inside."""
        if self.opened is not None and self.opened.token is not None:
            leave(self.opened.frame, self.opened.token)
            self.opened.token = None

    @quietly
    def end(self, error: BaseException | None = None, status: str | None = None) -> None:
        """End it, once."""
        facts, usage = self._facts, self._answer.usage
        if facts.ended:
            return
        facts.model = self._answer.model or facts.model
        if self.opened is None:
            if usage != NOTHING:
                add(facts, usage)
            self._answer = Answer()
            return
        fill(facts, usage)
        facts.input = self._asked or facts.input
        facts.output = "".join(self._said or ()) or facts.output
        close_call(self.opened, error, status)


def begin(model: Any, provider: str | None, asked: Any = None) -> Request | None:
    """Begin a request; None where nothing is recorded."""
    try:
        around = enclosing_facts()
        if around is not None:
            return Request(around, None)
        name = described(model)
        facts = LiveFacts(name or None, provider)
        opened = open_call("model", name or "model", facts=facts)
        if opened is None:
            return None
        request = Request(facts, opened)
        request.ask(asked)
        return request
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("model request", problem)
        return None


def keeps_texts() -> bool:
    """Whether the texts of prompts and answers are kept."""
    return bool(collector.config.capture_model_content)


class Followed:
    """The requests whose answers are still streaming, by the object that streams. One that is dropped is closed."""

    def __init__(self) -> None:
        self._by_id: dict[int, Request] = {}

    def add(self, key: Any, request: Request) -> None:
        """Follow a stream until its end."""
        request.streams()
        number = id(key)
        self._by_id[number] = request
        weakref.finalize(key, self._dropped, number, request).atexit = False

    def get(self, key: Any) -> Request | None:
        """The request that an object streams the answer of."""
        return self._by_id.get(id(key))

    def _dropped(self, number: int, request: Request) -> None:
        if self._by_id.get(number) is request:
            del self._by_id[number]
        request.end(status="closed")


def follow(inner: Iterator[Any], find: Callable[[], Request | None]) -> Iterator[Any]:
    """The chunks of an answer, each looked at; `find` gives its request at the first one, None for another answer."""
    request = find() or _NOBODYS
    try:
        for chunk in inner:
            request.chunk(chunk)
            yield chunk
    except GeneratorExit:
        request.end(status="closed")
        raise
    except BaseException as error:
        request.end(error)
        raise
    else:
        request.end()
    finally:
        inner.close()  # type: ignore[attr-defined]


async def follow_async(inner: AsyncIterator[Any], find: Callable[[], Request | None]) -> AsyncIterator[Any]:
    """The same for an asynchronous answer."""
    request = find() or _NOBODYS
    try:
        async for chunk in inner:
            request.chunk(chunk)
            yield chunk
    except GeneratorExit:
        request.end(status="closed")
        raise
    except BaseException as error:
        request.end(error)
        raise
    else:
        request.end()
    finally:
        await inner.aclose()  # type: ignore[attr-defined]


class _Nobodys(Request):
    """Stands for the request of an answer that is no model's."""

    __slots__ = ()

    def __init__(self) -> None:
        self._facts = LiveFacts(ended=True)
        self._answer = Answer()
        self.opened = None

    def chunk(self, part: Any) -> None:
        """Leave it."""


_NOBODYS = _Nobodys()
