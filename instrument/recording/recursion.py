"""Recording where the stack is nearly full: nothing of ours begins that could not be ended in the same place.

What has no room at the end of a short way waits in `hot.unended`, to which a wrapper adds without a call, and is done
as soon as there is room: when an exception has gone a few frames up, when a record begins, or at a flush.
"""

from __future__ import annotations

from typing import Any

from instrument.collecting import hot
from instrument.collecting.collector import collector


def ask_for_room() -> None:
    """Raise RecursionError unless the stack has room for the deepest that beginning and ending a record goes.

    Written out it costs 0.25 µs, half of what a function that calls itself does.
    """
    _six_more()


def _six_more() -> None:
    _five_more()


def _five_more() -> None:
    _four_more()


def _four_more() -> None:
    _three_more()


def _three_more() -> None:
    _two_more()


def _two_more() -> None:
    _one_more()


def _one_more() -> None:
    return


def end_unended() -> None:
    """End what had no room in its own place, the oldest first, since scopes are left from the inside.

    Raises RecursionError, with the rest kept, where there is no room yet. No call is made but those of the endings.
    """
    if hot.ending:
        return
    hot.ending = True
    try:
        while hot.unended is not None:
            oldest: Any = hot.unended
            newer: Any = None
            while oldest[2] is not None:
                newer, oldest = (oldest[0], oldest[1], newer), oldest[2]
            oldest[0](*oldest[1])
            hot.unended = _turned(newer)
    finally:
        hot.ending = False


def _turned(chain: Any) -> Any:
    rest: Any = None
    while chain is not None:
        rest, chain = (chain[0], chain[1], rest), chain[2]
    return rest


def report_recursion() -> None:
    """End it before a flush, and count what could not be recorded for want of room."""
    end_unended()
    count, hot.too_deep = hot.too_deep, 0
    if count:
        collector.trouble("recursion limit", RecursionError("the stack had no room to record"), count)
