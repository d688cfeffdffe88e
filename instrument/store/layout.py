"""Where the records of a store lie: a folder a day, segments and compacted files in it.

    <directory>/<YYYY-MM-DD>/<HHMMSS>-<pid>-<8 hex>.jsonl               a segment, written by one process
    <directory>/<YYYY-MM-DD>/<HHMMSS>-<pid>-<8 hex>.jsonl.unreadable    lines of it that no reader understood
    <directory>/<YYYY-MM-DD>/<name>.parquet                             compacted segments
    <directory>/set-aside/<YYYY-MM-DD>/<name>                           what `metrics doctor --fix` took out of the way

The day is the UTC day of the first write to a segment, and a segment never spans two. So what lies in a day's folder
started by the end of that day, possibly long before: a period's beginning prunes folders, its end does not.
"""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from instrument.errors import StoreError
from instrument.files import TEMPORARY, alone

SEGMENT_SUFFIX = ".jsonl"
PARQUET_SUFFIX = ".parquet"
UNREADABLE_SUFFIX = ".unreadable"

ERASING = ".erasing-"
"""What the name of a file begins with that is about to stand in for another."""

SET_ASIDE = "set-aside"
"""The folder of what could not be read; within it, a folder a day."""

_UPKEEP_LOCK = ".compacting"
IMPORT_LOCK = ".importing"
_IMPORTED = "imported-"

_LISTINGS = 5

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Day:
    """One day's folder and the names of the files in it, sorted."""

    day: date
    folder: Path
    segments: list[str] = field(default_factory=list)
    compacted: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        """When the day is over, in UTC."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) + timedelta(days=1)


def days_before(moment: datetime, days: int) -> datetime:
    """The moment so many days before another, but no earlier than 1970: settings may name more days than there were."""
    return moment - timedelta(days=min(days, (moment - _FIRST).days))


def check_directory(directory: Path) -> None:
    """Raise StoreError, with what to do, unless `directory` is a directory that can be read."""
    try:
        mode = os.stat(directory).st_mode
    except FileNotFoundError:
        raise StoreError(
            directory,
            "there is no store here yet; it is made when the first record is written, by `metrics demo` or by"
            " `metrics import FILE` (or point INSTRUMENT_DIRECTORY at the right one)",
        ) from None
    except OSError as error:
        raise StoreError(directory, f"the store cannot be looked at: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        raise StoreError(directory, "this is a file, not a store; set INSTRUMENT_DIRECTORY to a directory")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise StoreError(directory, "the store cannot be read: permission denied; run as the user who owns it")


def list_days(directory: Path, since: date | None = None) -> list[Day]:
    """The store's days from `since` on, oldest first; what is not a day's folder is passed over.

    Raises StoreError when the directory or a day's folder cannot be read.
    """
    check_directory(directory)
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        days = [(day, directory / name) for name in names if (day := day_of(name)) is not None]
        return [list_day(day, folder) for day, folder in days if since is None or day >= since]
    except OSError as error:
        raise StoreError(directory, f"the store cannot be read: {error.strerror} ({error.filename})") from None


def list_day(day: date, folder: Path) -> Day:
    """List one day's folder, again if it changed meanwhile: compaction may swap files under a single listing."""
    listed = Day(day, folder)
    for _ in range(_LISTINGS):
        try:
            before = os.stat(folder).st_mtime_ns
            listed = _sorted_out(day, folder)
            if os.stat(folder).st_mtime_ns == before:
                return listed
        except FileNotFoundError:
            return Day(day, folder)
    return listed


def _sorted_out(day: date, folder: Path) -> Day:
    listed = Day(day, folder)
    for name in sorted(os.listdir(folder)):
        if name.startswith("."):
            listed.leftovers.append(name)
        elif name.endswith(SEGMENT_SUFFIX):
            listed.segments.append(name)
        elif name.endswith(PARQUET_SUFFIX):
            listed.compacted.append(name)
        elif name.endswith(UNREADABLE_SUFFIX):
            listed.unreadable.append(name)
    return listed


def day_of(name: str) -> date | None:
    """The day that a folder's name stands for, None if it is not one of ours."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if name == day.isoformat() else None


def upkeep(directory: Path) -> AbstractContextManager[None]:
    """Keep others out that compact, mend or forget; raises StoreError while one of them does."""
    return alone(directory, _UPKEEP_LOCK, "another compaction, repair or forgetting is running; wait for it to end")


def tidy(directory: Path, day: Day) -> int:
    """Remove what killed processes left half-written in a day's folder; returns how many files.

    Only under the lock of `upkeep`, with nothing half erased. An import that is still writing keeps what is its own.
    """
    leftovers = [name for name in day.leftovers if name.startswith((TEMPORARY, ERASING))]
    imported = [name for name in leftovers if name.startswith(TEMPORARY + _IMPORTED)]
    if imported:
        try:
            with alone(directory, IMPORT_LOCK, "an import is running"):
                _remove(day, imported)
        except StoreError:
            leftovers = [name for name in leftovers if name not in imported]
    _remove(day, leftovers)
    return len(leftovers)


def _remove(day: Day, names: list[str]) -> None:
    for name in names:
        (day.folder / name).unlink(missing_ok=True)


def set_aside_days(directory: Path) -> list[Day]:
    """The days of which something was set aside, oldest first."""
    folders = sorted(path for path in (directory / SET_ASIDE).glob("*") if path.is_dir())
    return [Day(day, folder) for folder in folders if (day := day_of(folder.name))]


def set_aside_files(directory: Path) -> list[Path]:
    """The files in which lies what was set aside, by day."""
    return sorted(path for path in (directory / SET_ASIDE).glob("*/*") if path.is_file())
