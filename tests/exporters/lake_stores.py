"""Compacted stores, as lakes are filled from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from store_rows import NOON, random_rows, write

from instrument.store.upkeep.compaction import compact

LATER = NOON + timedelta(days=3)
"""When the days of the rows are over."""

SECRET = "a question by Asha Rao"


def compacted_store(directory: Path, seed: int = 3, count: int = 200) -> Path:
    """A store of two days, compacted."""
    write(directory, random_rows(seed, count, start=NOON - timedelta(days=1, hours=10), hours=10))
    write(directory, random_rows(seed + 1, count, start=NOON - timedelta(hours=10), hours=10))
    compact(directory, now=LATER, retention_days=30)
    return directory
