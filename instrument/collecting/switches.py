"""What may change under the wrappers, and who may change what: `LIMIT`, `NOBODY` and `serial` in the module `hot`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instrument.collecting import hot

_CLOSED = object()
"""What no scope is: while `NOBODY` is this, every wrapper takes the general way."""


class Switches:
    """What the wrappers look at to decide which way to go."""

    def __init__(self) -> None:
        hot.LIMIT, hot.NOBODY = 0, _CLOSED
        self.enabled = True
        self._outside: Any = _CLOSED
        self._begun = False
        self._every = False

    # -- whether the short way is open -------------------------------------------------------------------------

    def set_outside(self, scope: Any) -> None:
        """Say which scope stands for "outside any query": only there may a wrapper take the short way."""
        self._outside = scope

    def set_enabled(self, enabled: bool) -> None:
        """Switch recording on or off."""
        self.enabled = enabled
        self._set_way()

    @property
    def begun(self) -> bool:
        """Whether the short way is open."""
        return hot.NOBODY is not _CLOSED

    def begin(self) -> None:
        """Open the short way: the first query has begun, and an exit will find what it leaves."""
        self._begun = True
        self._set_way()

    def begin_process(self) -> None:
        """In a forked child: its first query is yet to come."""
        self._begun = False
        self._set_way()
        self.rest()

    def _set_way(self) -> None:
        hot.NOBODY = self._outside if self.enabled and self._begun else _CLOSED

    # -- which records are looked at ---------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """How many records the buffer may hold before one of them is looked at."""
        return hot.LIMIT

    def look_at_every(self, every: bool) -> None:
        """Look at every record (capture, shutdown), or only at those beyond the limit."""
        self._every = every
        self.rest()

    def rest(self) -> None:
        """Let the next record be looked at, as it has to wake the writer."""
        hot.LIMIT = -1 if self._every else 0

    def work(self, limit: int) -> None:
        """Let the buffer grow to `limit`: the writer is awake."""
        if not self._every:
            hot.LIMIT = limit

    # -- serials -----------------------------------------------------------------------------------------------

    @property
    def serial(self) -> Callable[[], int]:
        """What gives a query its serial."""
        return hot.serial

    @serial.setter
    def serial(self, serial: Callable[[], int]) -> None:
        hot.serial = serial


switches = Switches()
