"""What a query's model calls add up to: tokens, cost and the model, wherever the query has no figure of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from instrument.rows.live import ModelFacts
from instrument.rows.stored import WITH_MODEL_CALLS, AnyQuery, CallRow, QueryRow

COST = "cost_usd"
"""The metric that says what a query cost, in US dollars: then its model calls' costs are not added up."""

_Number = TypeVar("_Number", int, float)


def total_up(row: QueryRow, beside: ModelFacts | None = None) -> None:
    """Give a query what its finished model calls add up to, wherever it has no figure of its own.

    `beside` is added to that. A model call directly inside another that has tokens itself is left out: they are the
    same tokens. A call that is not finished counts when it comes on a line of its own.
    """
    counted = [beside, *(call.facts for place, call in enumerate(row.calls) if _counts(row.calls, place))]
    facts = [each for each in counted if each is not None]
    if row.input_tokens is None and row.output_tokens is None:
        row.input_tokens = _summed(each.input_tokens for each in facts)
        row.output_tokens = _summed(each.output_tokens for each in facts)
        row.cached_tokens = _summed((row.cached_tokens, *(each.cached_tokens for each in facts)))
        row.reasoning_tokens = _summed((row.reasoning_tokens, *(each.reasoning_tokens for each in facts)))
    if row.cost_usd is None and COST not in (row.metrics or ()):
        row.cost_usd = _summed(each.cost_usd for each in facts)
    if row.model is None:
        row.model = next((each.model for each in reversed(facts) if each.model), None)
    own = (row.cached_tokens, row.reasoning_tokens, row.cost_usd)
    if own != (None, None, None) or any(call.facts is not None for call in row.calls):
        row.version = WITH_MODEL_CALLS


def add_late(row: AnyQuery, facts: ModelFacts | None) -> None:
    """Add to a query's totals what a model call used that ended after it."""
    if facts is None:
        return
    row.input_tokens = _summed((row.input_tokens, facts.input_tokens))
    row.output_tokens = _summed((row.output_tokens, facts.output_tokens))
    row.cached_tokens = _summed((row.cached_tokens, facts.cached_tokens))
    row.reasoning_tokens = _summed((row.reasoning_tokens, facts.reasoning_tokens))
    if facts.cost_usd is not None:
        row.cost_usd = facts.cost_usd + (cost_of(row) or 0)


def cost_of(row: AnyQuery) -> float | None:
    """What a query cost in US dollars: its own figure, else that of its metric."""
    return (row.metrics or {}).get(COST) if row.cost_usd is None else row.cost_usd


def _counts(calls: Sequence[CallRow], place: int) -> bool:
    """Whether what a call says of its model adds to its query's totals."""
    call = calls[place]
    if call.facts is None or call.duration is None:
        return False
    around, steps = call.parent, len(calls)
    while around is not None and 0 <= around < len(calls) and calls[around].kind == "model" and steps:
        facts = calls[around].facts
        if facts is not None and (facts.input_tokens, facts.output_tokens) != (None, None):
            return False
        around, steps = calls[around].parent, steps - 1
    return True


def _summed(values: Iterable[_Number | None]) -> _Number | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
