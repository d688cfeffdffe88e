"""Lines out of the store for good, whatever is appending beside and whenever the power goes.

A line of a segment is overwritten with blanks where it stands. So a segment keeps its length, its place and its file,
its writer notices nothing, and readers pass over blank lines; nothing has to be told from what is appended meanwhile.
Compacted files and the files beside the store are written anew and take the old one's name.

What is to be done is decided first and written down (`.erasing`: places, names, ids and digests, no text of a record).
Until then nothing has changed; from then on it is done in full, by whoever next compacts, mends or forgets, if not now:
every step may be repeated. A reader at that very moment may count a line as skipped that it saw half blank.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument.errors import StoreError
from instrument.files import reason, sync_directory, write_file
from instrument.store.upkeep import kept_files

Place = tuple[int, int]
"""Where in a file, and how many bytes."""

_JOURNAL = ".erasing"
_CHUNK = 1 << 20
_IDLE_SECONDS = 4200
"""How long after its last write a segment is not written to any more, where the system does not tell."""


class Erasure(Struct):
    """What is to be erased; files are named from the store's directory on.

    `blanks` are places in files of lines, `renames` new files and the ones they stand in for, `removals` files that
    nothing would be left of. `documents` are files beside the store (their paths), out of which the queries of `ids`
    and the entries of `digests` are to go.
    """

    blanks: dict[str, list[Place]] = field(default_factory=dict[str, list[Place]])
    renames: dict[str, str] = field(default_factory=dict[str, str])
    removals: list[str] = field(default_factory=list[str])
    documents: list[str] = field(default_factory=list[str])
    ids: list[str] = field(default_factory=list[str])
    digests: list[str] = field(default_factory=list[str])


def erase(store: Path, erasure: Erasure) -> None:
    """Erase, under the lock of `upkeep`; raises StoreError, after which `finish` goes on, when the disk fails."""
    begin(store, erasure)
    finish(store)


def begin(store: Path, erasure: Erasure) -> None:
    """Write down what is to be done: from here on it will be."""
    try:
        write_file(store / _JOURNAL, [msgspec.json.encode(erasure)])
    except OSError as error:
        raise StoreError(store, f"nothing was erased: {reason(error)}") from None


def is_unfinished(store: Path) -> bool:
    """Whether a killed process left something half erased."""
    return (store / _JOURNAL).exists()


def finish(store: Path) -> bool:
    """Do what is written down, if anything is; returns whether there was. Only under the lock of `upkeep`."""
    journal = store / _JOURNAL
    try:
        erasure = msgspec.json.decode(journal.read_bytes(), type=Erasure)
    except FileNotFoundError:
        return False
    except msgspec.DecodeError:
        raise StoreError(journal, "this is not what `metrics forget` writes down; remove it and forget again") from None
    try:
        _apply(store, erasure)
        journal.unlink()
        sync_directory(store)
    except OSError as error:
        told = f"the erasure stopped ({reason(error)}); `metrics doctor --fix` goes on with it"
        raise StoreError(error.filename or store, told) from None
    return True


def _apply(store: Path, erasure: Erasure) -> None:
    for name, places in erasure.blanks.items():
        _blank(store / name, places)
    for new, old in erasure.renames.items():
        if (store / new).exists():
            os.rename(store / new, store / old)
            sync_directory((store / old).parent)
    for name in erasure.removals:
        (store / name).unlink(missing_ok=True)
    ids, digests = frozenset(erasure.ids), frozenset(erasure.digests)
    for path in erasure.documents:
        kept_files.take_out(
            Path(path), lambda entry: entry.query_id in ids or kept_files.digest(entry.content) in digests
        )


def _blank(file: Path, places: list[Place]) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for offset, length in places:
            _overwrite(descriptor, offset, min(length, os.fstat(descriptor).st_size - offset))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int, offset: int, length: int) -> None:
    while length > 0:
        written = os.pwrite(descriptor, b" " * min(length, _CHUNK), offset)
        offset, length = offset + written, length - written


def lines_of(file: Path) -> Iterator[tuple[Place, bytes]]:
    """The lines of a file that are not blank, each with its place, its line end not included."""
    return ((place, line) for place, line, _ in _read(file))


def settled_lines(file: Path) -> Iterator[tuple[Place, bytes]]:
    """The same without a last one that a living process may be in the middle of."""
    for place, line, ended in _read(file):
        if ended or (not may_grow(file) and sum(place) == os.stat(file).st_size):
            yield place, line


def _read(file: Path) -> Iterator[tuple[Place, bytes, bool]]:
    offset = 0
    with open(file, "rb") as stream:
        for line in stream:
            text = line.removesuffix(b"\n")
            if text.strip():
                yield (offset, len(text)), text, text is not line
            offset += len(line)


def may_grow(file: Path) -> bool:
    """Whether a process has a segment open for writing; told by its age where the system keeps no leases."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)  # refused where anybody has it open for writing
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return time.time() - os.fstat(descriptor).st_mtime < _IDLE_SECONDS
    finally:
        os.close(descriptor)
