"""The exporter: it follows the store, counts, keeps the ledger, and draws pages.

A page never shows what the ledger might lose: it is saved before. So counters go on as they were after a kill, even
where records were removed from the store meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from instrument import outside_counts
from instrument._version import __version__
from instrument.config import Config
from instrument.errors import StoreError
from instrument.exporters import names
from instrument.exporters.prometheus import ledger
from instrument.exporters.prometheus.counting import Counting
from instrument.exporters.prometheus.exposition import page
from instrument.exporters.prometheus.labels import cleaned
from instrument.exporters.prometheus.ledger import Ledger
from instrument.files import reason
from instrument.store import layout
from instrument.store.stored_records import AnyRow
from instrument.store.tail import Following, follow_rows

LARGEST_HISTORY = 256 << 20
"""Bytes of a store that are counted from their beginning where there is no ledger yet; of more, only what comes."""

SAVE_SECONDS = 10.0
"""How often the ledger is saved where nobody reads."""

_OUTSIDE_SECONDS = 5.0
_MOST_READERS = 64


class Progress(Struct, frozen=True):
    """How the exporter does: seconds since it had read everything (None: not yet), and what is wrong, in a sentence.

    `problem` keeps it from counting, `unsaved` from saving the ledger: it then counts on in memory.
    """

    behind_seconds: float | None
    problem: str = ""
    unsaved: str = ""


class Exporter:
    """Counters of one store. It may be used from several threads."""

    def __init__(self, directory: Path, config: Config, say: Callable[[str], None]) -> None:
        """`say` is given a sentence where counting does not simply go on from the ledger."""
        self._directory = directory
        self._config = config
        self._say = say
        self._lock = threading.Lock()
        self._follower: Following[AnyRow] | None = None
        self._cursor: str | None = None
        self._counting: Counting | None = None
        self._shown: dict[str, int] | None = None
        self._seen: dict[str, dict[str, int]] = {}
        self._skipped = 0
        self._outside: dict[str, int] = {}
        self._looked_outside = -_OUTSIDE_SECONDS
        self._caught_up: float | None = None
        self._is_behind = True
        self._is_dirty = False
        self._saved = 0.0
        self._problem = self._unsaved = ""

    @property
    def progress(self) -> Progress:
        """How it does."""
        caught_up = self._caught_up
        behind = None if caught_up is None else time.monotonic() - caught_up
        return Progress(behind, self._problem, self._unsaved)

    def catch_up(self, seconds: float) -> bool:
        """Count what is new in the store, for so long at the most; returns whether that was everything.

        Raises StoreError when the store cannot be read.
        """
        with self._lock:
            counting = self._catch_up(seconds)
            if self._is_dirty and time.monotonic() - self._saved > SAVE_SECONDS:
                self._save(counting)
            return not self._is_behind

    def page(self, *, open_metrics: bool, reader: str, seconds: float = 0.5) -> bytes:
        """Count what is new, save the ledger, and draw a page for `reader`, who is known by that name.

        A series that this reader has not seen before is 0 on it, so that Prometheus sees it rise: of a series that
        begins with 1, `increase()` is 0. Raises StoreError when the store cannot be read.
        """
        with self._lock:
            counting = self._catch_up(seconds)
            if self._is_dirty:
                self._save(counting)
            if self._shown is None:  # the history is still being read
                return page([counting.family(names.BUILD)], None, open_metrics=open_metrics)
            is_new = reader not in self._seen
            seen = self._seen.pop(reader, self._shown)
            drawn = page(counting.families.values(), seen, open_metrics=open_metrics)
            self._shown = self._seen[reader] = _sizes(counting)
            while len(self._seen) > _MOST_READERS:
                del self._seen[next(iter(self._seen))]
            self._is_dirty = self._is_dirty or is_new or self._shown != seen
            return drawn

    def close(self) -> None:
        """Save the ledger and let go of the store; the exporter may go on later."""
        with self._lock:
            if self._is_dirty and self._counting is not None:
                self._save(self._counting)
            self._let_go()

    # -- with the lock held ------------------------------------------------------------------------------------------

    def _catch_up(self, seconds: float) -> Counting:
        until = time.monotonic() + seconds
        self._is_behind = True
        try:
            counting, follower = self._begun()
            for rows in follower.batches():
                counting.add(rows, time.time())
                self._is_dirty = True
                if time.monotonic() >= until:
                    self._problem = ""
                    return counting
        except (StoreError, OSError) as error:
            self._problem = str(error)
            self._let_go()
            raise error if isinstance(error, StoreError) else StoreError(self._directory, reason(error)) from None
        self._after_all(counting, follower)
        return counting

    def _after_all(self, counting: Counting, follower: Following[AnyRow]) -> None:
        """Everything has been read: settle what did not come back, and look at what stands outside the store."""
        self._problem, self._is_behind = "", False
        self._caught_up = time.monotonic()
        counting.settle(time.time())
        counting.family(names.LINES_SKIPPED).cell().value = self._skipped + follower.skipped
        self._count_dropped(counting)
        if self._shown is None:
            self._shown, self._is_dirty = _sizes(counting), True

    def _begun(self) -> tuple[Counting, Following[AnyRow]]:
        """What counts and follows: as it was before, or begun from the ledger."""
        counting = self._counting
        if counting is None:
            counting = self._restored(self._loaded())
        if self._follower is None:
            try:
                self._follower = follow_rows(self._directory, self._cursor)
            except StoreError as error:
                if self._cursor is None:
                    raise
                self._say(f"{error.problem}: only what comes from now on is counted on")
                self._follower = follow_rows(self._directory)
                self._follower.skip()
            if self._counting is None and self._cursor is None and _size(self._directory) > LARGEST_HISTORY:
                self._follower.skip()
        self._counting = counting
        return counting, self._follower

    def _restored(self, known: Ledger | None) -> Counting:
        counting = Counting(self._config)
        if known is not None:
            for name, kept in known.families.items():
                if name in counting.families:
                    counting.families[name].restore(kept)
            counting.waiting, counting.said = known.waiting, known.said
            counting.restored()
            self._cursor, self._shown, self._skipped = known.cursor, known.shown, known.skipped
            self._seen = known.seen
        counting.family(names.BUILD).series.clear()
        counting.family(names.BUILD).cell(__version__).value = 1
        counting.family(names.LINES_SKIPPED).cell()
        return counting

    def _loaded(self) -> Ledger | None:
        try:
            return ledger.load(self._directory)
        except StoreError as error:
            with suppress(OSError):
                ledger.set_aside(self._directory)
            self._say(f"{error}; they begin anew")
            return None

    def _let_go(self) -> None:
        """Let go of the store, and keep the place up to which it was counted."""
        follower, self._follower = self._follower, None
        if follower is not None:
            self._cursor = follower.cursor.text
            self._skipped += follower.skipped
            follower.close()

    def _count_dropped(self, counting: Counting) -> None:
        """What health records say was dropped, and what processes could not say in the store.

        A process removes its file of counts once the store has taken them. Between the two both have them; so of the
        files only what stood there the last time, too, is counted.
        """
        stays: dict[str, int] = {}
        now = time.monotonic()
        if now - self._looked_outside >= _OUTSIDE_SECONDS:
            before, self._outside, self._looked_outside = self._outside, _outside(self._directory), now
            stays = {name: min(number, before.get(name, 0)) for name, number in self._outside.items()}
        for name in {*counting.said, *stays}:
            cell = counting.family(names.RECORDS_DROPPED).cell(cleaned(name))
            dropped = counting.said.get(name, 0) + stays.get(name, 0)
            if dropped > cell.value:
                cell.value, self._is_dirty = dropped, True

    def _save(self, counting: Counting) -> None:
        self._saved = time.monotonic()
        if self._shown is None or not self._directory.is_dir():
            return
        follower = self._follower
        kept = Ledger(
            version=ledger.VERSION,
            cursor=follower.cursor.text if follower is not None else self._cursor or "",
            families={name: family.kept() for name, family in counting.families.items() if family.series},
            shown=self._shown,
            skipped=self._skipped + (follower.skipped if follower is not None else 0),
            waiting=counting.waiting,
            said=counting.said,
            seen=self._seen,
        )
        try:
            ledger.save(self._directory, kept)
        except StoreError as error:
            if not self._unsaved:
                self._say(f"{error}; counting goes on in memory")
            self._unsaved = str(error)
        else:
            self._unsaved, self._is_dirty = "", False


def _sizes(counting: Counting) -> dict[str, int]:
    return {name: len(family.series) for name, family in counting.families.items()}


def _size(directory: Path) -> int:
    """Bytes of a store's records; 0 of one that is not there yet."""
    if not directory.exists():
        return 0
    files = (day.folder / name for day in layout.list_days(directory) for name in (*day.segments, *day.compacted))
    total = 0
    for file in files:
        with suppress(OSError):
            total += os.stat(file).st_size
    return total


def _outside(directory: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for counts in outside_counts.read_counts(directory):
        for name, number in counts.dropped.items():
            found[name] = found.get(name, 0) + number
    return found
