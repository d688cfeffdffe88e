"""What a model's answer says of itself: which model it was, and the tokens that it took.

Answers are looked at, never changed. Known are the shapes of OpenAI's two APIs, of Anthropic's, and of what speaks like
them: objects or dicts with `usage`, and the events of their streams. Whatever else an answer is, it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from instrument.rows.live import ModelFacts


class Usage(NamedTuple):
    """Tokens of a model call; None where nobody counted them.

    `cached` are those of the input that a cache had, `reasoning` those of the output that were spent on reasoning.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


NOTHING = Usage()
_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_APART = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""What Anthropic counts beside the input; everybody else counts it in."""
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("input_token_details", "cache_read"),
)
_REASONING = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("output_token_details", "reasoning"),
)
_ENVELOPES = ("message", "response")
"""Where an event of a stream has the answer as far as it is known, with its usage."""


def usage_in(usage: Any) -> Usage | None:
    """Read counts of tokens, an object or a mapping; None if it has none."""
    given = _first(usage, *_INPUT)
    if _first(usage, "prompt_tokens") is None:
        apart = [count for name in _APART if (count := _first(usage, name)) is not None]
        given = sum(apart, given) if given is not None else None
    found = Usage(
        given, _first(usage, *_OUTPUT), _nested(usage, _CACHED, "cache_read_input_tokens"), _nested(usage, _REASONING)
    )
    return None if found == NOTHING else found


def usage_of(answer: Any) -> Usage | None:
    """Read the counts that an answer, or an event of a stream, has with it."""
    usage = read(answer, "usage")
    if usage is not None:
        return usage_in(usage)
    for name in _ENVELOPES:
        inner = read(answer, name)
        if inner is not None and (usage := read(inner, "usage")) is not None:
            return usage_in(usage)
    return None


def model_of(answer: Any) -> str | None:
    """Name the model that answered."""
    for holder in (answer, *(read(answer, name) for name in _ENVELOPES)):
        model = read(holder, "model")
        if isinstance(model, str) and model:
            return model
    return None


class Answer:
    """What has been seen of an answer, all at once or chunk by chunk; counts in a stream are totals so far."""

    __slots__ = ("model", "usage")

    def __init__(self) -> None:
        self.usage = NOTHING
        self.model: str | None = None

    def see(self, part: Any) -> None:
        """Look at an answer or at one chunk of it."""
        if part is None or isinstance(part, (str, bytes, int, float, list, tuple)):
            return
        self.model = self.model or model_of(part)
        usage = usage_of(part)
        if usage is not None:
            self.usage = Usage(*(new if new is not None else old for new, old in zip(usage, self.usage, strict=True)))

    def give(self, facts: ModelFacts) -> None:
        """Fill in what a call does not know yet; the model that answered counts before the one that was asked."""
        facts.model = self.model or facts.model
        fill(facts, self.usage)


def fill(facts: ModelFacts, usage: Usage) -> None:
    """Give a call counts of tokens, unless it has some."""
    if facts.input_tokens is None and facts.output_tokens is None:
        put(facts, usage)


def put(facts: ModelFacts, usage: Usage) -> None:
    """Give a call counts of tokens, instead of those it has."""
    facts.input_tokens, facts.output_tokens, facts.cached_tokens, facts.reasoning_tokens = usage


def add(facts: ModelFacts, usage: Usage) -> None:
    """Add to the tokens of a call."""
    known = (facts.input_tokens, facts.output_tokens, facts.cached_tokens, facts.reasoning_tokens)
    put(facts, Usage(*(new if old is None else old + (new or 0) for old, new in zip(known, usage, strict=True))))


def text_of(answer: Any) -> str:
    """The text in an answer, or in one chunk of it."""
    for choice in _list(answer, "choices")[:1]:
        return _plain(read(read(choice, "message") or read(choice, "delta"), "content")) or _plain(read(choice, "text"))
    delta = read(answer, "delta")
    if delta is not None:
        return _plain(delta) or _plain(read(delta, "text"))
    blocks = [*_list(answer, "content"), *(part for one in _list(answer, "output") for part in _list(one, "content"))]
    return "".join(_plain(read(block, "text")) for block in blocks)


def _list(value: Any, name: str) -> list[Any]:
    found = read(value, name)
    return found if isinstance(found, list) else []


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def read(value: Any, name: str) -> Any:
    """An item of a mapping or an attribute of an object; None where there is none, or reading it fails."""
    try:
        return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a foreign object's attributes may raise anything: then it says nothing
        return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**62 else None


def _first(usage: Any, *names: str) -> int | None:
    return next((count for name in names if (count := _count(read(usage, name))) is not None), None)


def _nested(usage: Any, paths: tuple[tuple[str, str], ...], *plain: str) -> int | None:
    for holder, name in paths:
        if (count := _count(read(read(usage, holder), name))) is not None:
            return count
    return _first(usage, *plain)
