"""Recording where the stack is nearly full: nothing of ours begins that could not be done whole.

What has no room at a record's end waits in `hot.unended`, to which a wrapper adds without a call, and is done as soon
as there is room: when an exception has gone a few frames up, when a record begins, or at a flush.
"""

from __future__ import annotations

from instrument.collecting import hot
from instrument.collecting.collector import collector

_FRAMES = 12
"""How many frames beginning or ending a record may take, one above the other."""


def ask_for_room(frames: int = _FRAMES) -> None:
    """Raise RecursionError unless the stack has room for so many frames."""
    if frames:
        ask_for_room(frames - 1)


def end_unended() -> None:
    """End what had no room in its own place."""
    while hot.unended is not None:
        function, arguments, hot.unended = hot.unended
        function(*arguments)


def report_recursion() -> None:
    """End it before a flush, and count what could not be recorded for want of room."""
    end_unended()
    count, hot.too_deep = hot.too_deep, 0
    if count:
        collector.trouble("recursion limit", RecursionError("the stack had no room to record"), count)
