"""One panel of a dashboard: what it asks for, its unit, and how it is drawn."""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = "agent-instrument"
"""What the ids of everything begin with, and the tag that links the dashboards."""

Kind = Literal["stat", "lines", "stacked", "heat map", "ranking"]
"""A figure, lines over time, stacked areas, a heat map of buckets, or a bar for each group."""

Unit = Literal["short", "reqps", "percentunit", "s", "currencyUSD", "dateTimeFromNow", "cps"]
"""Units by the names that Grafana knows them by."""


class Target(NamedTuple):
    """A query of a panel, and how its series are named in the legend."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """A panel `width` (of 24) by `height`; a figure or a ranking looks at the end of the time alone.

    From the first limit on it is shown in orange, from the second in red; where less is worse, below them.
    """

    title: str
    description: str
    kind: Kind
    unit: Unit
    targets: tuple[Target, ...]
    width: int = 12
    height: int = 8
    limits: tuple[float, ...] = ()
    less_is_worse: bool = False

    @property
    def at_once(self) -> bool:
        """Whether it asks for one moment instead of a range."""
        return self.kind in ("stat", "ranking")


class Row(NamedTuple):
    """A heading over the panels that follow it."""

    title: str


class Dashboard(NamedTuple):
    """A dashboard: its file's name and id, its title, what it is for, its variables, and what it shows.

    `one` is the variable that has a single value.
    """

    name: str
    title: str
    description: str
    variables: tuple[str, ...]
    parts: tuple[Panel | Row, ...]
    one: str = ""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels without the headings."""
        return tuple(part for part in self.parts if isinstance(part, Panel))


def figure(
    title: str,
    description: str,
    unit: Unit,
    expr: str,
    limits: tuple[float, ...] = (),
    *,
    less_is_worse: bool = False,
    width: int = 4,
) -> Panel:
    """A single figure."""
    return Panel(title, description, "stat", unit, (Target(expr),), width, 4, limits, less_is_worse)


def ranking(title: str, description: str, unit: Unit, expr: str, legend: str, width: int = 8) -> Panel:
    """A bar for each of the largest groups."""
    return Panel(title, description, "ranking", unit, (Target(f"topk(15, {expr})", legend),), width)


def lines(title: str, description: str, unit: Unit, *targets: Target, width: int = 12, kind: Kind = "lines") -> Panel:
    """Series over time."""
    return Panel(title, description, kind, unit, targets, width)


def heat_map(title: str, description: str, unit: Unit, expr: str, width: int = 24) -> Panel:
    """Buckets of a histogram over time."""
    return Panel(title, description, "heat map", unit, (Target(expr, "{{le}}"),), width, 9)
