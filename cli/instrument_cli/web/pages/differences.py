"""What differs here: which values are commoner in a part of the heat map than in the rest of the period."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from instrument.analysis.differences import Difference, Differences, Region, differences
from instrument.analysis.filters import Filter
from instrument.analysis.periods import Period
from instrument.analysis.wording import clock, count, duration, percent, zone_name
from instrument.errors import UsageError
from instrument.reading import Store
from instrument_cli.web.charts import small
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import empty, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View


def draw(site: Site, view: View) -> Drawn:
    """Draw the differences of the region that `from`, `to` (seconds since 1970), `above` and `below` (ms) name."""
    region = _region(view)
    if region is None:
        words = (
            "On the overview, hold Shift and drag over a part of the heat map. Or name it in the address: from and to"
            " in seconds since 1970, above and below in milliseconds."
        )
        return Drawn(
            "What differs here",
            empty("Choose a part of the heat map", words, tag("a", "To the overview", href=view.href("/"))),
        )
    found: tuple[Period, Differences] = figures_of(site).of(
        view, "differences", lambda store: _found(store, view, region), region
    )
    period, differ = found
    begin, end = (
        datetime.fromtimestamp(us / 1e6, UTC).astimezone(period.zone) for us in (region.since_us, region.until_us)
    )
    limits = [
        f"from {duration(region.above_ms)}" if region.above_ms else "",
        f"up to {duration(region.below_ms)}" if region.below_ms else "",
    ]
    where = f"{clock(begin)} – {clock(end)} {zone_name(end)}" + "".join(f", {limit}" for limit in limits if limit)
    listed = [
        *view.where,
        *([f"duration>={region.above_ms:g}ms"] if region.above_ms else []),
        *([f"duration<{region.below_ms:g}ms"] if region.below_ms else []),
    ]
    href = view.href("/queries", since=begin.isoformat(), until=end.isoformat(), period=None, where=listed)
    words_ = tag(
        "p",
        tag("strong", count(differ.chosen)),
        " queries here, held against the ",
        tag("strong", count(differ.others)),
        " others of the period. ",
        tag("a", "List the ones here", href=href),
    )
    body = panel("What differs here", words_, _table(view, differ, begin, end, listed), hint=where)
    return Drawn("What differs here", joined([body]), period)


def _region(view: View) -> Region | None:
    given = [view.get(name) for name in ("from", "to", "above", "below")]
    if not given[0] or not given[1]:
        return None
    try:
        first, last, above, below = (float(each) if each else None for each in given)
        region = Region(round((first or 0) * 1e6), round((last or 0) * 1e6), above, below)
    except (ValueError, OverflowError):
        raise UsageError("from, to, above and below are numbers: seconds since 1970, and milliseconds") from None
    if not region.since_us < region.until_us <= 250_000_000_000_000_000:
        raise UsageError("from must lie before to")
    return region


def _found(store: Store, view: View, region: Region) -> tuple[Period, Differences]:
    return store.period, differences(store.picked(view.where), region)


def _table(view: View, differ: Differences, begin: datetime, end: datetime, where: list[str]) -> Element:
    if not differ.found:
        return tag("p", "No value is commoner here than chance explains.", class_="quiet")
    lines = [_row(view, one, begin, end, where) for one in differ.found]
    heads = [
        ("What", ""),
        ("Value", "wide"),
        ("Here", "number"),
        ("", "bar-cell opt2"),
        ("Elsewhere", "number"),
        ("", "bar-cell opt2"),
        ("By chance", "number opt3"),
    ]
    note = tag(
        "p",
        "One-sided exact test of Fisher for each value, multiplied by the number of values (Bonferroni).",
        class_="quiet",
    )
    return joined([table(heads, lines, caption="What differs"), note])


def _row(view: View, one: Difference, begin: datetime, end: datetime, where: list[str]) -> Element:
    written = str(Filter(one.name, "=", one.value))
    href = view.href("/queries", since=begin.isoformat(), until=end.isoformat(), period=None, where=[*where, written])
    chance = f"1 in 10{_raised(round(-one.log10_chance))}" if one.log10_chance < -3 else f"{10**one.log10_chance:.3f}"
    return tag(
        "tr",
        tag("td", text(one.name.removeprefix("attribute:")), class_="quiet"),
        tag("td", tag("a", text(one.value), href=href), class_="wide"),
        tag("td", percent(one.share), class_="number"),
        tag("td", small.bar(one.share, bad=True), class_="bar-cell opt2"),
        tag("td", percent(one.other_share), class_="number"),
        tag("td", small.bar(one.other_share), class_="bar-cell opt2"),
        tag("td", chance, class_="number quiet opt3"),
    )


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
