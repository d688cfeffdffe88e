"""What the compiled wrappers look up in this process while they run.

The wrappers reach all of it as `hot.NAME`: an attribute of a module is as cheap to read as a global (1 ns more), can
change under them, and is found again by its name in a process that a wrapper was pickled into. The rooms that own the
things put them here when they are imported.

    buffer, append, overflow, opened_add, opened_discard    the collector's, see `collector.py`
    LIMIT, NOBODY, serial                                   what changes, see `switches.py`
    ident                                                   the number of who runs, see `recording/runners.py`
    clock, get, set, reset, ABSENT                          the clock and the context variable, see `recording/scope.py`
    STREAMS, named                                          see `recording/streams.py`, `recording/operation_names.py`
    encode, LONGEST                                         see `recording/variables.py`
    unended, too_deep                                       what had no room on the stack, see `recording/recursion.py`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

buffer: list[Any]
append: Callable[[Any], None]
overflow: Callable[[], None]
LIMIT: int
opened_add: Callable[[Any], None]
opened_discard: Callable[[Any], None]

clock: Callable[[], int]
ident: Callable[[], int]
get: Callable[..., Any]
set: Callable[[Any], Any]
reset: Callable[[Any], None]
ABSENT: Any
NOBODY: Any

serial: Callable[[], int]
STREAMS: dict[type, Any]
named: dict[str, str]
encode: Callable[[Any], bytes]
LONGEST: int

unended: Any = None
"""Endings that the recursion limit put off: a chain of (function, arguments, the next), since it takes no call."""

ending: bool = False
"""Whether those are being ended just now."""

too_deep: int = 0
"""How often recording gave way to the recursion limit."""

# dill sends a module by its name only where it has no file or lies in site-packages, else with all that it holds.
del __file__
