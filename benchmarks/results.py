"""What a benchmark hands on: tables, checks against budgets, and the raw figures; no drawing."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

BUDGETS = Path(__file__).with_name("budgets.toml")


class Check(Struct, frozen=True):
    """A figure against its budget; `low` to `high` is its 95 % confidence interval where it has one."""

    name: str
    value: float
    budget: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether the figure, or the worse end of its interval, is within the budget."""
        if self.at_least:
            return (self.value if self.low is None else self.low) >= self.budget
        return (self.value if self.high is None else self.high) <= self.budget

    @property
    def verdict(self) -> str:
        """`held`, `broken`, or `not shown` when the interval lies on both sides of the budget."""
        if self.held:
            return "held"
        best = self.high if self.at_least else self.low
        undecided = best is not None and (best >= self.budget if self.at_least else best <= self.budget)
        return "not shown" if undecided else "broken"


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


def budgets(path: Path = BUDGETS) -> dict[str, Any]:
    """The promises, as `budgets.toml` has them."""
    return tomllib.loads(path.read_text("utf-8"))


def number(value: float, digits: int = 3) -> str:
    """A figure with so many significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    shown = f"{value:.{digits}g}"
    return f"{float(shown):,.0f}" if abs(value) >= 10 ** (digits - 1) or "e+" in shown else _plain(float(shown))


def _plain(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")
