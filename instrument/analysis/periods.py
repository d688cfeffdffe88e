"""The period that a question covers: how it is written, and what it means in a time zone.

    now, today, yesterday     this moment; the midnight at which today, or yesterday, began
    2026-11-20                the midnight at which that day began
    2026-11-20T14:30          that time; with an offset or Z as the offset says, else in the period's zone
    14:30                     that time today
    -7d, -90m, -1d12h         so long before now: w and d by the calendar, h, m and s by the clock

Days are those of the period's zone. Where a clock is put forward, a time that it leaves out is the moment of the
change; where it is put back, a time that comes twice is the first of the two.
"""

from __future__ import annotations

import math
import os
import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Struct

from instrument.errors import UsageError

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL = "local"

_STEP = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")
_STEPS_BACK = re.compile(rf"-(?:{_STEP.pattern})+")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
_EXAMPLES = "write a time such as 2026-11-20T14:30, a date, today, yesterday, now, -7d or -90m"


class Period(Struct, frozen=True):
    """A stretch of time, from `since` up to but without `until`, both in UTC; `since` None reaches back to the start.

    `zone` is the time zone that days and clock times are meant and shown in, `zone_name` its name, `now` the moment at
    which the period was worked out. `note` says what was asked for and not granted.
    """

    since: datetime | None
    until: datetime
    now: datetime
    zone: tzinfo
    zone_name: str
    note: str = ""

    @property
    def hours(self) -> float:
        """How long it is; infinite without a beginning."""
        return math.inf if self.since is None else (self.until - self.since) / timedelta(hours=1)

    @property
    def last(self) -> datetime:
        """The last moment in it: stores are asked for both ends, and hold microseconds."""
        return self.until if self.ends_now else self.until - timedelta(microseconds=1)

    def beginning(self, since: datetime) -> Period:
        """The same period with this beginning."""
        return msgspec.structs.replace(self, since=since)

    @property
    def ends_now(self) -> bool:
        """Whether it reaches up to the moment at which it was worked out."""
        return self.until == self.now


def period(
    *,
    hours: float | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    time_zone: str | None = None,
    default_hours: float | None = None,
    most_hours: float = math.inf,
    now: datetime | None = None,
) -> Period:
    """Work out a period from any two of its beginning, its end and its length in hours.

    The end is now unless it is given; without a beginning and a length it is `default_hours` long, or as long as the
    store. A period longer than `most_hours` is cut at its beginning, which `note` says. Raises UsageError for what
    makes no period.
    """
    zone, name = zone_of(time_zone)
    moment = now or datetime.now(UTC)
    begin = None if since is None else time_of(since, zone, moment, "--since")
    end = None if until is None else time_of(until, zone, moment, "--until")
    if hours is not None:
        begin, end = _stretched(begin, end, hours, moment)
    finish = end or moment
    if begin is None and hours is None and default_hours is not None:
        begin = _before(finish, default_hours)
    if begin is not None and begin >= finish:
        raise UsageError(_no_period(since, until, begin, finish, zone))
    note = ""
    if begin is not None and finish - begin > timedelta(hours=min(most_hours, 1e8)) + timedelta(microseconds=1):
        begin = _before(finish, most_hours)
        note = f"the period is cut to its last {most_hours:g} hours: a report covers max_report_hours, or what is kept"
    return Period(begin, finish, moment, zone, name, note)


def _stretched(begin: datetime | None, end: datetime | None, hours: float, now: datetime) -> tuple[datetime, datetime]:
    if not (math.isfinite(hours) and hours > 0):
        raise UsageError(f"--hours {hours:g} is no period; give a number above 0, such as 24 or 0.5")
    if begin is not None and end is not None:
        raise UsageError("--since, --until and --hours together say too much; leave one of them out")
    if begin is not None:
        return begin, _after(begin, hours)
    return _before(end or now, hours), end or now


def _before(moment: datetime, hours: float) -> datetime:
    longest = (moment - BEGINNING) / timedelta(hours=1)
    return moment - timedelta(hours=min(hours, longest))


def _after(moment: datetime, hours: float) -> datetime:
    longest = (datetime.max.replace(tzinfo=UTC) - moment) / timedelta(hours=1)
    return moment + timedelta(hours=min(hours, longest))


def _no_period(since: Any, until: Any, begin: datetime, finish: datetime, zone: tzinfo) -> str:
    if until is None:
        return f"--since {since} is not in the past; it is {finish.astimezone(zone):%Y-%m-%d %H:%M} now"
    hint = "; a date means the midnight at which it begins" if begin == finish else ""
    return f"--since {since} is not before --until {until}{hint}"


def time_of(value: datetime | str, zone: tzinfo, now: datetime, name: str = "the time") -> datetime:
    """The moment, in UTC, that a time or a text such as `yesterday` means. Raises UsageError, which names `name`."""
    if isinstance(value, datetime):
        found = value.replace(tzinfo=zone) if value.tzinfo is None else value
    else:
        try:
            found = _parsed(value.strip(), zone, now.astimezone(zone))
        except (ValueError, OverflowError):
            raise UsageError(f"{name} {value!r} is no time; {_EXAMPLES}") from None
    try:
        return max(found.astimezone(UTC), BEGINNING)
    except OverflowError:
        raise UsageError(f"{name} {value!r} is too far away; {_EXAMPLES}") from None


def _parsed(text: str, zone: tzinfo, now: datetime) -> datetime:
    word = text.lower()
    if word == "now":
        return now
    if word in ("today", "yesterday"):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return midnight if word == "today" else midnight - timedelta(days=1)
    if _STEPS_BACK.fullmatch(word):
        return _earlier(word, now)
    if _CLOCK.fullmatch(word):
        parts = [int(part) for part in word.split(":")]
        return now.replace(hour=parts[0], minute=parts[1], second=(*parts, 0)[2], microsecond=0, fold=0)
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=zone) if found.tzinfo is None else found


def _earlier(text: str, now: datetime) -> datetime:
    amounts = dict.fromkeys("wdhms", 0.0)
    for number, unit in _STEP.findall(text):
        amounts[unit] += float(number)
    # Arithmetic on a time with a zone moves its clock, not the moment: a week ago at this hour, whatever the offset.
    by_calendar = now - timedelta(weeks=amounts["w"], days=amounts["d"])
    by_clock = timedelta(hours=amounts["h"], minutes=amounts["m"], seconds=amounts["s"])
    return by_calendar.astimezone(UTC) - by_clock


def zone_of(name: str | None) -> tuple[tzinfo, str]:
    """A time zone and its name: `local`, `UTC`, an offset such as `+05:30` or a name such as `Europe/Berlin`.

    Raises UsageError, with the nearest name, for one that there is not.
    """
    text = (name or LOCAL).strip()
    if text.lower() == LOCAL:
        return _local()
    if text.upper() in ("UTC", "Z", "GMT"):
        return UTC, "UTC"
    if offset := _OFFSET.fullmatch(text):
        sign, hours, minutes = offset.groups()
        length = timedelta(hours=int(hours), minutes=int(minutes))
        if length < timedelta(hours=24):
            return timezone(-length if sign == "-" else length), f"UTC{sign}{hours}:{minutes}"
    if zone := _named(text):
        return zone, text
    known = {each.lower(): each for each in available_timezones()}
    if zone := _named(known.get(text.lower(), "")):
        return zone, known[text.lower()]
    cities = {each.rpartition("/")[2]: each for each in known}
    wanted = text.lower().replace(" ", "_")
    import difflib  # only where a name is wrong: it is slow to import

    near = difflib.get_close_matches(wanted, [*known, *cities], n=1)
    nearest = known.get(near[0]) or known[cities[near[0]]] if near else "Europe/Berlin"
    raise UsageError(f"there is no time zone {text!r}; did you mean {nearest}? (local, UTC and +05:30 are known, too)")


def _named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def _local() -> tuple[tzinfo, str]:
    name = os.environ.get("TZ", "").removeprefix(":") or _linked_zone()
    zone = _named(name)
    if zone is not None:
        return (UTC, "UTC") if name in ("UTC", "Etc/UTC") else (zone, name)
    offset = datetime.now().astimezone().utcoffset()
    return (UTC, "UTC") if not offset and not time.daylight else (_MachineZone(), time.tzname[0])


def _linked_zone() -> str:
    """The zone that /etc/localtime names, where it is a link to one."""
    return os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]


class _MachineZone(tzinfo):
    """The rules of the machine, where nothing names its zone."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        return datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)
