"""What the wrappers look at: the namespace in which their code runs, and the three names in it that change.

A name in the wrappers' own namespace is the cheapest thing that can change under them (5 ns a look). Everything else
that they use is defined once, by the rooms that own it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHANGING = frozenset({"LIMIT", "NOBODY", "serial"})
"""The names that change while wrappers exist; all others are constants."""

_CLOSED = object()
"""What no scope is: while `NOBODY` is this, every wrapper takes the general way."""


class Switches:
    """The wrappers' namespace, and who may change what in it."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"LIMIT": 0, "NOBODY": _CLOSED}
        self.enabled = True
        self._outside: Any = _CLOSED
        self._begun = False
        self._every = False

    def define(self, **names: Any) -> None:
        """Add constants to the wrappers' namespace."""
        self.names.update(names)

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
        return self.names["NOBODY"] is not _CLOSED

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
        self.names["NOBODY"] = self._outside if self.enabled and self._begun else _CLOSED

    # -- which records are looked at ---------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """How many records the buffer may hold before one of them is looked at."""
        limit: int = self.names["LIMIT"]
        return limit

    def look_at_every(self, every: bool) -> None:
        """Look at every record (capture, shutdown), or only at those beyond the limit."""
        self._every = every
        self.rest()

    def rest(self) -> None:
        """Let the next record be looked at, as it has to wake the writer."""
        self.names["LIMIT"] = -1 if self._every else 0

    def work(self, limit: int) -> None:
        """Let the buffer grow to `limit`: the writer is awake."""
        if not self._every:
            self.names["LIMIT"] = limit

    # -- serials -----------------------------------------------------------------------------------------------

    @property
    def serial(self) -> Callable[[], int]:
        """What gives a query its serial."""
        serial: Callable[[], int] = self.names["serial"]
        return serial

    @serial.setter
    def serial(self, serial: Callable[[], int]) -> None:
        self.names["serial"] = serial


switches = Switches()
