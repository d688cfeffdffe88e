"""The key of a store's hashes: made once, shared by all processes that write to the store, and of no use outside it."""

from __future__ import annotations

import os
from pathlib import Path

from instrument.errors import StoreError
from instrument.files import make_directory, write_once
from instrument.redaction.variables import process_key

_FILE = Path(".state") / "key"
_BYTES = 32


def store_key(directory: Path) -> bytes:
    """Read the key of a store, and make it where there is none.

    Where that cannot be, it is a key of this process: its hashes then equal no other process's.
    """
    file = directory / _FILE
    try:
        if not file.exists():
            make_directory(directory)
            make_directory(file.parent, inside=True)
            write_once(file, os.urandom(_BYTES))
        key = file.read_bytes()
    except (OSError, StoreError):
        key = b""
    return key if len(key) == _BYTES else process_key()
