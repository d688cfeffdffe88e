"""What has been counted, on disk: the sums, and the place in the store up to which they go, in one file.

    <directory>/.state/prometheus.json

The file is replaced whole. So after a kill the sums and the place fit each other, and what came behind that place is
read again and counted once.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.errors import StoreError
from instrument.exporters.prometheus.families import Kept
from instrument.exporters.prometheus.row_facts import Waiting
from instrument.files import make_directory, reason, write_file
from instrument.rows.decoding import UnreadableError, decoded
from instrument.store.cursors import STATE

VERSION = 1
_FILE = "prometheus.json"


class Ledger(Struct):
    """Everything that must outlive the process.

    `families` has the series of each metric by its Prometheus name, `shown` how many of them any reader has seen,
    `seen` how many of them each reader has, the one that read last at the end. `skipped` counts lines that were no
    records; `waiting` and `said` are what `Counting` has under these names.
    """

    version: int
    cursor: str
    families: dict[str, Kept]
    shown: dict[str, int]
    skipped: int = 0
    waiting: dict[str, Waiting] = {}
    said: dict[str, int] = {}
    seen: dict[str, dict[str, int]] = {}


_ledgers = msgspec.json.Decoder(Ledger)


def load(directory: Path) -> Ledger | None:
    """The ledger as it was saved last, None where there is none. Raises StoreError when it cannot be read."""
    file = directory / STATE / _FILE
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(file, f"the counters cannot be read: {reason(error)}") from None
    try:
        found = decoded(content, _ledgers)
    except UnreadableError:
        raise StoreError(file, "the counters are damaged") from None
    if found.version != VERSION:
        raise StoreError(file, f"another version wrote the counters (their format is {found.version})")
    return found


def set_aside(directory: Path) -> None:
    """Give a ledger that cannot be used another name. Raises OSError."""
    file = directory / STATE / _FILE
    file.replace(file.with_suffix(".unusable"))


def save(directory: Path, ledger: Ledger) -> None:
    """Write the ledger, whole or not at all. Raises StoreError."""
    file = directory / STATE / _FILE
    try:
        make_directory(file.parent, inside=True)
        write_file(file, [msgspec.json.encode(ledger)])
    except OSError as error:
        raise StoreError(file, f"the counters cannot be saved: {reason(error)}") from None
