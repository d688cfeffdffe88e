"""A person's records out of everything that a store was shipped to and that can take them out."""

from __future__ import annotations

from pathlib import Path

from instrument.exporters import lake_forgetting
from instrument.exporters.clickhouse import forgetting as in_databases
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import Forgotten, together


def preview(directory: str | Path, wanted: Wanted) -> Forgotten:
    """Count what `forget` would take, and change nothing."""
    return together(lake_forgetting.preview(directory, wanted), in_databases.preview(directory, wanted))


def forget(directory: str | Path, wanted: Wanted) -> Forgotten:
    """Take what is wanted out of lakes and databases; `left` names those that could not be reached."""
    return together(lake_forgetting.forget(directory, wanted), in_databases.forget(directory, wanted))
