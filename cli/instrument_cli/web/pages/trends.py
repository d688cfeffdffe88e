"""What changed, what grows and what was unusual, with the figures over time behind it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from instrument.analysis.forecasts import Forecast
from instrument.analysis.outlook import ahead
from instrument.analysis.trends import Finding, Trend, Trends
from instrument.analysis.wording import count, dollars, duration, percent, short
from instrument.reading import Store
from instrument_cli.web import words
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.trend import highest_of, trend_line
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import chart_link, empty, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from instrument.analysis.periods import Period
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

NAMES = {
    "queries": "Queries",
    "failure_rate": "Failed",
    "p50": "Median",
    "p95": "95th percentile",
    "average": "Average",
    "first_chunk": "First chunk",
    "tool_failure_rate": "Tool calls failed",
    "tokens": "Tokens",
    "cost": "Cost",
}
_SHOWN = 25
_KEYS = (("stroke", "measured"), ("unusual", "unusual"), ("p95", "changed"), ("band", "expected, 95 of 100 values"))
_AHEAD = timedelta(days=1)
"""How far the figures are forecast."""


def draw(site: Site, view: View) -> Drawn:
    """Draw the trends of a period."""
    every = "1h" if (view.worked_out(site).hours or 0) > 48 else "15m"

    def work(store: Store) -> tuple[Period, Trends, list[Forecast | None]]:
        found = store.trends(every=every, where=view.where)
        return store.period, found, [_expected(one) for one in found.figures]

    period, found, expected = figures_of(site).apart(view, "trends", work)
    if not any(value for one in found.figures for value in one.values):
        title = "Too little to see a trend yet" if found.figures else "No queries in this period"
        return Drawn("Trends", empty(title, "Trends need some hours of records; findings some days."), period)
    start, end = found.period.start, found.period.end
    end += _AHEAD if any(expected) else timedelta(0)
    notes = [one.note for one in found.figures if _slope(one) is None and one.note]
    shared = notes[0] if len(notes) > 1 and len(set(notes)) == 1 else ""
    lines, charts = [], {}
    for one, each in zip(found.figures, expected, strict=True):
        drawn = partial(_chart, one, found, start, end, period.zone, each)
        lines.append(tag("div", _head(view, one, shared), drawn(axis=one is found.figures[-1]), class_="trend"))
        title = f"{NAMES.get(one.figure, one.figure)} over time"
        charts[one.figure.replace(":", "-")] = Chart(title, drawn(axis=True), _keys([each]))
    figures = panel(
        "Figures over time",
        tag("div", *lines, class_="trends"),
        tag("p", f"{shared[0].upper()}{shared[1:]}.", class_="quiet") if shared else None,
        more=_legend(expected),
        hint=f"in steps of {'an hour' if every == '1h' else '15 minutes'}",
    )
    stands_out = panel("What stands out", _findings(view, found.findings, period.zone, found.note))
    return Drawn("Trends", joined([stands_out, figures]), period, charts=charts)


def _keys(expected: Sequence[Forecast | None]) -> tuple[tuple[str, str], ...]:
    """What the colours mean; nothing is expected of too short a past."""
    return _KEYS if any(expected) else _KEYS[:-1]


def _legend(expected: Sequence[Forecast | None]) -> Element:
    marks = (tag("span", tag("i", class_=f"key {style}"), meaning) for style, meaning in _keys(expected))
    return tag("span", *marks, class_="legend")


def value_of(value: float | None, unit: str) -> str:
    """A figure's value in its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return percent(value)
    if unit == "ms":
        return duration(value)
    return dollars(value) if unit == "usd" else short(value)


def _expected(one: Trend) -> Forecast | None:
    """The day after a figure's last value, in its own steps."""
    return ahead(one.values, one.every_seconds, one.unit, round(_AHEAD.total_seconds() / one.every_seconds))


def _chart(
    one: Trend, found: Trends, start: datetime, end: datetime, zone: tzinfo, expected: Forecast | None, *, axis: bool
) -> Element:
    own = [each for each in found.findings if each.figure == one.figure]
    most = value_of(highest_of(one, expected), one.unit)
    return trend_line(one, own, start, end, zone, axis=axis, most=most, ahead=expected)


def _head(view: View, one: Trend, shared: str) -> Element:
    slope = _slope(one)
    return tag(
        "div",
        tag("h3", NAMES.get(one.figure, one.figure), " ", chart_link(view, one.figure.replace(":", "-"))),
        tag("p", value_of(one.level, one.unit), class_="value", title="its level of late"),
        slope,
        tag("p", one.note, class_="quiet") if one.note and one.note != shared and not slope else None,
        class_="of",
    )


def _slope(one: Trend) -> Element | None:
    """How it grows, with the bounds of that; quiet where it may as well fall."""
    if one.slope is None or one.slope_low is None or one.slope_high is None:
        return None
    return tag(
        "p",
        f"{_signed(one.slope)} % a week",
        tag("span", f" ({_signed(one.slope_low)} to {_signed(one.slope_high)})", class_="quiet"),
        class_="quiet" if one.slope_low < 0 < one.slope_high else None,
    )


def _level(one: Finding, value: float) -> str:
    """A level before or after; of an unusual stretch, how many queries."""
    return short(value) if one.kind == "unusual" else value_of(value, one.unit)


def _signed(share: float) -> str:
    return f"{share * 100:+.1f}".replace("-", "−")


def _findings(view: View, findings: list[Finding], zone: tzinfo, note: str) -> Element:
    if not findings:
        return tag("p", note or "Nothing changed, grows or was unusual.", class_="quiet")
    is_sure = any(one.probability is not None for one in findings[:_SHOWN])
    lines = [_finding(view, one, zone, is_sure) for one in findings[:_SHOWN]]
    heads = [
        ("Began", ""),
        ("Kind", ""),
        ("What, and the queries behind it", "wide"),
        ("Before", "number"),
        ("After", "number"),
        *([("How sure", "number")] if is_sure else []),
    ]
    rest = len(findings) - len(lines)
    more = tag("p", f"and {count(rest)} more", class_="quiet") if rest else None
    found = table(heads, lines, class_="stacks", caption="Findings")
    return joined([found, more, tag("p", note, class_="quiet") if note else None])


def _finding(view: View, one: Finding, zone: tzinfo, is_sure: bool) -> Element:
    where = [*view.where, *([one.source.where] if one.source else [])]
    href = view.href("/queries", since=one.start.isoformat(), until=one.end.isoformat(), period=None, where=where)
    sure = "" if one.probability is None else f"P {one.probability:.2f}"
    return tag(
        "tr",
        tag("td", words.moment(one.start, zone, seconds=False), class_="quiet"),
        tag("td", one.kind, class_="quiet"),
        tag("td", tag("a", text(one.sentence), href=href), class_="wide prose"),
        tag("td", _level(one, one.before), class_="number quiet", title="before, or expected"),
        tag("td", _level(one, one.after), class_="number"),
        tag("td", sure, class_="number quiet", title=one.basis) if is_sure else None,
    )
