"""What a report says of trends and capacity in a line: findings that were worked out before, kept beside the store.

`metrics compact`, `metrics trends` and `metrics capacity` work them out and write a small file. A report reads that
file and nothing more: to read the weeks that findings need would take longer than the report itself.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from instrument.files import make_directory, write_file

if TYPE_CHECKING:
    from instrument.analysis.trends import Trends
    from instrument.analysis.workers import Capacity

VERSION = 1

FILE = Path(".state") / "insight.json"
"""Where a store keeps them, below its directory."""

MOST_KEPT = 50

FRESH = timedelta(days=7)
"""How long after a change a report says so, and how long findings are believed that nobody has worked out anew."""

AHEAD = timedelta(days=21)
"""How long before a target is missed a report says so."""


class Kept(Struct, frozen=True):
    """One finding: what kind it is, when it was, and its headline."""

    kind: str
    start: datetime
    end: datetime
    headline: str


class Missed(Struct, frozen=True):
    """A target for so many workers, in seconds, and the day on which it will be missed; None where there is none."""

    workers: int
    target_s: float
    day: date | None
    earliest: date | None
    made: datetime


class Insight(Struct, frozen=True):
    """What is kept: the findings of the last look, the most important first, and of the last question for capacity."""

    version: int = VERSION
    made: datetime | None = None
    findings: list[Kept] = []
    capacity: Missed | None = None


def keep_findings(directory: Path, found: Trends) -> None:
    """Keep the findings of a look at the store's last weeks. Raises OSError, StoreError where it cannot write."""
    findings = [Kept(one.kind, one.start, one.end, one.headline) for one in found.findings[:MOST_KEPT]]
    known = read(directory)
    _write(directory, Insight(VERSION, found.period.generated_at, findings, known.capacity))


def keep_capacity(directory: Path, found: Capacity, now: datetime) -> None:
    """Keep when the target will be missed. Raises OSError, StoreError where it cannot write."""
    limit = found.limit
    day, earliest = (None, None) if limit is None else (limit.day, limit.earliest)
    missed = Missed(found.workers, found.target_s, day, earliest, now)
    known = read(directory)
    _write(directory, Insight(VERSION, known.made, known.findings, missed))


def read(directory: Path) -> Insight:
    """What is kept beside a store; nothing where there is no file, or one that cannot be used."""
    try:
        found = msgspec.json.decode((directory / FILE).read_bytes(), type=Insight)
    except (OSError, ValueError):  # msgspec's own errors are ValueErrors
        return Insight()
    return found if found.version == VERSION else Insight()


def notices(directory: Path, start: datetime, end: datetime) -> list[str]:
    """What a report over this period says: a line on findings, a line on capacity, or nothing."""
    known = read(directory)
    said = []
    meeting = [] if known.made is None else [one for one in known.findings if _meets(one, known.made, start, end)]
    if meeting:
        more = len(meeting) - 1
        others = f" There {'is one more' if more == 1 else f'are {more} more'}." if more else ""
        said.append(f"{meeting[0].headline}.{others} See: metrics trends")
    if known.capacity is not None and (line := _missed(known.capacity, end)):
        said.append(line)
    return said


def _meets(one: Kept, made: datetime, start: datetime, end: datetime) -> bool:
    """Whether a finding concerns a period: it lies in it, or it is recent and still holds."""
    if one.kind == "unusual":
        return one.start < end and one.end > start
    if one.start >= end or made < end - FRESH:
        return False
    still_holds = one.end >= made - timedelta(days=1)
    return still_holds and (one.kind == "slope" or one.start >= start - FRESH)


def _missed(one: Missed, end: datetime) -> str:
    if one.day is None or one.earliest is None or not end - FRESH <= one.made:
        return ""
    if one.earliest > (end + AHEAD).date():
        return ""
    question = f"metrics capacity --workers {one.workers} --target-p95 {one.target_s:g}s"
    by = "may be missed" if one.day > (end + AHEAD).date() else "will be missed"
    day = one.earliest if one.day > (end + AHEAD).date() else one.day
    return f"The target of {one.target_s:g} s {by} on {day.day} {day:%b %Y}, as queries grow. See: {question}"


def _write(directory: Path, insight: Insight) -> None:
    file = directory / FILE
    make_directory(file.parent, inside=True)
    write_file(file, [msgspec.json.encode(insight)])
