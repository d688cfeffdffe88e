"""A person's records out of the lakes that a store has shipped to, by writing the files anew that hold any.

Only this store's own files are touched, those of days that have expired here among them. A lake that cannot be reached
is named, and the same command may be repeated when it can be.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from instrument.errors import InstrumentError
from instrument.exporters import delta
from instrument.exporters.lake import Shipped, manifest_of, put, read, save
from instrument.files import TEMPORARY
from instrument.store.lake import Lake, reached
from instrument.store.upkeep import forgetting
from instrument.store.upkeep.forget_request import Wanted


def preview(directory: str | Path, wanted: Wanted) -> forgetting.Forgotten:
    """Count what `forget` would take out of the lakes, and change nothing."""
    return _through(Path(directory), wanted, change=False)


def forget(directory: str | Path, wanted: Wanted) -> forgetting.Forgotten:
    """Take what is wanted out of every lake that the store has shipped to; `left` names what could not be reached."""
    return _through(Path(directory), wanted, change=True)


def _through(store: Path, wanted: Wanted, *, change: bool) -> forgetting.Forgotten:
    told = forgetting.Forgotten()
    if not read(store).lakes:
        return told
    with manifest_of(store) as manifest:
        for address, files in manifest.lakes.items():
            try:
                lake = Lake(address)
                _search_lake(lake, files, wanted, told, change=change)
                if change and address in manifest.tables:
                    delta.bring_up_to_date(lake, {shipped.key for shipped in files.values()})
            except InstrumentError as error:
                told.left[address] = f"it could not be looked into ({error}); repeat the command when it can be"
            finally:
                if change:
                    save(store, manifest)
    return told


def _search_lake(
    lake: Lake, files: dict[str, Shipped], wanted: Wanted, told: forgetting.Forgotten, *, change: bool
) -> None:
    """Look again until no query is added by what is inside another; then write anew what holds any."""
    there = set(lake.files())
    searched = [entry for entry, shipped in files.items() if shipped.key in there]
    while True:
        known = len(wanted.ids)
        found = {entry: rows for entry in searched if (rows := _rows(lake, files[entry], wanted))}
        if len(wanted.ids) == known:
            break
    if found:
        told.entries[lake.address] = sum(len(rows) for rows in found.values())
    for entry, rows in found.items() if change else ():
        _rewrite(lake, files, entry, rows)


def _rows(lake: Lake, shipped: Shipped, wanted: Wanted) -> list[int]:
    """The rows of one file that go."""
    with closing(lake.connection()) as connection, reached(lake.address):
        candidates = forgetting.candidates(connection, lake.url(shipped.key), wanted)
    return [row for row, line in candidates if wanted.takes_line(line.encode())]


def _rewrite(lake: Lake, files: dict[str, Shipped], entry: str, rows: list[int]) -> None:
    key = files[entry].key
    with tempfile.TemporaryDirectory(prefix="agent-instrument-") as folder:
        old, new = Path(folder, "old.parquet"), Path(folder, f"{TEMPORARY}new.parquet")
        with reached(lake.address):
            lake.filesystem.get_file(lake.path(key), str(old))
        if forgetting.rewrite(old, new, rows):
            put(lake, new, key)
            files[entry] = Shipped(key, files[entry].size, files[entry].modified_ns)
        else:
            lake.remove(key)
            del files[entry]
