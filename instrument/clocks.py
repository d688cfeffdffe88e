"""The clocks, as they are: no test tool that freezes or moves time reaches them.

freezegun replaces the clocks that it finds among a module's names, so that half of the readings would stand still and
a wait would never end. A second copy of the built-in module `time` has functions of its own, which it does not know and
which cost the same. time-machine changes the functions themselves; it offers the real wall clock under another name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def _own_copy() -> Any:
    """Give a copy of `time` that is in nobody else's hands; the module itself where none can be made."""
    spec: Any = time.__spec__
    try:
        copy = spec.loader.create_module(spec)
        spec.loader.exec_module(copy)
    except (AttributeError, ImportError):
        return time
    return copy


_real = _own_copy()
monotonic_ns: Callable[[], int] = _real.perf_counter_ns
"""Nanoseconds of a clock that never goes back, for durations."""

seconds: Callable[[], float] = _real.monotonic
"""Seconds of such a clock, for deadlines."""

_wall_ns: Callable[[], int] = _real.time_ns


def wall_ns() -> int:
    """Read the wall clock: nanoseconds since 1970."""
    escape = getattr(sys.modules.get("time_machine"), "escape_hatch", None)
    if escape is not None:
        try:
            now: int = escape.time.time_ns()
        except ValueError:  # nobody travels at the moment
            return _wall_ns()
        return now
    return _wall_ns()


def wall_offset() -> int:
    """Nanoseconds to add to `monotonic_ns` to have the time since 1970."""
    return wall_ns() - monotonic_ns()


def wall_seconds() -> float:
    """Read the wall clock: seconds since 1970."""
    return wall_ns() / 1e9
