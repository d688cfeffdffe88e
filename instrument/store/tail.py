"""Following a store: every record once, across all processes' segments, in order within a process.

A follower lists what lies in the days' folders and reads on in each segment behind the byte that it has reached. What
it has not read of a segment before compaction replaced it, it reads from the compacted file, whose rows say where they
stood. So its place is the same whatever becomes of the files: `cursors.Cursor`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self

from instrument import followed
from instrument.errors import StoreError, UsageError
from instrument.files import reason
from instrument.records import Record
from instrument.store import cursors, layout
from instrument.store.cursors import Cursor, DayPlace, Registration
from instrument.store.day_tail import Batch, DayTail
from instrument.store.stored_records import RECORDS, ROWS, AnyRow, Shape, T
from instrument.store.watching import Change, Watcher

_LOOK_SECONDS = 1.0
"""How often a waiting follower looks whether the store was moved away."""

_SWEEP_SECONDS = 5.0
"""How often it looks at every file, for what nothing told it of."""

_BLIND_SECONDS = 0.03
"""How often it looks where nothing tells it of changes, at files that grew within `_LATELY_SECONDS`."""

_LATELY_SECONDS = 60.0
_BLIND_SWEEP_SECONDS = 2.0

_GATHER_SECONDS = 0.005
"""How long changes are gathered before they are read, so that many writers do not wake it for every line."""

_SAVE_SECONDS = 1.0
_TOUCH_SECONDS = 60.0
_WATCHED_DAYS = 40
_TRIES = 5


def follow(
    directory: str | os.PathLike[str],
    cursor: Cursor | str | None = None,
    *,
    name: str | None = None,
    wait: float | None = None,
) -> Follower:
    """Follow a store, from its first record or from behind a cursor.

    `cursor` is a follower's `cursor` or the text of one. `name` registers the cursor in the store: it goes on from
    where the follower of that name was, and compaction waits for it. `wait` is how many seconds an iteration waits for
    a new record before it ends: 0 gives what is there now, None waits for ever. The store need not exist yet.

    Raises StoreError for a cursor that is damaged, of a later version or of another store, and while another follower
    has the name; UsageError for a name or a `wait` that cannot be.
    """
    if wait is not None and not wait >= 0:
        raise UsageError(f"wait is {wait}; give the seconds to wait for a new record, or None to wait for ever")
    start = Cursor.parsed(cursor) if isinstance(cursor, str) else cursor
    return Follower(Path(directory), start, name, wait)


def follow_rows(directory: str | os.PathLike[str], cursor: Cursor | str | None = None) -> Following[AnyRow]:
    """Follow a store by its rows instead of its records, three times as fast. An iteration gives what is there now.

    Raises StoreError as `follow` does.
    """
    start = Cursor.parsed(cursor) if isinstance(cursor, str) else cursor
    return Following(Path(directory), start, None, 0, ROWS)


class _Turn:
    """One iteration: how often it looked at everything since the last record, and until when it waits."""

    def __init__(self) -> None:
        self.looks = 0
        self.deadline: float | None = None


class Following(Generic[T]):
    """Records of a store, in one of the shapes, each once, as they come: iterate it, or its `batches()`.

    An iteration ends when nothing new has come for `wait` seconds; a further one goes on behind it. `cursor` is the
    place behind the record given last. `skipped` counts lines that were no records. A follower with a name keeps its
    cursor in the store when it waits, every second while it catches up, and when it is closed; where an exception ends
    its `with`, the place that was kept before stays. Use it from one thread.
    """

    def __init__(
        self, directory: Path, cursor: Cursor | None, name: str | None, wait: float | None, shape: Shape[T]
    ) -> None:
        self.directory = directory
        self.skipped = 0
        self._wait = wait
        self._shape = shape
        self._registration = Registration(directory, name) if name else None
        self._name_held = ExitStack()
        self._watcher = Watcher()
        self._closed = False
        self._store = cursor.store if cursor else ""
        self._places: dict[str, DayPlace] = dict(cursor.copied().days) if cursor else {}
        self._elsewhere: dict[str, dict[str, DayPlace]] = {}
        self._resumed = cursor is not None
        self._days: dict[Path, DayTail[T]] = {}
        self._identity: tuple[int, int] | None = None
        self._reading: Iterator[Batch[T]] = iter(())
        self._batch: Batch[T] | None = None
        self._swept = self._looked = self._kept_at = 0.0
        self._touched = -followed.TOUCH_SECONDS
        self._kept = ""
        try:
            self._find_store(first=True)
        except BaseException:
            self._let_go()
            raise

    @property
    def cursor(self) -> Cursor:
        """The place behind the record that was given last."""
        days = self._places | {day.folder.name: day.place for day in self._days.values()}
        known = {name: place for name, place in sorted(days.items()) if place != DayPlace()}
        return Cursor(version=cursors.VERSION, store=self._store, days=known).copied()

    def __iter__(self) -> Iterator[T]:
        """Give records one by one."""
        turn = _Turn()
        while batch := self._advance(turn):
            while (record := batch.next()) is not None:
                yield record

    def batches(self) -> Iterator[list[T]]:
        """Give records in lists, some hundred to some thousand at a time while there are many."""
        turn = _Turn()
        while batch := self._advance(turn):
            yield batch.rest()

    def skip(self) -> None:
        """Go behind everything that is there now, unread: what comes from now on is given."""
        self._reading, self._batch = iter(()), None
        if self._identity is not None:
            self._list_days()
            for day in self._days.values():
                day.skip()

    def save(self) -> None:
        """Keep the cursor of a follower with a name in the store, now; raises StoreError when that fails."""
        if self._registration and self._identity:
            text = self.cursor.text
            if text != self._kept:
                self._registration.save(text)
                self._kept = text

    def close(self) -> None:
        """Keep the cursor of a follower with a name, and let go of the name; harmless when repeated."""
        if not self._closed:
            self._closed = True
            try:
                self.save()
            finally:
                self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        self._watcher.close()
        self._name_held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, (KeyboardInterrupt, GeneratorExit)):
            self.close()
        else:
            self._let_go()

    # -- what comes next ---------------------------------------------------------------------------------------------

    def _advance(self, turn: _Turn) -> Batch[T] | None:
        """A batch with something left to give; None when the waiting is over."""
        while not self._closed:
            if self._batch is not None:
                if self._batch.left:
                    turn.deadline, turn.looks = None, 1
                    return self._batch
                self._batch.finish()
                self.skipped += self._batch.skipped
                self._keep(_SAVE_SECONDS)
            self._batch = next(self._reading, None)
            if self._batch is None and not self._look_further(turn):
                return None
        return None

    def _look_further(self, turn: _Turn) -> bool:
        """Begin to read what has come since, after a wait for it; False when nothing came in time."""
        missed = [day for day in self._days.values() if day.missed]
        if not turn.looks or (missed and turn.looks < _TRIES):
            turn.looks += 1
            for day in missed:
                day.missed = False
            self._reading = self._sweep(None)
            return True
        now = time.monotonic()
        if turn.deadline is None and self._wait is not None:
            turn.deadline = now + self._wait
        if now >= self._touched + followed.TOUCH_SECONDS:
            self._touched = now
            followed.touch(self.directory)
        left = _LOOK_SECONDS if turn.deadline is None else turn.deadline - now
        self._keep(0 if left <= 0 else _SAVE_SECONDS)
        if left <= 0:
            return False
        self._reading = self._sweep(self._awaited(min(left, _LOOK_SECONDS)))
        return True

    def _awaited(self, seconds: float) -> list[Change] | None:
        """Wait for changes; None when everything is to be looked at."""
        if self._watcher.blind or self._identity is None:
            time.sleep(min(seconds, _BLIND_SECONDS))
            overdue = time.monotonic() - self._swept > _BLIND_SWEEP_SECONDS
            return None if overdue or self._identity is None else self._lately()
        changes = self._watcher.wait(seconds)
        if changes:
            time.sleep(_GATHER_SECONDS)
            more = self._watcher.wait(0)
            changes = None if more is None else changes + more
        return None if time.monotonic() - self._swept > _SWEEP_SECONDS else changes

    def _lately(self) -> list[Change]:
        """What to look at where nothing tells of changes."""
        since = time.monotonic() - _LATELY_SECONDS
        newest = sorted(self._days)[-2:]
        return [Change(folder, "", True) for folder in newest] + [
            Change(day.folder, name, False)
            for day in self._days.values()
            for name, grew in day.grew.items()
            if grew > since
        ]

    def _sweep(self, changes: list[Change] | None) -> Iterator[Batch[T]]:
        """What is new in the files that changed, or in all."""
        now = time.monotonic()
        if changes is None or now - self._looked > _LOOK_SECONDS:
            self._looked = now
            if self._find_store():
                changes = None
        if changes is None or any(change.folder == self.directory for change in changes):
            return self._everything()
        return self._changed(changes) if changes else iter(())

    def _everything(self) -> Iterator[Batch[T]]:
        self._swept = time.monotonic()
        if self._identity is None:
            return
        self._list_days()
        days = [self._days[folder] for folder in sorted(self._days)]
        for day in days:
            day.look(anew=False)
        for day in days:
            yield from day.batches(day.live)

    def _changed(self, changes: list[Change]) -> Iterator[Batch[T]]:
        named: dict[Path, set[str]] = {}
        listed: dict[Path, bool] = {}
        for folder, name, listing in changes:
            if (day := self._days.get(folder)) and not name.startswith("."):
                named.setdefault(folder, set()).add(name)
                listed[folder] = listed.get(folder, False) or listing or name not in day.live
        # A segment that is new follows another of its process, the end of which is to be read first.
        new = [self._days[folder].look(anew=True) for folder, listing in listed.items() if listing]
        if any(new):
            yield from self._everything()
            return
        for folder in sorted(named):
            yield from self._days[folder].batches([name for name in self._days[folder].live if name in named[folder]])

    def _list_days(self) -> None:
        try:
            names = [entry.name for entry in os.scandir(self.directory) if entry.is_dir()]
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(self.directory, f"the store cannot be read: {reason(error)}") from None
        found = {self.directory / name: day for name in names if (day := layout.day_of(name))}
        for folder in self._days.keys() - found.keys():
            del self._days[folder]
        self._watcher.watch([self.directory, *sorted(found)[-_WATCHED_DAYS:]])
        for folder, day in found.items():
            if folder not in self._days:
                self._days[folder] = DayTail(day, folder, self._places.pop(folder.name, DayPlace()), self._shape)
        self._places.clear()  # days that are no more

    # -- the store itself --------------------------------------------------------------------------------------------

    def _find_store(self, *, first: bool = False) -> bool:
        """See whether the directory is another than before; returns whether it is."""
        try:
            found = os.stat(self.directory)
        except FileNotFoundError:
            self._identity = None
            return False
        except OSError as error:
            raise StoreError(self.directory, f"the store cannot be looked at: {reason(error)}") from None
        identity = (found.st_dev, found.st_ino)
        if identity == self._identity and time.monotonic() - self._swept < _SWEEP_SECONDS:
            return False
        layout.check_directory(self.directory)
        own = cursors.id_of_store(self.directory)
        if own == self._store and identity == self._identity:
            return False
        if first:
            cursors.check_store(self.directory, self.cursor, own)
        self._identity = identity
        self._enter(own)
        return True

    def _enter(self, own: str) -> None:
        """Follow the store of this id from now on: from its first record, or from where it was left."""
        if self._store and own and self._store != own:
            self._elsewhere[self._store] = self.cursor.days
            self._days.clear()
            self._places = self._elsewhere.pop(own, {})
        self._store = own or self._store
        self._kept = ""
        if self._registration:
            self._name_held.close()
            self._name_held.enter_context(self._registration.held())
            known = self._registration.load()
            if known and not self._resumed:
                cursors.check_store(self.directory, known, own)
                self._places = known.days
            self._resumed = True
            self.save()

    def _keep(self, seconds: float) -> None:
        """Save the cursor unless that was done in the last so many seconds, and say that it is still followed from."""
        now = time.monotonic()
        if self._registration is None or now - self._kept_at < seconds:
            return
        with suppress(StoreError):  # the disk is full: the next time then
            unchanged = self._kept
            self.save()
            if self._kept != unchanged:
                self._kept_at = now
            elif now - self._kept_at > _TOUCH_SECONDS:
                self._registration.touch()
                self._kept_at = now


class Follower(Following[Record]):
    """The records of a store, as users see them."""

    def __init__(self, directory: Path, cursor: Cursor | None, name: str | None, wait: float | None) -> None:
        super().__init__(directory, cursor, name, wait, RECORDS)
