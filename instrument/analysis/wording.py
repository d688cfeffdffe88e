"""Numbers as people read them: thousands apart, durations and sizes in the unit that fits, times in a named zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

NOTHING = "–"


def count(value: float) -> str:
    """A count with its thousands apart; weighted counts are rounded."""
    return f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as percent; never 0 or 100 unless it is exactly that."""
    if share is None:
        return NOTHING
    value = share * 100
    if 0 < value < 0.05:
        return "<0.1 %"
    if 99.95 <= value < 100:
        return ">99.9 %"
    return f"{value:.1f} %"


def duration(milliseconds: float | None) -> str:
    """A duration in ms in the unit that fits: `42 µs`, `640 ms`, `1.4 s`, `1 m 11 s`, `2 h 05 m`, `3 d 4 h`."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    if 0 < milliseconds < 0.0005:
        return "<1 µs"
    if 0 < milliseconds < 0.9995:
        return f"{milliseconds * 1000:.0f} µs" if milliseconds >= 0.00995 else f"{milliseconds * 1000:.1f} µs"
    if milliseconds < 999.5:
        return f"{_two_digits(milliseconds)} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} m"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} d {hours % 24} h"


def _two_digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def threshold(milliseconds: float) -> str:
    """A limit in the settings, in the shortest form that is exact: `5 s`, `1.5 s`, `250 ms`."""
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds:g} ms"


def size(value: float | None) -> str:
    """A size in bytes, in the unit that fits (1 kB is 1,000 bytes)."""
    if value is None:
        return NOTHING
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def hours(value: float) -> str:
    """A number of hours, after `last`: `hour`, `24 hours`, `40.7 hours`, `15 minutes`, `10 seconds`, `7 days`."""
    for unit, size in (("day", 24.0), ("hour", 1.0), ("minute", 1 / 60), ("second", 1 / 3600)):
        number = value / size
        whole_days = unit != "day" or (number >= 2 and number == int(number))
        if (number >= 0.999 and whole_days) or unit == "second":
            return unit if f"{number:g}" == "1" else f"{round(number, 1):,g} {unit}s"
    raise AssertionError("unreachable")


def is_whole_minutes(value: float) -> bool:
    """Whether a number of hours is one that somebody asks for, and not the distance from a time to now."""
    return abs(value * 60 - round(value * 60)) < 1e-6 or value < 1 / 60


def moment(text: str, zone: tzinfo = UTC) -> datetime:
    """The time of a record, in `zone`; a text without an offset is UTC."""
    parsed = datetime.fromisoformat(text)
    return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed).astimezone(zone)


def day(time: datetime) -> str:
    """`21 Nov`."""
    return f"{time.day} {time:%b}"


def clock(time: datetime) -> str:
    """`21 Nov 06:30`."""
    return f"{day(time)} {time:%H:%M}"


def zone_name(time: datetime) -> str:
    """The short name of a time's zone: `UTC`, `CET`, `UTC-03`."""
    name = time.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def span(start: datetime, end: datetime) -> str:
    """`21 Nov 06:30 – 22 Nov 06:30 UTC`, leaving out the day where it is the same, with the year where it is not.

    A period of less than two minutes has seconds: `22 Nov 06:30:05 – 06:30:12 UTC`. Both times are of one zone, which
    is named twice where its clock was changed between them.
    """
    zone, before = zone_name(end), zone_name(start)
    changed = f" {before}" if before != zone else ""
    if start.year != end.year:
        return f"{dated(start)}{changed} – {dated(end)} {zone}"
    if end - start < timedelta(minutes=2):
        return f"{clock(start)}:{start:%S}{changed} – {end:%H:%M:%S} {zone}"
    last = f"{end:%H:%M}" if start.date() == end.date() else clock(end)
    return f"{clock(start)}{changed} – {last} {zone}"


def dated(time: datetime) -> str:
    """`21 Nov 2026 06:30`."""
    return f"{day(time)} {time.year} {time:%H:%M}"


def ago(time: datetime, now: datetime) -> str:
    """How long before `now`: `3 hours ago`, or `in 2 hours` for a time still to come."""
    distance = abs(now - time)
    for unit, step in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if distance >= step:
            number = int(distance / step)
            text = f"{number:,} {unit}{'s' if number != 1 else ''}"
            return f"in {text}" if time > now else f"{text} ago"
    return "just now"


def several(number: float, one: str, many: str | None = None) -> str:
    """`1 query`, `1,284 queries`."""
    return f"{count(number)} {one if round(number) == 1 else many or one + 's'}"


def short(value: float) -> str:
    """A number in a few characters: `0`, `0.0123`, `17.2`, `1,284`, `963 k`, `1.28 M`."""
    size = abs(value)
    for unit, step in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= 9999.5 and size >= step * 0.9995:
            return f"{value / step:.3g} {unit}" if size / step < 999.5 else f"{value / step:,.0f} {unit}"
    if size >= 99.95 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 1e-4 else f"{value:.0e}"


def dollars(value: float | None) -> str:
    """A cost in US dollars: `$0.0042`, `$0.90`, `$4.21`, `$1,204`."""
    if value is None:
        return NOTHING
    if value == 0 or 0.0995 <= abs(value) < 9999.5:
        return f"${value:,.2f}"
    return f"${value:,.0f}" if abs(value) >= 1 else f"${value:.2g}"
