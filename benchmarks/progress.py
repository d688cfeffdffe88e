"""What is being measured now, on standard error: a whole run takes a quarter of an hour."""

from __future__ import annotations

import sys
import time

_BEGAN = time.monotonic()


def say(what: str) -> None:
    """Say what comes next, with the minutes and seconds since the beginning."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGAN), 60)
    print(f"  {minutes}:{seconds:02}  {what}", file=sys.stderr, flush=True)
