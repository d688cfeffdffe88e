"""Agents, tools, operations and models, a row each, with how their durations are distributed on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from instrument.analysis.groups import costs
from instrument.analysis.measures import Measure, counting, known, measures
from instrument.analysis.timeline import CALLS, ROOTS
from instrument.store.tables import Tables

Kind = Literal["agent", "tool", "operation", "model"]

FINENESS = 8
"""Columns of a distribution to a power of ten."""

OUTSIDE = 0.0005
"""The share of all durations that may lie beyond each end of the axis; they are counted in its last column."""


class Changes(Struct, frozen=True):
    """How a row differs from the period before: shares of what was, and points of the failure rate; None if unknown."""

    p50: float | None
    p95: float | None
    failure_rate: float | None


class Row(Struct, frozen=True, kw_only=True):
    """One agent, tool, operation or model.

    `spread[p]` counts durations from `bounds_ms[p]` up to `bounds_ms[p + 1]` of the table, its ends what lies beyond.
    `busy_ms` is the time spent altogether, `share` that of all rows together. Tokens and cost are None where calls of
    that kind have none.
    """

    name: str
    count: float
    failed: float
    cancelled: float
    failure_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    busy_ms: float
    share: float
    tokens: float | None
    cost_usd: float | None
    spread: list[float]

    @property
    def cost_each(self) -> float | None:
        """The cost of one of them."""
        return self.cost_usd / self.count if self.cost_usd is not None and self.count else None

    def against(self, before: Row | None) -> Changes:
        """How it differs from the row of the same name in an earlier period."""
        if before is None:
            return Changes(None, None, None)
        known = self.failure_rate is not None and before.failure_rate is not None
        return Changes(
            _change(self.p50_ms, before.p50_ms),
            _change(self.p95_ms, before.p95_ms),
            (self.failure_rate or 0.0) - (before.failure_rate or 0.0) if known else None,
        )


class SideBySide(Struct, frozen=True):
    """Rows by the time spent, the most first; `bounds_ms` belongs to their `spread`."""

    kind: Kind
    bounds_ms: list[float]
    rows: list[Row]


_MODELS = """(
    SELECT coalesce(model, name) AS grouped, duration_ns, status, success, weight, input_tokens, output_tokens, cost_usd
    FROM calls WHERE kind = 'model'
    UNION ALL
    SELECT model, duration_ns, status, success, weight, input_tokens, output_tokens, cost_usd
    FROM queries WHERE model IS NOT NULL AND model_calls = 0) WHERE true"""

_SOURCES: dict[Kind, tuple[str, str]] = {
    "agent": (ROOTS, "agent_type"),
    "tool": ("calls WHERE kind = 'tool'", "name"),
    "operation": ("calls WHERE kind = 'graphql'", "name"),
    "model": (_MODELS, "grouped"),
}

_KINDS_OF_CALLS: dict[Kind, str] = {"tool": "tool", "operation": "graphql"}

SHARES = (0.5, 0.95)
"""The percentiles of a row."""


def side_by_side(tables: Tables, kind: Kind, *, spread: bool = True) -> SideBySide:
    """Work out the rows of one kind; without `spread` no distributions, for what is only compared with."""
    source, name = _SOURCES[kind]
    more: tuple[str, ...] = costs(tables) if kind in ("agent", "model") else ()
    found = _known_calls(tables, kind) or measures(tables, source, (name,), SHARES, {}, more)
    bounds, spreads = _spreads(tables, source, name) if spread else ([], {})
    everything = sum(one.total_ms for one in found.values()) or 1.0
    rows = [_row(str(key or "(none)"), one, everything, spreads.get(key, [])) for (key,), one in found.items()]
    return SideBySide(kind, bounds, sorted(rows, key=lambda row: (-row.busy_ms, -row.count, row.name)))


def _known_calls(tables: Tables, kind: Kind) -> dict[tuple[Any, ...], Measure]:
    """The calls of a kind by name, where all calls were measured already; else nothing."""
    calls = known(tables, CALLS, ("kind", "name"), SHARES) if kind in _KINDS_OF_CALLS else None
    return {(name,): one for (of, name), one in (calls or {}).items() if of == _KINDS_OF_CALLS[kind]}


def _change(now: float | None, before: float | None) -> float | None:
    return now / before - 1 if now is not None and before else None


def _row(name: str, one: Measure, everything: float, spread: list[float]) -> Row:
    more = one.more
    rate = one.success_rate
    at: list[float | None] = [*one.percentiles_ms] or [None, None]
    return Row(
        name=name,
        count=one.count,
        failed=one.failed,
        cancelled=one.cancelled,
        failure_rate=None if rate is None else 1 - rate,
        p50_ms=at[0],
        p95_ms=at[1],
        busy_ms=one.total_ms,
        share=one.total_ms / everything,
        tokens=more[0] + more[1] if more else None,
        cost_usd=more[2] if more else None,
        spread=spread,
    )


def _spreads(tables: Tables, source: str, name: str) -> tuple[list[float], dict[str, list[float]]]:
    counted = tables.rows(
        f"""SELECT {name}, floor(log10(greatest(duration_ns, 1)) * {FINENESS})::INTEGER AS place, {counting(tables)}
        FROM {source} AND duration_ns IS NOT NULL GROUP BY ALL"""
    )
    if not counted:
        return [], {}
    lowest, highest = _ends(counted)
    spreads: dict[str, list[float]] = {}
    for group, place, number in counted:
        columns = spreads.setdefault(group, [0.0] * (highest - lowest + 1))
        columns[min(max(place, lowest), highest) - lowest] += number
    return [10.0 ** (place / FINENESS - 6) for place in range(lowest, highest + 2)], spreads


def _ends(counted: Sequence[tuple[str, int, float]]) -> tuple[int, int]:
    """The first and the last column: a few durations far from all others do not stretch the axis."""
    numbers: dict[int, float] = {}
    for _, place, number in counted:
        numbers[place] = numbers.get(place, 0.0) + number
    few = sum(numbers.values()) * OUTSIDE
    lowest, highest = (_reached(sorted(numbers, reverse=is_high), numbers, few) for is_high in (False, True))
    if highest - lowest < FINENESS:  # a whole power of ten at least, so that the axis has a mark
        return lowest // FINENESS * FINENESS, (highest // FINENESS + 1) * FINENESS - 1
    return lowest, highest


def _reached(places: list[int], numbers: dict[int, float], few: float) -> int:
    """The first place up to which more than a few lie."""
    passed = 0.0
    for place in places:
        passed += numbers[place]
        if passed > few:
            return place
    return places[-1]
