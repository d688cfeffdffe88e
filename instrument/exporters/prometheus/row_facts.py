"""What a row says of outcomes, tokens and open calls: plain functions for the counting."""

from __future__ import annotations

import math

from msgspec import Struct

from instrument.exporters import names
from instrument.exporters.prometheus.families import Distribution, Sum
from instrument.rows.stored import CallRow, QueryRow, succeeded
from instrument.rows.totals import COST

_CANCELLED = "cancelled"


class OpenCall(Struct, array_like=True):
    """A call without an end: its place in its query, kind, name, error and what is known of its model."""

    place: int
    kind: str
    name: str
    error: str | None
    model: str | None
    provider: str | None


class Waiting(Struct, array_like=True):
    """A query with open calls: its agent (None inside another query), its weight, until when its calls are awaited."""

    agent: str | None
    is_nested: bool
    weight: float
    until: float
    calls: list[OpenCall]


class ModelCells:
    """Where the calls to one model count: first chunks, tokens in and out; None until there is one."""

    __slots__ = ("chunks", "gave", "given")

    def __init__(self) -> None:
        self.chunks: Distribution | None = None
        self.given: Distribution | None = None
        self.gave: Distribution | None = None


Usage = tuple[names.Metric, str, str]
NO_TOTALS = (None,) * 5
USAGE: tuple[Usage, ...] = (
    (names.TOKENS_USED, "input_tokens", names.INPUT),
    (names.TOKENS_USED, "output_tokens", names.OUTPUT),
    (names.CACHED_TOKENS, "cached_tokens", ""),
    (names.REASONING_TOKENS, "reasoning_tokens", ""),
    (names.COST, COST, ""),
)
"""The metric of each total of a query, the field that has it in rows of queries and of model calls, and its type."""


def count_call(cells: tuple[Sum, Distribution, Sum | None], weight: float) -> None:
    """Count a call, without its duration."""
    total, _, errors = cells
    total.value += weight
    if errors is not None:
        errors.value += weight


def outcome_of(status: str) -> str:
    """The outcome that a status stands for, as a report counts it."""
    if succeeded(status):
        return names.SUCCESSFUL
    return names.CANCELLED if status == _CANCELLED else names.FAILED


def model_of(call: CallRow) -> tuple[str | None, str | None]:
    """A call's model and provider, where they are known."""
    return (None, None) if call.facts is None else (call.facts.model, call.facts.provider)


def by_model(row: QueryRow, total: float, field: str) -> list[tuple[str | None, float]]:
    """A query's total by the models that its calls used; by its own model where the calls do not add up to it."""
    used: dict[str | None, float] = {}
    for call in row.calls:
        if call.facts is not None and call.duration is not None and (own := getattr(call.facts, field)):
            model = call.facts.model or call.name
            used[model] = used.get(model, 0) + own
    if len(used) < 2 or not math.isclose(sum(used.values()), total):
        return [(row.model or next(iter(used), None), total)]
    return list(used.items())


def serial_of(query_id: str) -> int:
    """The serial in an id that was derived; -1 for any other id."""
    try:
        return int(query_id.replace("-", ""), 16) & ((1 << 62) - 1)
    except ValueError:
        return -1


def cost_of(row: QueryRow) -> float | None:
    """What a query cost in US dollars, as a field or a metric."""
    return row.metrics.get(COST) if row.cost_usd is None and row.metrics else row.cost_usd


def is_number(value: object) -> bool:
    """Whether it can be added up."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
