"""What `metrics doctor` looks at: findings as data, each with its state and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct

from instrument.access import GROUP
from instrument.analysis.wording import ago, count, dated, several, size
from instrument.config import Config, settle
from instrument.errors import StoreError
from instrument.store import cursors, layout, line_tables
from instrument.store.tables import Tables, connect, open_store
from instrument.store.upkeep import erasure_journal
from instrument.store.upkeep.compaction import GRACE

State = Literal["good", "note", "bad"]

AHEAD = timedelta(minutes=5)
"""How far in the future a record may be before its clock is called wrong."""


class Finding(Struct, frozen=True):
    """One thing that was looked at: `bad` makes the store unhealthy, a `note` is worth knowing."""

    name: str
    message: str
    state: State = "good"
    advice: str = ""


def examine(overrides: Mapping[str, str], environ: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Finding]:
    """Look at the settings and at the store they name."""
    values, _, wrong = settle(overrides, environ, folder)
    yield from (Finding("Settings", str(error), "bad", "correct it, or remove it") for error in wrong)
    if not wrong:
        yield Finding("Settings", "all in order")
    config = Config(**values)
    directory = Path(config.directory)
    yield Finding("Store", str(directory.absolute()))
    try:
        days = layout.list_days(directory)
        yield from _files(directory, days, config)
        followers = cursors.registered(directory, now=now, cursor_days=config.cursor_days)
        segments = _live_segments(days)
        yield from _upkeep(directory, segments, followers, config, now)
        yield from _aside(directory)
        yield from _followers(directory, segments, followers, config, now)
        with open_store(directory) as tables:
            yield from _records(tables, now)
            yield from _losses(tables)
    except StoreError as error:
        yield Finding("Store", error.problem, "bad")


def _files(directory: Path, days: list[layout.Day], config: Config) -> Iterator[Finding]:
    yield from _writable(directory)
    segments = sum(len(day.segments) for day in days)
    compacted = sum(bool(day.compacted) for day in days)
    files = [day.folder / name for day in days for name in (*day.segments, *day.compacted, *day.unreadable)]
    sizes = [found for file in files if (found := _stat(file))]
    yield Finding(
        "Size",
        f"{size(sum(found.st_size for found in sizes))} in {several(segments, 'segment')}"
        f" and {several(compacted, 'compacted day')}",
    )
    folders = [found for path in (directory, *(day.folder for day in days)) if (found := _stat(path))]
    yield _modes(directory, sizes, folders, config.file_mode)


def _modes(directory: Path, files: list[os.stat_result], folders: list[os.stat_result], file_mode: str) -> Finding:
    """Whether those may read and write the store whom the setting `file_mode` names, and nobody else."""
    forbidden, wanted = (0o007, 0o060) if file_mode == GROUP else (0o077, 0)
    several_files = ("file or folder", "files and folders")
    where = "where its file system is mounted read-write: " if _is_read_only(directory) else ""
    if too_open := sum(bool(found.st_mode & forbidden) for found in (*files, *folders)):
        message = f"{several(too_open, *several_files)} may be read by other users"
        advice = f"chmod -R o= {directory}" if file_mode == GROUP else f"chmod -R go= {directory}, or file_mode = group"
        return Finding("Modes", message, "bad", where + advice)
    if closed := sum(found.st_mode & wanted != wanted for found in (*files, *folders)):
        message = f"{several(closed, *several_files)} may not be read and written by the group (file_mode = group)"
        return Finding("Modes", message, "bad", f"{where}chmod -R g+rwX {directory}")
    return Finding("Modes", "for its owner and group" if file_mode == GROUP else "for its owner alone")


def _is_read_only(directory: Path) -> bool:
    return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


def _writable(directory: Path) -> Iterator[Finding]:
    if os.access(directory, os.W_OK):
        return
    if _is_read_only(directory):
        problem = "no: its file system is mounted read-only, so nothing is recorded or compacted here"
        yield Finding("Writable", problem, "note", "to record here, mount it read-write")
    else:
        advice = f"let the user who records write to it: chmod u+w {directory}"
        yield Finding("Writable", "no: this user may not write to it", "bad", advice)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


_Segments = list[tuple[layout.Day, list[str]]]
"""Each day, and the names of its segments that no compacted file has replaced."""


def _live_segments(days: list[layout.Day]) -> _Segments:
    with closing(connect()) as connection:
        return [(day, line_tables.live_names(connection, day)) for day in days]


def _upkeep(
    directory: Path, segments: _Segments, followers: list[cursors.Registered], config: Config, now: datetime
) -> Iterator[Finding]:
    """What `metrics compact` would do now, and which days it would leave for a follower to read first."""
    kept_from = layout.days_before(now, config.retention_days)
    expired = sum(day.end <= kept_from for day, _ in segments)
    closed = [(day, names) for day, names in segments if day.segments and kept_from < day.end <= now - GRACE]
    waiting = [cursors.holding(directory, day, names, followers) for day, names in closed]
    free = sum(not names for names in waiting)
    due = [f"{several(free, 'day')} can be compacted"] if free else []
    due += [f"{several(expired, 'day')} older than retention_days can be dropped"] if expired else []
    if due:
        yield Finding("Upkeep", ", ".join(due), "note", "metrics compact")
    if held := len(closed) - free:
        names = ", ".join(sorted({name for each in waiting for name in each}))
        message = f"{several(held, 'day')} can be compacted when {names} has read all of it"
        advice = f"run the follower; after cursor_days ({config.cursor_days}) without one, compaction goes ahead"
        yield Finding("Upkeep", message, "note", advice)


def _aside(directory: Path) -> Iterator[Finding]:
    if erasure_journal.is_unfinished(directory):
        yield Finding(
            "Forgetting", "it was interrupted and is half done", "bad", "metrics doctor --fix goes on with it"
        )
    aside = layout.set_aside_files(directory)
    if aside:
        message = f"{several(len(aside), 'file')} in {directory / layout.SET_ASIDE}"
        yield Finding("Set aside", message, "note", "look at them, and remove them when nobody needs them")


def _followers(
    directory: Path, segments: _Segments, followers: list[cursors.Registered], config: Config, now: datetime
) -> Iterator[Finding]:
    for each in followers:
        message = f"{each.name}: {'follows now' if each.active else f'last followed {ago(each.seen, now)}'}"
        file = directory / cursors.STATE / "cursors" / f"{each.name}.json"
        if each.cursor is None:
            message = f"{each.name}: its cursor cannot be read"
            yield Finding("Follower", message, "bad", f"remove {file}; it then reads everything anew")
            continue
        unread = sum(cursors.unread(directory, day, names, each.cursor) for day, names in segments)
        message += f", {size(unread)} behind" if unread else ", has read everything"
        if each.given_up:
            message += f"; given up, compaction waits for it no longer (cursor_days is {config.cursor_days})"
            yield Finding("Follower", message, "note", f"follow by that name again, or remove {file}")
        else:
            yield Finding("Follower", message)


def _records(tables: Tables, now: datetime) -> Iterator[Finding]:
    after = int((now + AHEAD).timestamp() * 1e6)
    number, first, last, ahead = tables.rows(
        "SELECT count(*), min(started_us), max(started_us), count(*) FILTER (started_us > $after) FROM queries",
        {"after": after},
    )[0]
    if not number:
        yield Finding("Records", "none yet", "note", "metrics demo makes some, metrics import FILE reads some in")
        return
    begin, end = (datetime.fromtimestamp(each / 1e6, UTC) for each in (first, last))
    yield Finding("Records", f"{several(number, 'query', 'queries')}, {dated(begin)} – {dated(end)} UTC")
    yield Finding("Newest", ago(end, now))
    if ahead:
        message = (
            f"{several(ahead, 'query', 'queries')} from the future, the last {ago(end, now)}; reports leave them out"
        )
        yield Finding("Clock", message, "bad", "set the clock of the machine that records")


_ADVICE = {
    "failing disk": "make room on the disk, or name another directory",
    "not writable": "let the user who records write there, or give each user a directory",
    "shutdown": "record before shutdown() is called",
}
"""What to do about records dropped for that reason."""


def _losses(tables: Tables) -> Iterator[Finding]:
    for column, name, advice in (
        ("dropped", "Dropped", "raise buffer_size or set on_full to wait; see the reason"),
        ("problems", "Problems", "the application's log has the first of each in full"),
    ):
        entries = f"SELECT unnest(map_entries({column})) AS entry FROM health"
        reasons = tables.rows(
            f"SELECT entry.key, sum(entry.value)::BIGINT FROM ({entries}) GROUP BY ALL ORDER BY 2 DESC, 1"
        )
        for reason, number in reasons:
            yield Finding(name, f"{count(number)}: {reason}", "bad", _ADVICE.get(reason, advice))
        if not reasons:
            yield Finding(name, "none")
    for file, number in tables.skipped_files.items():
        message = f"{several(number, 'line')} of {file}"
        yield Finding(
            "Skipped", message, "bad", "a crash or another program wrote them; metrics doctor --fix sets them aside"
        )
    if not tables.skipped:
        yield Finding("Skipped", "no line")
