"""Our own decorators as the benchmarks use them: recording into a store of its own, or switched off."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import instrument
from benchmarks.subject import Kit
from instrument import track_graphql, track_query, track_tool

AGENT = "billing"


def recorded() -> Kit:
    """The decorators as an application uses them."""
    return Kit(track_query(agent=AGENT), track_tool, track_graphql)


@contextmanager
def switched_off() -> Iterator[Kit]:
    """The same under INSTRUMENT_ENABLED=0; what is decorated within stays as it is."""
    before = os.environ.get("INSTRUMENT_ENABLED")
    os.environ["INSTRUMENT_ENABLED"] = "0"
    try:
        yield recorded()
    finally:
        if before is None:
            del os.environ["INSTRUMENT_ENABLED"]
        else:
            os.environ["INSTRUMENT_ENABLED"] = before


@contextmanager
def own_store() -> Iterator[Path]:
    """Record into a store on disk that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="agent-instrument-benchmark-") as folder:
        store = Path(folder, "store")
        instrument.configure(directory=store)
        try:
            yield store
        finally:
            instrument.flush()
            instrument.shutdown()
            instrument.configure()


def written_bytes(store: Path) -> int:
    """What the store's files take, in bytes."""
    return sum(file.stat().st_size for file in store.rglob("*") if file.is_file())


def rows_written(store: Path) -> int:
    """How many lines lie in the store's segments."""
    return sum(file.read_bytes().count(b"\n") for file in store.rglob("*.jsonl"))
