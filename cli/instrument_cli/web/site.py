"""What every page and job of `metrics serve` knows: the store, the settings, and who may come in."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instrument.config import Config
    from instrument.exporters.prometheus.exporter import Exporter
    from instrument.live import Live


@dataclass(frozen=True)
class Site:
    """One server.

    `source` is a directory or an address such as `clickhouse://…`; `hosts` are the Host headers that it answers to.
    `jobs` has for each job what is wrong with it, "" while it runs.
    """

    source: str | Path
    config: Config
    hosts: frozenset[str]
    token: str | None = None
    zone: tzinfo = UTC
    jobs: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The store's folder, whose `.state` keeps what must outlive the process."""
        return Path(self.config.directory)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the store is no directory here, but a database or a lake, by its address."""
        return "://" in str(self.source)

    @cached_property
    def live(self) -> Live:
        """The store as pages, the API and the alerts read it: opened once for all of them, and kept current."""
        from instrument.live import Live

        return Live(self.source, self.config)

    @cached_property
    def exporter(self) -> Exporter | None:
        """The counters for Prometheus, None for a source that is no directory."""
        if self.is_elsewhere:
            return None
        from instrument.exporters.prometheus.exporter import Exporter

        return Exporter(self.directory, self.config, self.say)

    def say(self, sentence: str) -> None:
        """Say something to whoever runs the server."""
        print(f"metrics serve: {sentence}", file=sys.stderr, flush=True)
