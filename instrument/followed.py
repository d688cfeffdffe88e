"""Whether somebody follows a store: followers touch one file in it, writers look at its time.

A writer lets records wait longer where few come, to be woken seldom. It does not where somebody waits for them.
"""

from __future__ import annotations

import os
from contextlib import suppress

from instrument import access, clocks

TOUCH_SECONDS = 10.0
"""How often a follower touches the file while it waits."""

_FRESH_SECONDS = 30.0
_FILE = os.path.join(".state", "followed")


def touch(directory: str | os.PathLike[str]) -> None:
    """Say that this store is followed; where that may not be said, writers take their time."""
    path = os.path.join(directory, _FILE)
    with suppress(OSError):
        if not os.path.isdir(directory):
            return
        access.make_folder(os.path.dirname(path), access.PRIVATE)
        os.close(access.create(path, os.O_RDWR, access.PRIVATE))
        os.utime(path)


def is_followed(directory: str) -> bool:
    """Whether a follower has lately said so."""
    try:
        return abs(clocks.wall_seconds() - os.stat(os.path.join(directory, _FILE)).st_mtime) < _FRESH_SECONDS
    except OSError:
        return False
