"""Calls to models: around a block of code, and the one that is open.

    with model_span("small-1", provider="local") as call:
        answer = client.ask(prompt)
        call.record_tokens(812, 96, cached=512)

How to decorate a function that calls a model stands in `tracking.py` (`track_model`).
"""

from __future__ import annotations

from typing import Any

from instrument.collecting.collector import collector
from instrument.collecting.guard import guard
from instrument.recording.calls import innermost, open_call
from instrument.recording.model_usage import Usage, put
from instrument.recording.scope import clock
from instrument.redaction.rules import described
from instrument.rows.live import LiveFacts
from instrument.spans import _CallSpan, _count


class _OfModel:
    """What can be said of a call to a model while it is open."""

    __slots__ = ()
    _facts: LiveFacts | None

    @guard("record_tokens")
    def record_tokens(
        self, input: int, output: int, *, cached: int | None = None, reasoning: int | None = None
    ) -> None:
        """Say how many tokens the call took; said again, the last counts.

        `cached` are those of the input that a cache had, `reasoning` those of the output spent on reasoning.
        """
        usage = Usage(_count(input), _count(output), *(None if n is None else _count(n) for n in (cached, reasoning)))
        with collector.lock:
            if facts := self._open():
                put(facts, usage)

    @guard("record_model")
    def record_model(self, model: str, provider: str | None = None) -> None:
        """Say which model answered, and who serves it."""
        name, served = described(model), None if provider is None else described(provider)
        with collector.lock:
            if facts := self._open():
                facts.model, facts.provider = name or facts.model, served or facts.provider

    @guard("record_cost")
    def record_cost(self, usd: float) -> None:
        """Say what the call cost, in US dollars."""
        cost = float(usd)
        with collector.lock:
            if facts := self._open():
                facts.cost_usd = cost

    @guard("first_chunk")
    def first_chunk(self) -> None:
        """Say that the first part of the answer is there; only the first time counts."""
        with collector.lock:
            if (facts := self._open()) and facts.first_chunk is None:
                facts.first_chunk = clock() - facts.began

    @guard("record_content")
    def record_content(self, input: Any = None, output: Any = None) -> None:
        """Keep the texts of prompt and answer, where the setting `capture_model_content` says so."""
        if not collector.config.capture_model_content:
            return
        asked, answered = (None if text is None else described(text) for text in (input, output))
        with collector.lock:
            if facts := self._open():
                facts.input, facts.output = asked or facts.input, answered or facts.output

    def _open(self) -> LiveFacts | None:
        return None if self._facts is None or self._facts.ended else self._facts


class ModelCall(_OfModel):
    """An open call to a model. Without one, and after its end, everything is accepted and nothing happens."""

    __slots__ = ("_facts",)

    def __init__(self, facts: LiveFacts | None) -> None:
        self._facts = facts

    def __bool__(self) -> bool:
        return self._facts is not None


class model_span(_CallSpan, _OfModel):  # noqa: N801 - read as a function: `with model_span(…)`
    """A call to a model around a block of code; `name` is the model's, `provider` who serves it."""

    __slots__ = ("_facts", "_provider")
    _kind = "model"

    def __init__(self, name: str, *, provider: str | None = None) -> None:
        super().__init__(name)
        self._facts = None
        self._provider = provider

    def _begin(self) -> None:
        name = described(self._name)
        facts = LiveFacts(name or None, None if self._provider is None else described(self._provider))
        self._opened = open_call(self._kind, name, facts=facts)
        if self._opened is not None:
            self._facts = facts


def current_model_call() -> ModelCall:
    """Give the model call that is open, or an object that accepts everything and does nothing.

    It is open where nothing else, such as a tool, has begun inside it.
    """
    call = innermost()
    return ModelCall(None if call is None else call.facts)
