"""A store for those who read it again and again: a server's pages, a live view, the evaluation of alerts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.reading import Store

if TYPE_CHECKING:
    from instrument.analysis.periods import Period
    from instrument.config import Config
    from instrument.store.live_tables import LiveTables


class Live:
    """A store for those who read it again and again, from any thread: what was loaded is kept, and brought up to date.

    `opened` shows a period as it is at that moment, as `open_period` would, and costs what is new since the last time.
    A source that is no directory is opened anew each time. Close it.
    """

    def __init__(self, source: str | Path, config: Config) -> None:
        self.source = source
        self._config = config
        self._tables: LiveTables | None = None
        if "://" not in os.fspath(source):
            from instrument.store.live_tables import LiveTables

            self._tables = LiveTables(source)

    @property
    def version(self) -> int:
        """A number that changes when files were replaced: who keeps an older period open may find one gone."""
        return 0 if self._tables is None else self._tables.version

    def opened(self, period: Period) -> Store:
        """Open the store for a period, as it is now; close that. Raises StoreError as `open_store` does."""
        return Store(self.source, period, self._config, None if self._tables is None else self._tables.opened)

    def mark(self) -> object:
        """A value that differs whenever the store has anything new; None where nobody can know.

        A store that was opened has the mark of that moment as `tables.mark`. Raises StoreError as `open_store` does.
        """
        return None if self._tables is None else self._tables.mark()

    def close(self) -> None:
        """Let go of what is kept; harmless when repeated."""
        if self._tables is not None:
            self._tables.close()
