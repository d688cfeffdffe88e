"""Compacted days of a store, put into a lake under names that are the same each time.

What was shipped is written down in the store, so that each file goes once, goes again when `metrics forget` has changed
it, and can be found when somebody's records are to leave the lake, too. Open segments never go: they go with their day,
once it is compacted. Nothing here deletes what another store has shipped.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument.errors import RefusedError, StoreError
from instrument.exporters import delta
from instrument.exporters.delivery import Delivery
from instrument.exporters.shipping import Order, oldest_day
from instrument.files import TEMPORARY, alone, make_directory, write_file
from instrument.rows.decoding import UnreadableError, decoded
from instrument.store import layout
from instrument.store.cursors import STATE
from instrument.store.lake import Lake, reached

_FILE, _LOCK = "lakes.json", "lakes.lock"


class Shipped(Struct):
    """One file as it was when it was shipped, and the key under which it lies in the lake."""

    key: str
    size: int
    modified_ns: int


class Manifest(Struct):
    """What a store has shipped: for each lake's address its files, by day and name; `tables` are Delta tables, too."""

    version: int = 1
    lakes: dict[str, dict[str, Shipped]] = field(default_factory=dict[str, dict[str, Shipped]])
    tables: list[str] = field(default_factory=list[str])


class Outcome(Struct):
    """What one round did: files shipped now, their bytes, files that were there already, days not compacted yet.

    `expired` are the files of days that are too old, which were removed from the lake.
    """

    files: int = 0
    bytes: int = 0
    there: int = 0
    expired: int = 0
    waiting: list[str] = field(default_factory=list[str])


_manifests = msgspec.json.Decoder(Manifest)


def ship(directory: str | Path, address: str, *, as_table: bool = False, keep_days: int | None = None) -> Outcome:
    """Ship every compacted file of a store that the lake does not have as it is now.

    `as_table` makes the lake a Delta table, too; once it is one, that is kept up to date. With `keep_days`, what this
    store has shipped of older days is removed. What was shipped before an error stays shipped, and the next round goes
    on behind it. Raises StoreError when the store or the lake cannot be used, UsageError for an address that names no
    lake, or without a package that is needed.
    """
    store, lake, oldest = Path(directory), Lake(address), oldest_day(keep_days)
    layout.check_directory(store)
    outcome = Outcome()
    if as_table:
        delta.check()
    with manifest_of(store) as manifest:
        known = manifest.lakes.setdefault(lake.address, {})
        for entry in [each for each in known if oldest is not None and each < oldest.isoformat()]:
            lake.remove(known.pop(entry).key)
            save(store, manifest)
            outcome.expired += 1
        for day in layout.list_days(store, oldest):
            if day.segments:
                outcome.waiting.append(day.day.isoformat())
            for name in day.compacted:
                _ship_file(store, lake, day, name, known, manifest, outcome)
        if as_table and lake.address not in manifest.tables:
            manifest.tables.append(lake.address)
            save(store, manifest)
        if lake.address in manifest.tables:
            delta.bring_up_to_date(lake, {shipped.key for shipped in known.values()})
    return outcome


def _ship_file(
    store: Path,
    lake: Lake,
    day: layout.Day,
    name: str,
    known: dict[str, Shipped],
    manifest: Manifest,
    outcome: Outcome,
) -> None:
    file, entry = day.folder / name, f"{day.day.isoformat()}/{name}"
    try:
        found = os.stat(file)
    except FileNotFoundError:  # expired, or forgotten whole, since it was listed
        return
    before = known.get(entry)
    if before is not None and (before.size, before.modified_ns) == (found.st_size, found.st_mtime_ns):
        outcome.there += 1
        return
    key = before.key if before is not None else lake.key(day.day, platform.node(), name)
    try:
        put(lake, file, key)
    except StoreError:
        if file.exists():
            raise
        return  # likewise
    known[entry] = Shipped(key, found.st_size, found.st_mtime_ns)
    save(store, manifest)
    outcome.files += 1
    outcome.bytes += found.st_size


def put(lake: Lake, file: Path, key: str) -> None:
    """Write one file to the lake, whole or not at all: an object store takes it so, a folder gets it by a rename."""
    path = lake.path(key)
    with reached(lake.address):
        filesystem = lake.filesystem
        if not lake.address.startswith("file:"):
            filesystem.put_file(str(file), path)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(TEMPORARY + target.name)
        filesystem.put_file(str(file), str(temporary))
        os.rename(temporary, target)


@contextmanager
def manifest_of(store: Path) -> Iterator[Manifest]:
    """What a store has shipped, for one shipper at a time; raises RefusedError while another is at work."""
    make_directory(store / STATE, inside=True)
    with ExitStack() as held:
        try:
            held.enter_context(alone(store / STATE, _LOCK, "another process ships from this store; wait for its end"))
        except StoreError as error:
            raise RefusedError(error.path, error.problem, later=True) from None
        yield read(store)


def read(store: Path) -> Manifest:
    """What a store has shipped; raises StoreError when the file that says it is damaged."""
    file = store / STATE / _FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Manifest()
    try:
        return decoded(content, _manifests)
    except UnreadableError:
        raise StoreError(
            file, "it is damaged; remove it, and everything is shipped anew under the same names"
        ) from None


def save(store: Path, manifest: Manifest) -> None:
    """Write down what was shipped."""
    try:
        write_file(store / STATE / _FILE, [msgspec.json.encode(manifest)])
    except OSError as error:
        raise StoreError(store, f"what was shipped cannot be written down: {error.strerror}") from None


EVERY_SECONDS = 60.0
"""How often a shipper that follows looks for compacted files; they come once a day, or with an import."""


def _round(order: Order) -> Outcome:
    """One round; who follows waits for a store that is not there yet."""
    if order.follow and not order.directory.exists():
        return Outcome()
    return ship(order.directory, order.address, as_table="delta" in order.options, keep_days=order.keep_days())


def ship_to(order: Order) -> str:
    """Ship as the order says; a sentence of what was done."""
    delivery, total = Delivery(order.stop, order.say, follow=order.follow), Outcome()
    with delivery.until_stopped():
        while True:
            outcome = delivery.tried(lambda: _round(order))
            outcome.files += total.files
            outcome.bytes += total.bytes
            outcome.expired += total.expired
            total = outcome
            if not order.follow or order.stop.wait(EVERY_SECONDS):
                break
    expired = f" Removed {total.expired:,} files of expired days." if total.expired else ""
    waiting = f" Not compacted yet: {', '.join(total.waiting)}; run metrics compact." if total.waiting else ""
    shipped = f"Shipped {total.files:,} files ({total.bytes / 1e6:.1f} MB); {total.there:,} were there already."
    return f"{shipped}{expired}{waiting}"
