"""A model without a model: the agents' own rules answer, after a moment, for so many tokens at such a price."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple, TypeVar

from instrument import model_span

T = TypeVar("T")


class Model(NamedTuple):
    """A model's name, its price in US dollars per million tokens (in, out), and seconds per token that it answers."""

    name: str
    price_in: float
    price_out: float
    seconds_a_token: float


SMALL = Model("small-1", 0.25, 1.25, 0.00002)
LARGE = Model("large-1", 3.0, 15.0, 0.00005)

_PROVIDER = "scripted"
_INSTRUCTIONS = 900
"""Tokens that every prompt begins with; a provider keeps them in its cache."""
_CHARACTERS_A_TOKEN = 4
_FIRST_CHUNK_SECONDS = 0.001


def ask(model: Model, prompt: str, answer: T) -> T:
    """Ask a model; `answer` is what it will say."""
    with model_span(model.name, provider=_PROVIDER) as call:
        time.sleep(_FIRST_CHUNK_SECONDS)
        call.first_chunk()
        time.sleep(_account(call, model, prompt, answer))
    return answer


async def ask_async(model: Model, prompt: str, answer: T) -> T:
    """Ask a model while others are asked."""
    async with model_span(model.name, provider=_PROVIDER) as call:
        await asyncio.sleep(_FIRST_CHUNK_SECONDS)
        call.first_chunk()
        await asyncio.sleep(_account(call, model, prompt, answer))
    return answer


def _account(call: model_span, model: Model, prompt: str, answer: object) -> float:
    """Record tokens and cost; gives the seconds that the answer takes."""
    given, said = _INSTRUCTIONS + _tokens(prompt), _tokens(answer)
    call.record_tokens(given, said, cached=_INSTRUCTIONS)
    call.record_cost((given * model.price_in + said * model.price_out) / 1e6)
    call.record_content(prompt, answer)
    return said * model.seconds_a_token


def _tokens(text: object) -> int:
    return max(1, len(str(text)) // _CHARACTERS_A_TOKEN)
