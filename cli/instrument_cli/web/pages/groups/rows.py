"""The table of agents, tools, operations or models: its columns, its rows, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.side_by_side import Kind, Row, SideBySide
from instrument.analysis.standing_out import stands_out
from instrument.analysis.wording import NOTHING, dollars, duration, percent, short
from instrument.analysis.worse import Worse
from instrument_cli.web import words
from instrument_cli.web.charts import axes, small
from instrument_cli.web.html import Element, tag
from instrument_cli.web.layout import filter_link, sort_link, table

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_SPREAD = 260
"""Width of a distribution."""


class Group(NamedTuple):
    """One of these pages: what its rows are, how they are called, and the filter that a name narrows by."""

    kind: Kind
    title: str
    one: str
    unit: str
    filter_name: str

    @property
    def title_within(self) -> str:
        """The title within a sentence."""
        return self.title if self.kind == "operation" else self.title.lower()


KINDS = {
    "/agents": Group("agent", "Agents", "Agent", "Queries", "agent"),
    "/tools": Group("tool", "Tools", "Tool", "Calls", "tool"),
    "/graphql": Group("operation", "GraphQL", "Operation", "Calls", "operation"),
    "/models": Group("model", "Models", "Model", "Calls", "model"),
}

_BY_TIME = "time"
_SORTS: dict[str, Callable[[Row], float]] = {
    "count": lambda row: row.count,
    "failed": lambda row: row.failure_rate or 0.0,
    "median": lambda row: row.p50_ms or 0.0,
    "p95": lambda row: row.p95_ms or 0.0,
    "tokens": lambda row: row.tokens or 0.0,
    "cost": lambda row: row.cost_usd or 0.0,
    "each": lambda row: row.cost_each or 0.0,
}
"""What rows may be sorted by beside the time spent in them, the greatest first."""


def sorted_by(view: View, rows: list[Row]) -> list[Row]:
    """The rows as the address asks; by the time spent, as they come, where it asks for nothing known."""
    value = _SORTS.get(view.get("sort"))
    return sorted(rows, key=lambda row: (-value(row), row.name)) if value else rows


def rows_table(
    view: View,
    group: Group,
    found: SideBySide,
    shown: Sequence[Row],
    before: Mapping[str, Row],
    changed: tuple[Sequence[Worse], Sequence[Worse]],
    ticked: Sequence[Row],
) -> Element:
    """Draw the rows `shown`; changes among those that got worse, or better, are coloured."""
    has_cost = any(row.cost_usd is not None or row.tokens for row in found.rows)
    colours = {
        (one.name, one.how): colour for colour, ones in zip(("bad", "good"), changed, strict=True) for one in ones
    }
    whole = _Whole(
        sum(one.failed for one in found.rows),
        sum(one.count for one in found.rows),
        max((one.share for one in found.rows), default=0.0) or 1.0,
    )
    lines = []
    for row in shown:
        cells = [
            _name(view, group, row, row in ticked),
            *_failures(row, before.get(row.name), whole, colours.get((row.name, "failing"), "")),
            tag("td", small.distribution(row.spread, found.bounds_ms, row.p50_ms, row.p95_ms), class_="opt"),
            *_durations(row, before.get(row.name), whole, colours.get((row.name, "slower"), "")),
            *(_costs(row) if has_cost else []),
        ]
        lines.append(tag("tr", *cells, data_key=f"r-{row.name}"))
    heads = _heads(view, group, found, has_cost)
    return table(heads, lines, class_="groups costly" if has_cost else "groups", caption=f"{group.title} side by side")


class _Whole(NamedTuple):
    """What all rows have together, and the greatest share of the time."""

    failed: float
    number: float
    most: float


def _heads(view: View, group: Group, found: SideBySide, has_cost: bool) -> list[tuple[Element | str, str]]:
    def by(name: str, sort: str) -> Element:
        return sort_link(view, name, sort, default=_BY_TIME)

    each = "Cost a query" if group.unit == "Queries" else "Cost a call"
    costs = [
        (by("Tokens", "tokens"), "number opt1"),
        (by("Cost", "cost"), "number opt2"),
        (by(each, "each"), "number opt1"),
    ]
    return [
        (group.one, ""),
        (by(group.unit, "count"), "number opt2"),
        (by("Failed", "failed"), "number"),
        ("", "delta-cell opt2"),
        (_axis(found), "opt"),
        (by("Median", "median"), "number opt2"),
        ("", "delta-cell opt2"),
        (by("p95", "p95"), "number"),
        ("", "delta-cell opt1"),
        (by("Of all time", _BY_TIME), "number opt"),
        ("", "bar-cell opt1"),
        *(costs if has_cost else []),
    ]


def _axis(found: SideBySide) -> Element:
    marks = axes.decades(found.bounds_ms)
    shown = marks if len(marks) < 7 else marks[::2]
    labels = [
        tag(
            "text",
            label,
            x=share * _SPREAD,
            y=11,
            text_anchor="start" if share < 0.05 else "end" if share > 0.95 else "middle",
        )
        for share, label in shown
    ]
    box = f"0 0 {_SPREAD} 14"
    return tag("svg", *labels, width=_SPREAD, height=14, viewbox=box, class_="mini", role="img", aria_label="Duration")


def _name(view: View, group: Group, row: Row, is_ticked: bool) -> Element:
    tick = tag("input", type="checkbox", name="of", value=row.name, checked=is_ticked, aria_label=f"Compare {row.name}")
    link = filter_link(view, group.filter_name, row.name, path="/queries")
    return tag("td", tag("span", tick, link, class_="ticked"), class_="name")


def _failures(row: Row, before: Row | None, whole: _Whole, colour: str) -> list[Element]:
    stands = stands_out(row.failed, row.count, whole.failed - row.failed, whole.number - row.count)
    change = words.change(row.against(before).failure_rate, colour, is_share=True)
    return [
        tag("td", short(row.count), class_="number opt2"),
        tag("td", percent(row.failure_rate), class_="number bad" if stands else "number"),
        tag("td", change, class_="delta-cell opt2"),
    ]


def _durations(row: Row, before: Row | None, whole: _Whole, colour: str) -> list[Element]:
    changes = row.against(before)
    return [
        tag("td", duration(row.p50_ms), class_="number opt2"),
        tag("td", words.change(changes.p50, colour), class_="delta-cell opt2"),
        tag("td", duration(row.p95_ms), class_="number"),
        tag("td", words.change(changes.p95, ""), class_="delta-cell opt1"),
        tag("td", percent(row.share), class_="number opt"),
        tag("td", small.bar(row.share / whole.most, width=48), class_="bar-cell opt1"),
    ]


def _costs(row: Row) -> list[Element]:
    return [
        tag("td", NOTHING if row.tokens is None else short(row.tokens), class_="number opt1"),
        tag("td", dollars(row.cost_usd), class_="number opt2"),
        tag("td", dollars(row.cost_each), class_="number opt1"),
    ]
