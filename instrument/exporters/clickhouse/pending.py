"""Where a store keeps the batch of which it is not known whether ClickHouse has it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec

from instrument.exporters.clickhouse.rows import digest
from instrument.store.clickhouse.client import Client
from instrument.store.cursors import STATE


def name_of(client: Client) -> str:
    """The name under which a store ships to a database; the same for `clickhouse://` and `http://`."""
    return f"clickhouse-{digest(re.sub('^clickhouse', 'http', client.name))}"


def file_of(store: Path, client: Client) -> Path:
    """The file of the batch that is on its way."""
    return store / STATE / "cursors" / f"{name_of(client)}.batch"


def arrived(store: Path, client: Client, seconds: float) -> bool:
    """Wait for the batch that is on its way, if there is one; False when it has not arrived in time."""
    file, end = file_of(store, client), time.monotonic() + seconds
    awaited = _token(file)
    while awaited is not None and _token(file) == awaited:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _token(file: Path) -> object:
    try:
        return msgspec.msgpack.decode(file.read_bytes())["token"]
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, KeyError, TypeError):
        return "damaged"
