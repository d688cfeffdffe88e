"""agent-instrument, as its README shows it."""

from __future__ import annotations

from pathlib import Path

import instrument
from benchmarks.ours import recorded, rows_written
from benchmarks.peers.contender import Contender


def start(folder: str) -> Contender:
    """Record into a store on disk."""
    store = Path(folder, "store")
    instrument.configure(directory=store)
    return Contender(
        kit=recorded(),
        flush=instrument.flush,
        kept=lambda: rows_written(store),
        a_query=1,
        keeps="a record a query, on disk: input, agent, size, error; its calls with operation names, times, parents",
        distribution="agent-instrument",
    )
