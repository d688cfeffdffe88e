"""One day's folder: which segments hold lines that no compacted file has, and which compacted files there are."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

from instrument.store import compacted_rows, layout
from instrument.store.layout import Day

_UNSETTLED_NS = 100_000_000
"""How long after a folder changed another change may bear the same time."""

Identity = tuple[int, int]
"""What tells a file from another of its name: its inode and its size."""


class DayFiles:
    """A day's folder, listed again only when it changed; what a compacted file replaces is read once."""

    def __init__(self, day: date, folder: Path) -> None:
        self.day = day
        self.folder = folder
        self._replaced: dict[str, dict[str, int]] = {}
        self._unreadable: dict[str, Identity | None] = {}
        self._changed = -1

    def listed(self, *, anew: bool) -> Day | None:
        """What lies in the folder; None where it did not change since the last time, or is gone."""
        try:
            changed = os.stat(self.folder).st_mtime_ns
        except OSError:
            return None
        if changed == self._changed and not anew:
            return None
        settled = abs(time.time_ns() - changed) > _UNSETTLED_NS
        self._changed = changed if settled else -1
        return layout.list_day(self.day, self.folder)

    def look_again(self) -> None:
        """List the folder the next time, whether it seems to have changed or not."""
        self._changed = -1

    def knows(self, file: str) -> bool:
        """Whether it is known what a compacted file replaces."""
        return file in self._replaced

    def replaced_by(self, file: str) -> dict[str, int]:
        """The segments that a compacted file replaces; a damaged file, which may be mended, replaces none."""
        if file not in self._replaced:
            identity = self.identity(file)
            if self._unreadable.get(file, ()) == identity:
                return {}
            replaced = compacted_rows.replaced_by(self.folder / file)
            if replaced is None:
                self._unreadable[file] = identity
                return {}
            self._replaced[file] = replaced
        return self._replaced[file]

    def give_up(self, file: str, identity: Identity | None) -> None:
        """Say that a compacted file could not be read; it is looked at again when it is another."""
        self.look_again()
        self._replaced.pop(file, None)
        self._unreadable[file] = identity

    def identity(self, file: str) -> Identity | None:
        """What tells a file from another of its name; None where there is none."""
        with suppress(OSError):
            found = os.stat(self.folder / file)
            return found.st_ino, found.st_size
        return None
