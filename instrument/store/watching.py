"""Waiting until something changes in a few folders: told by the system where it can, else a short sleep.

Linux tells of every write to a file in a watched folder (inotify), so that waiting costs nothing and lasts no longer
than it must. Elsewhere, on file systems of other machines and where the system's limit is reached, nothing tells; then
whoever waits looks for himself.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_WATCHED = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT = struct.Struct("iIII")
_BUFFER = 1 << 16


class Change(NamedTuple):
    """A file that was written to, or with `listing` a folder whose files are others now; name "" is the folder."""

    folder: Path
    name: str
    listing: bool


class Watcher:
    """Watches folders until closed. `blind` says that the system does not tell of changes."""

    def __init__(self) -> None:
        self._folders: dict[int, Path] = {}
        self._descriptor = -1
        with suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.inotify_init1(_FLAGS)
            if not self.blind:  # a user has 128 of these, mostly
                self._poll = select.poll()
                self._poll.register(self._descriptor, select.POLLIN)

    @property
    def blind(self) -> bool:
        """Whether nothing tells of changes."""
        return self._descriptor < 0

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders and no others; those that are not there are passed over."""
        if self.blind:
            return
        watched = set()
        for folder in folders:
            number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _WATCHED)
            if number >= 0:
                self._folders[number] = folder
                watched.add(number)
        for number in self._folders.keys() - watched:
            self._libc.inotify_rm_watch(self._descriptor, number)
            del self._folders[number]

    def wait(self, seconds: float) -> list[Change] | None:
        """What changed, at the latest after so many seconds; None when anything may have."""
        return self._read() if self._poll.poll(max(0.0, seconds) * 1000) else []

    def _read(self) -> list[Change] | None:
        changes: dict[Change, None] = {}
        with suppress(BlockingIOError):
            while content := os.read(self._descriptor, _BUFFER):
                place = 0
                while place < len(content):
                    number, mask, _, length = _EVENT.unpack_from(content, place)
                    place += _EVENT.size
                    name = os.fsdecode(content[place : place + length].rstrip(b"\0"))
                    place += length
                    if mask & _OVERFLOW:
                        return None
                    if folder := self._folders.get(number):
                        changes[Change(folder, name, not mask & _MODIFY)] = None
        return list(changes)

    def close(self) -> None:
        """Let go of the folders; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
