"""The `metrics` command where no file can grow: as on a full disk, each write to one fails."""

from __future__ import annotations

import sys

_FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
from instrument_cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def on_a_full_disk(*arguments: str) -> list[str]:
    """What to start for `metrics` with these arguments."""
    return [sys.executable, "-c", _FULL_DISK, *arguments]
