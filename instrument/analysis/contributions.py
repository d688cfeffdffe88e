"""Where a difference between two stretches of time comes from: the agent, model, tool or attribute value behind it.

A mean changes because its parts change (rate), or because there are more of some parts (mix):

    Kitagawa, Components of a difference between two rates (1955): with s the share and m the mean of a part, its
    contribution is the change of s times (mean m - mean of all), and the change of m times the mean s.

A total changes part by part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from instrument.analysis.filters import names_of
from instrument.analysis.groups import NONE
from instrument.analysis.measures import FAILED
from instrument.rows.columns import literal
from instrument.store.tables import Tables

MOST_ATTRIBUTES, MOST_VALUES = 8, 50
"""Attributes that are looked at, and values that one may have."""

LEAST_SHARE = 0.3
"""A part that explains less of the difference is not named."""

How = Literal["rate", "mix", "volume"]

Stretch = tuple[int, int]
"""From a time up to but without another, in µs since 1970."""

Part = tuple[float, float]
"""How many there are of a part, and the sum of what is measured."""


class Source(Struct, frozen=True):
    """The part that a difference comes from most.

    `share` is how much of the difference it explains (1 is all of it; what other parts moved the other way counts
    against it). `how` is `rate` where the part itself changed,
    `mix` where there is more or less of it, `volume` for a part of a total.
    """

    by: str
    value: str
    share: float
    how: How

    @property
    def where(self) -> str:
        """The filter that picks its queries; empty for queries without a value."""
        name = self.by if self.by in ("agent", "model", "tool") else f"attribute:{self.by}"
        return f"{name}={'' if self.value == NONE else self.value}"


class Measured(Struct, frozen=True):
    """What a figure is made of, in SQL over queries or calls: a value a record, and which records have one."""

    value: str
    condition: str = "true"
    is_total: bool = False
    is_of_calls: bool = False


MEASURED: dict[str, Measured] = {
    "queries": Measured("1", is_total=True),
    "failed": Measured(f"({FAILED})::INT", is_total=True),
    "failure_rate": Measured(f"({FAILED})::INT", "status <> 'cancelled'"),
    **dict.fromkeys(("average", "p50", "p95", "p99"), Measured("duration_ms", "duration_ms IS NOT NULL")),
    **dict.fromkeys(("first_chunk", "first_chunk_p95"), Measured("first_chunk_ms", "first_chunk_ms IS NOT NULL")),
    "tokens": Measured("coalesce(input_tokens, 0) + coalesce(output_tokens, 0)", is_total=True),
    "cost": Measured("coalesce(cost_usd, 0)", is_total=True),
    "tool_calls": Measured("tool_calls", is_total=True),
    "model_calls": Measured("model_calls", is_total=True),
    "tool_failure_rate": Measured(f"({FAILED})::INT", "status <> 'cancelled' AND kind = 'tool'", is_of_calls=True),
}
"""The figures whose differences can be taken apart."""


def largest(tables: Tables, figure: str, before: Stretch, after: Stretch, *, rises: bool) -> Source | None:
    """The part that explains most of a figure's difference between two stretches; None where none stands out.

    `rises` is whether the figure rose when hours and weekdays are allowed for: where the plain sums say the opposite,
    nothing is explained.
    """
    measured = MEASURED.get(figure)
    if measured is None:
        return None
    found = [
        source
        for by, expression in _dimensions(tables, measured)
        if (source := _of(tables, measured, by, expression, before, after, rises)) is not None
    ]
    return max((one for one in found if one.share >= LEAST_SHARE), key=lambda one: one.share, default=None)


def _dimensions(tables: Tables, measured: Measured) -> Iterable[tuple[str, str]]:
    if measured.is_of_calls:
        yield "tool", "name"
        return
    yield "agent", "agent_type"
    yield "model", "model"
    for name in names_of(tables, "attributes")[:MOST_ATTRIBUTES]:
        yield name, f"attributes ->> {literal('/' + name.replace('~', '~0').replace('/', '~1'))}"


def _of(
    tables: Tables, measured: Measured, by: str, expression: str, before: Stretch, after: Stretch, rises: bool
) -> Source | None:
    sides = [_parts(tables, measured, expression, stretch) for stretch in (before, after)]
    names = sides[0].keys() | sides[1].keys()
    if not all(sides) or not 2 <= len(names) <= MOST_VALUES:
        return None
    if measured.is_total:
        factor = (after[1] - after[0]) / (before[1] - before[0])
        return _of_total(by, names, sides, factor, rises)
    return _of_mean(by, names, sides, rises)


def _parts(tables: Tables, measured: Measured, expression: str, stretch: Stretch) -> dict[str, Part]:
    source = "calls WHERE true" if measured.is_of_calls else "queries WHERE parent_id IS NULL"
    rows = tables.rows(
        f"""SELECT coalesce(({expression})::VARCHAR, '{NONE}'), sum(weight), sum(({measured.value}) * weight)
        FROM {source} AND {measured.condition} AND started_us >= {stretch[0]} AND started_us < {stretch[1]}
        GROUP BY ALL LIMIT {MOST_VALUES + 1}"""
    )
    return {name: (float(count), float(total or 0)) for name, count, total in rows}


def _of_total(by: str, names: Iterable[str], sides: list[dict[str, Part]], factor: float, rises: bool) -> Source | None:
    moved = {
        name: sides[1].get(name, (0.0, 0.0))[1] - factor * sides[0].get(name, (0.0, 0.0))[1] for name in sorted(names)
    }
    return _largest(by, {name: (each, "volume") for name, each in moved.items()}, rises)


def _of_mean(by: str, names: Iterable[str], sides: list[dict[str, Part]], rises: bool) -> Source | None:
    counts = [sum(count for count, _ in side.values()) for side in sides]
    means = [sum(total for _, total in side.values()) / count for side, count in zip(sides, counts, strict=True)]
    moved: dict[str, tuple[float, How]] = {}
    for name in sorted(names):
        mix, rate = _contribution([side.get(name, (0.0, 0.0)) for side in sides], counts, means)
        moved[name] = mix + rate, "rate" if abs(rate) >= abs(mix) else "mix"
    return _largest(by, moved, rises)


def _largest(by: str, moved: dict[str, tuple[float, How]], rises: bool) -> Source | None:
    """The part that moved furthest the way of the whole, with its share of all movements.

    Parts that take each other's place, such as two versions, move much and explain little.
    """
    whole, all_ = sum(each for each, _ in moved.values()), sum(abs(each) for each, _ in moved.values())
    if not whole or (whole > 0) != rises:
        return None
    name = max(moved, key=lambda one: moved[one][0] / whole)
    return Source(by, name, abs(moved[name][0]) / all_, moved[name][1])


def _contribution(part: list[Part], counts: list[float], means: list[float]) -> Part:
    """What a part adds to the difference of the means, by its share (mix) and by its own mean (rate)."""
    shares = [count / all_ for (count, _), all_ in zip(part, counts, strict=True)]
    known = [total / count if count else None for count, total in part]
    own = [known[0] if known[0] is not None else known[1], known[1] if known[1] is not None else known[0]]
    first, last = own[0] or 0.0, own[1] or 0.0
    mix = (shares[1] - shares[0]) * ((first + last) / 2 - (means[0] + means[1]) / 2)
    return mix, (last - first) * (shares[0] + shares[1]) / 2
