"""Draw a comparison: what changed in sentences, then each figure on both sides with its change."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.analysis.compare import Change, Comparison, Side, valued
from instrument.analysis.wording import several, span
from instrument_cli.rendering.line import Line, Style, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import Column, fact, flowing, paragraph, table
from instrument_cli.rendering.text import plain

_NOTES = (
    "between: where the change lies with 95 % confidence, looked at alone",
    "higher, lower: so with 95 % confidence for all these figures together; noise: not so",
)

_NEUTRAL = frozenset({"queries", "queries an hour", "tool calls a query"})


def draw_comparison(found: Comparison, page: Page) -> list[Line]:
    """A comparison as lines."""
    drawn = [line(" metrics compare", "title"), line()]
    drawn += [*_side("Before", found.before, page), *_side("After", found.after, page), line()]
    for sentence in found.summary:
        drawn += paragraph(sentence, page)
    drawn += [line(), *_changes("Figures", found.figures, page)]
    moved = {name: changes for name, changes in found.calls.items() if any(map(_moved, changes))}
    for name, changes in moved.items():
        drawn += [line(), *_changes(plain(name), changes, page)]
    still = [line(plain(name)) for name in found.calls if name not in moved]
    if still:
        drawn += [line(), *flowing("Unchanged", still, page)]
    return [*drawn, line(), *(part for note in _NOTES for part in paragraph(note, page, style="quiet"))]


def _side(label: str, side: Side, page: Page) -> list[Line]:
    covered = span(side.period.start.astimezone(page.zone), side.period.end.astimezone(page.zone))
    name = covered if side.label == span(side.period.start, side.period.end) else f"{side.label}, {covered}"
    counted = several(side.queries, "query", "queries")
    return fact(label, f"{name}  {counted}", page)


def _changes(title: str, changes: Sequence[Change], page: Page) -> list[Line]:
    rows = [
        [
            line(change.name),
            line(valued(change.before, change.unit)),
            line(valued(change.after, change.unit)),
            line(_relative(change), _style(change)),
            line(_interval(change), "quiet"),
            line(_verdict(change), _style(change)),
        ]
        for change in changes
    ]
    columns = [
        Column("before", 8),
        Column("after", 8),
        Column("change", 8),
        Column("between", 8),
        Column("", 8, right=False),
    ]
    return table(title, columns, rows, page)


def _moved(change: Change) -> bool:
    return change.verdict in ("higher", "lower")


def _relative(change: Change) -> str:
    if change.difference is None:
        return "–"
    if change.unit == "share":
        return f"{change.difference * 100:+z.1f} pt"
    return "–" if change.relative is None else f"{change.relative * 100:+z,.1f} %"


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return ""
    if change.unit == "share":
        return f"{change.low * 100:+z.1f} … {change.high * 100:+z.1f} pt"
    if not change.before:
        return ""
    return f"{change.low / change.before * 100:+z,.1f} … {change.high / change.before * 100:+z,.1f} %"


def _verdict(change: Change) -> str:
    words = {"higher": "higher", "lower": "lower", "same": "noise"}
    return words.get(change.verdict, "" if change.name in _NEUTRAL else "too few")


def _style(change: Change) -> Style:
    if not _moved(change):
        return "quiet"
    if change.name in _NEUTRAL:
        return "strong"
    return "bad" if change.verdict == "higher" else "good"
