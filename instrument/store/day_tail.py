"""What of a day nobody has been given yet: batches of records out of its compacted files and its segments."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Generic

from instrument.errors import StoreError
from instrument.files import reason
from instrument.store import compacted_rows, layout, segment_lines
from instrument.store.cursors import DayPlace
from instrument.store.day_files import DayFiles
from instrument.store.engine import duckdb
from instrument.store.stored_records import Shape, T

_BATCH = 1000
_TAIL = "{stem}-from-{size}" + layout.SEGMENT_SUFFIX


class Batch(Generic[T]):
    """Records that are given one after the other, each with the place behind it."""

    def __init__(self, day: DayTail[T]) -> None:
        self.day = day
        self.records: list[T] = []
        self.names: list[str] = []
        self.ends: list[int] = []
        self.final: dict[str, int] = {}
        self.skipped = 0
        self.taken_in = ""
        self.given = 0

    @property
    def left(self) -> int:
        """How many records were not given yet."""
        return len(self.records) - self.given

    def next(self) -> T | None:
        """The next record, with the day's place moved behind it; None when all were given."""
        number = self.given
        if number == len(self.records):
            return None
        self.given += 1
        self.day.move(self.names[number], self.ends[number])
        return self.records[number]

    def rest(self) -> list[T]:
        """All that was not given yet, with the day's place moved behind it."""
        records = self.records[self.given :]
        for name, end in zip(self.names[self.given :], self.ends[self.given :], strict=True):
            self.day.move(name, end)
        self.given = len(self.records)
        return records

    def finish(self) -> None:
        """Move the day's place behind all of the batch, what was no record included."""
        for name, end in self.final.items():
            self.day.move(name, end)
        if self.taken_in:
            self.day.take_in(self.taken_in)


class DayTail(Generic[T]):
    """One day's folder: what is known of its files, and how far they were read."""

    def __init__(self, day: date, folder: Path, place: DayPlace, shape: Shape[T]) -> None:
        self.folder = folder
        self.place = place
        self._shape = shape
        self._files = DayFiles(day, folder)
        self.live: list[str] = []
        self.compacted: list[str] = []
        self.missed = False
        self.sizes: dict[str, int] = {}
        self.grew: dict[str, float] = {}

    def look(self, *, anew: bool) -> bool:
        """List the folder if it changed; returns whether a segment is there that was not before."""
        listed = self._files.listed(anew=anew)
        if listed is None:
            return False
        self.compacted = [name for name in listed.compacted if name not in self.place.files]
        asked = listed.compacted if listed.segments else self.compacted
        replaced = {name for file in asked for name in self._files.replaced_by(file)}
        known, self.live = set(self.live), [name for name in listed.segments if name not in replaced]
        self.place.files = [name for name in self.place.files if name in listed.compacted]
        self.place.rows = {name: number for name, number in self.place.rows.items() if name in listed.compacted}
        return not known.issuperset(self.live)

    def move(self, name: str, end: int) -> None:
        """Say how far a segment was read; names that end as a compacted file's do count rows."""
        if name.endswith(layout.PARQUET_SUFFIX):
            self.place.rows[name] = end
        else:
            self.place.segments[name] = end

    def take_in(self, file: str) -> None:
        """Say that nothing of a compacted file is left to read, nor of what it replaces."""
        for name, size in self._files.replaced_by(file).items():
            read = self.place.segments.pop(name, 0)
            if read > size:  # a late writer's lines behind it, which compaction keeps in a file of their own
                tail = _TAIL.format(stem=name.removesuffix(layout.SEGMENT_SUFFIX), size=size)
                self.place.segments[tail] = read - size
        self.place.segments.pop(file.removesuffix(layout.PARQUET_SUFFIX), None)
        self.place.rows.pop(file, None)
        self.place.files.append(file)
        self.compacted = [name for name in self.compacted if name != file]

    def skip(self) -> None:
        """Say that everything there is was read, but a last line that is not whole yet."""
        self.look(anew=True)
        for file in list(self.compacted):
            self._files.replaced_by(file)
            self.take_in(file)
        for name in self.live:
            with suppress(OSError):  # compacted meanwhile: what replaced it is new, and given
                self.place.segments[name] = segment_lines.end_of_lines(self.folder / name)

    def batches(self, segments: list[str]) -> Iterator[Batch[T]]:
        """What is new in the day: in compacted files first, then in these segments."""
        for name in list(self.compacted):
            if self._files.knows(name):
                yield from self._compacted_batches(name)
        for name in segments:
            try:
                size = os.stat(self.folder / name).st_size
                if size != self.sizes.get(name):
                    yield from self._segment_batches(name)
                    self.sizes[name] = size
                    self.grew[name] = time.monotonic()
            except FileNotFoundError:
                self.missed = True  # compacted meanwhile: listed again
                self._files.look_again()
            except PermissionError as error:
                raise StoreError(self.folder / name, f"it cannot be read: {reason(error)}") from None

    def _segment_batches(self, name: str) -> Iterator[Batch[T]]:
        for block in segment_lines.blocks(self.folder / name, self.place.segments.get(name, 0), self._shape):
            batch = Batch(self)
            batch.records, batch.ends, batch.skipped = block.records, block.ends, block.skipped
            batch.names = [name] * len(block.records)
            batch.final = {name: block.end}
            yield batch

    def _compacted_batches(self, file: str) -> Iterator[Batch[T]]:
        batch, identity = Batch(self), self._files.identity(file)
        try:
            if self._is_read(file):
                batch.taken_in = file
                yield batch
                return
            replaced = self._files.replaced_by(file)
            rows = compacted_rows.unread_rows(self.folder / file, replaced, self.place, self._shape)
            for segment, place, record in rows:
                if record is not None:
                    batch.records.append(record)
                    batch.names.append(segment or file)
                    batch.ends.append(place + 1)
                if len(batch.records) >= _BATCH:
                    yield batch
                    batch = Batch(self)
        except compacted_rows.PartlyReadError:
            raise
        except (duckdb.Error, StoreError, FileNotFoundError):
            # Replaced or damaged while it was read: what is left comes when it is another file.
            self.missed = True
            self._files.give_up(file, identity)
        else:
            batch.taken_in = file
        yield batch

    def _is_read(self, file: str) -> bool:
        sizes = self._files.replaced_by(file)
        return bool(sizes) and all(self.place.segments.get(name, 0) >= size for name, size in sizes.items())
