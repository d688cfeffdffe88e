"""What a benchmark hands on: tables, checks against budgets, and the raw figures; no drawing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from benchmarks.progress import say

BUDGETS = Path(__file__).with_name("budgets.toml")

TRIES = (1, 2, 4)
"""How often a figure is measured before a run fails over it, and how many times as long each time."""


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """What is promised of a figure (`budget`) and what is aimed at (`goal`); both from above, or from below."""

    budget: float
    goal: float
    at_least: bool = False

    def kept(self, worst: float, bound: float) -> bool:
        """Whether a figure's worse end is on the right side of a bound."""
        return worst >= bound if self.at_least else worst <= bound


NONE = Limit(0, 0)
"""The limit of what must not happen at all."""


class Check(Struct, frozen=True):
    """A figure against its limit; `low` to `high` is its 95 % confidence interval where it has one."""

    name: str
    value: float
    limit: Limit
    unit: str = ""
    low: float | None = None
    high: float | None = None
    disturbed: str = ""
    """Why the figure says nothing here, and so is not held against its budget."""

    @property
    def worst(self) -> float:
        """The figure, or the worse end of its interval."""
        end = self.low if self.limit.at_least else self.high
        return self.value if end is None else end

    @property
    def best(self) -> float:
        """The figure, or the better end of its interval."""
        end = self.high if self.limit.at_least else self.low
        return self.value if end is None else end

    @property
    def held(self) -> bool:
        """Whether the budget is kept, or the figure says nothing."""
        return bool(self.disturbed) or self.kept

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.limit.kept(self.worst, self.limit.budget)

    @property
    def verdict(self) -> str:
        """`held`, `broken`, or `not shown` when the interval lies on both sides of the budget; these two fail.

        `disturbed` is a figure over its budget that says nothing of it.
        """
        if self.kept:
            return "held"
        if self.disturbed:
            return "disturbed"
        return "not shown" if self.limit.kept(self.best, self.limit.budget) else "broken"

    @property
    def ambition(self) -> str:
        """Whether the goal is `met` or `missed`, by the same end of the interval."""
        return "met" if self.limit.kept(self.worst, self.limit.goal) else "missed"


T = TypeVar("T")


def measured_again(measure: Callable[[int], T], checks: Callable[[T], Iterable[Check]]) -> T:
    """Measure until every budget is kept, as often as `TRIES` allows; the last measurement is the one that counts.

    `measure` is told how many times as long as at first it may take. What must not happen at all is no matter of
    noise: once seen, it stands.
    """
    for longer in TRIES[:-1]:
        measured = measure(longer)
        broken = [check for check in checks(measured) if not check.held]
        if not broken or any(check.limit == NONE for check in broken):
            return measured
        say(f"measured anew: {', '.join(check.name for check in broken)}")
    return measure(TRIES[-1])


C = TypeVar("C")


def measured_in_passes(
    cases: Sequence[C], measure: Callable[[C, int], T], checks: Callable[[T], Iterable[Check]]
) -> list[T]:
    """Measure all cases, then those anew that did not keep every budget, as often as `TRIES` allows.

    So a case is measured again when all others have been: the bad minutes of a machine may be over by then. Otherwise
    as `measured_again`.
    """
    measured = [measure(case, TRIES[0]) for case in cases]
    for longer in TRIES[1:]:
        for place, case in enumerate(cases):
            broken = [check for check in checks(measured[place]) if not check.held]
            if broken and not any(check.limit == NONE for check in broken):
                say(f"measured anew: {', '.join(check.name for check in broken)}")
                measured[place] = measure(case, longer)
    return measured


class Table(Struct, frozen=True):
    """Rows of text; what stands under it is in `notes`."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


class Section(Struct, frozen=True):
    """The result of one benchmark; `figures` is for programs."""

    name: str
    tables: list[Table]
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def limit(*path: str, file: Path = BUDGETS) -> Limit:
    """A figure's limit, by the keys that lead to it in `budgets.toml`; raises KeyError where there is none."""
    found: Any = budgets(file)
    for key in path:
        found = found[key]
    return msgspec.convert(found, Limit)


def budgets(file: Path = BUDGETS) -> dict[str, Any]:
    """All limits, as `budgets.toml` has them."""
    return tomllib.loads(file.read_text("utf-8"))


def number(value: float, digits: int = 3) -> str:
    """A figure with so many significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    shown = f"{value:.{digits}g}"
    return f"{float(shown):,.0f}" if abs(value) >= 10 ** (digits - 1) or "e+" in shown else _plain(float(shown))


def _plain(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")
