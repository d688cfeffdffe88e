"""Figures and times as pages write them."""

from __future__ import annotations

from datetime import datetime, tzinfo

from instrument.analysis import wording
from instrument.analysis.wording import zone_name
from instrument_cli.web.html import Element, tag, text


def moment(at: datetime, zone: tzinfo, *, seconds: bool = True, dated: bool = True, split: bool = False) -> Element:
    """A time, in full and with its zone where it is pointed at. With `split` its date stands above it on a phone."""
    local = at.astimezone(zone)
    date = f"{wording.day(local)} " if dated else ""
    shown = [tag("span", date, class_="date") if split else date, f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"]
    full = f"{local:%a} {wording.day(local)} {local:%Y %H:%M:%S.%f}"[:-3] + f" {zone_name(local)}"
    return tag("time", *shown, datetime=at.isoformat(), title=full)


def signed_percent(share: float | None) -> str:
    """A change as a text: `6 %`, `1,200 %`; the arrow beside it says the direction."""
    if share is None:
        return wording.NOTHING
    if share > 9:
        return f"× {share + 1:,.0f}"
    value = abs(share) * 100
    return "±0 %" if value < 0.5 else f"{value:,.0f} %"


def delta(change_: float | None, better: str, *, is_share: bool = False) -> Element:
    """A change with an arrow, green or red where one direction is welcome; of shares, in points."""
    welcome = "" if not better or change_ is None else "good" if (change_ > 0) == (better == "more") else "bad"
    return change(change_, welcome, is_share=is_share)


def change(size: float | None, colour: str, *, is_share: bool = False) -> Element:
    """A change with an arrow, in a colour: `good`, `bad` or none; of shares, in points."""
    if size is None:
        return tag("span", "", class_="delta")
    hundredths = abs(size) * 100
    written = f"{hundredths:.1f} pt" if is_share else signed_percent(size)
    if hundredths < (0.05 if is_share else 0.5):
        return tag("span", "±0", class_="delta", title="as in the period before")
    arrow, word = ("▲", "more") if size > 0 else ("▼", "less")
    return tag(
        "span",
        tag("span", arrow, class_="arrow", aria_hidden="true"),
        f" {written}",
        class_=f"delta {colour}",
        title=f"{written} {word} than in the period before",
    )


def outcome(status: str, success: bool, error: str | None) -> Element:
    """How a query ended, as a mark and a word."""
    if status == "cancelled":
        return tag(
            "span",
            tag("span", "■", class_="mark", aria_hidden="true"),
            tag("span", " cancelled", class_="word"),
            class_="outcome stopped",
        )
    if success:
        return tag(
            "span",
            tag("span", "●", class_="mark", aria_hidden="true"),
            tag("span", " ok", class_="word"),
            class_="outcome ok",
        )
    return tag(
        "span",
        tag("span", "▲", class_="mark", aria_hidden="true"),
        tag("span", " ", text(error or status), class_="word"),
        class_="outcome failed",
    )
