"""What every page and job of `metrics serve` knows: the store, the settings, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instrument.config import Config


@dataclass(frozen=True)
class Site:
    """One server.

    `source` is a directory or an address such as `clickhouse://…`; `hosts` are the Host headers that it answers to.
    """

    source: str | Path
    config: Config
    hosts: frozenset[str]
    token: str | None = None
    zone: tzinfo = UTC

    @property
    def directory(self) -> Path:
        """The store's folder, whose `.state` keeps what must outlive the process."""
        return Path(self.config.directory)
