"""Places in a store up to which a follower has read, as text and as files that hold compaction back.

    <directory>/.state/store                    an id that tells this store from others
    <directory>/.state/cursors/<name>.json      a registered cursor
    <directory>/.state/cursors/<name>.lock      locked while somebody follows by that name

A registered cursor is as old as its file: who follows touches it, and one that nobody has touched for `cursor_days`
holds nothing back any more.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.errors import StoreError, UsageError
from instrument.files import alone, make_directory, reason, write_file, write_once
from instrument.rows.decoding import UnreadableError, decoded, decoded_freely
from instrument.rows.stored import LONGEST_LINE
from instrument.store.layout import Day, days_before

STATE = ".state"
VERSION = 1

_CURSORS, _STORE = "cursors", "store"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class DayPlace(Struct, omit_defaults=True, rename={"segments": "s", "files": "f", "rows": "r"}):
    """How much of one day was read.

    `segments` says how many bytes of which; `files` are the compacted files of which nothing is left to read; `rows`
    says how many rows of one that an earlier version wrote, which does not say where its rows came from.
    """

    segments: dict[str, int] = {}
    files: list[str] = []
    rows: dict[str, int] = {}


class Cursor(Struct, omit_defaults=True):
    """A place in a store: what lies before it was read. `text` is what to keep, `Cursor.parsed` takes it back."""

    version: int = 0
    store: str = ""
    days: dict[str, DayPlace] = {}

    @property
    def text(self) -> str:
        """The cursor as one line of JSON."""
        return msgspec.json.encode(self).decode()

    def copied(self) -> Cursor:
        """The same place, which stays as it is while a follower goes on."""
        return decoded(self.text, _cursors)

    @classmethod
    def parsed(cls, text: str | bytes) -> Cursor:
        """The cursor that a text stands for; raises StoreError when it is damaged or of a later version."""
        try:
            found = decoded(text, _cursors)
        except UnreadableError:
            raise StoreError("the cursor", f"it is damaged; {_ANEW}") from None
        if found.version > VERSION:
            raise StoreError("the cursor", f"a later version wrote it (its format is {found.version}); update this one")
        if found.version < 1 or any(end < 0 for day in found.days.values() for end in day.segments.values()):
            raise StoreError("the cursor", f"it is damaged; {_ANEW}")
        return found


_ANEW = "follow without a cursor to read everything anew"
_cursors = msgspec.json.Decoder(Cursor)


def id_of_store(directory: Path) -> str:
    """What tells this store from others, made when first asked for; "" where it cannot be written."""
    file = directory / STATE / _STORE
    try:
        return file.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        return ""
    try:
        make_directory(file.parent, inside=True)
        write_once(file, uuid.uuid4().hex.encode())
        return file.read_text("ascii").strip()
    except (OSError, StoreError):
        return ""


def check_store(directory: Path, cursor: Cursor, own: str) -> None:
    """Raise StoreError when a cursor belongs to another store than the one with the id `own`."""
    if cursor.store and own and cursor.store != own:
        raise StoreError(directory, f"the cursor is of another store; {_ANEW}, or name that store")


# -- registered cursors ----------------------------------------------------------------------------------------------


class Registration:
    """A name in the store under which one follower at a time keeps its cursor."""

    def __init__(self, directory: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a follower; use up to 64 letters, digits, '-', '_' and '.'")
        self._file = directory / STATE / _CURSORS / f"{name}.json"
        self._name = name

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the name; raises StoreError while another follower has it."""
        make_directory(self._file.parent.parent, inside=True)
        make_directory(self._file.parent, inside=True)
        taken = f"somebody follows as {self._name!r} already; give this follower a name of its own"
        with alone(self._file.parent, f"{self._name}.lock", taken):
            yield

    def load(self) -> Cursor | None:
        """The cursor as it was saved last; raises StoreError as `Cursor.parsed` does."""
        try:
            return Cursor.parsed(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(self._file, f"the cursor cannot be read: {reason(error)}") from None

    def save(self, text: str) -> None:
        """Write the cursor's text, whole or not at all."""
        try:
            write_file(self._file, [text.encode()])
        except OSError as error:
            raise StoreError(self._file, f"the cursor cannot be saved: {reason(error)}") from None

    def touch(self) -> None:
        """Say that the cursor is still followed from."""
        with suppress(OSError):
            os.utime(self._file)


class Registered(Struct, frozen=True):
    """A cursor in a store: who, when last seen, whether somebody follows now, whether it was given up.

    `cursor` is None where it cannot be read.
    """

    name: str
    seen: datetime
    active: bool
    given_up: bool
    cursor: Cursor | None


CURSOR_DAYS = 7
"""How many days a cursor holds compaction back that nobody follows from, unless the settings say otherwise."""


def registered(directory: Path, *, now: datetime, cursor_days: int = CURSOR_DAYS) -> list[Registered]:
    """The cursors in a store, by name."""
    found = []
    for file in sorted((directory / STATE / _CURSORS).glob("*.json")):
        try:
            seen = datetime.fromtimestamp(os.stat(file).st_mtime, now.tzinfo)
            content = file.read_bytes()
        except OSError:
            continue
        try:
            cursor = Cursor.parsed(content)
        except StoreError:
            cursor = None
        active = _is_followed(file)
        given_up = not active and seen < days_before(now, cursor_days)
        found.append(Registered(file.stem, seen, active, given_up, cursor))
    return found


def _is_followed(file: Path) -> bool:
    try:
        with alone(file.parent, f"{file.stem}.lock", ""):
            return False
    except StoreError:
        return True


def unread(directory: Path, day: Day, segments: list[str], cursor: Cursor) -> int:
    """How many bytes of a day's segments lie behind a cursor."""
    place = cursor.days.get(day.day.isoformat(), DayPlace())
    return sum(_unread(day.folder / name, place.segments.get(name, 0)) for name in segments)


def _unread(segment: Path, read: int) -> int:
    try:
        left = os.stat(segment).st_size - read
    except OSError:
        return 0
    return left if left > 0 and not _is_torn(segment, read) else 0


def _is_torn(segment: Path, start: int) -> bool:
    """Whether nothing but a line that was cut off stands from there on; a line that lacks its end alone is whole."""
    with open(segment, "rb") as stream:
        stream.seek(start)
        rest = stream.readline(LONGEST_LINE + 1)
        if rest.endswith(b"\n") or stream.read(1):
            return False
    try:
        decoded_freely(rest)
    except UnreadableError:
        return True
    return False


def holding(directory: Path, day: Day, segments: list[str], cursors: list[Registered]) -> list[str]:
    """Who has not read all of a day's segments yet, by name."""
    own = id_of_store(directory) if cursors else ""
    return [
        each.name
        for each in cursors
        if each.cursor is not None
        and not each.given_up
        and (not each.cursor.store or each.cursor.store == own)
        and unread(directory, day, segments, each.cursor)
    ]
