"""Fresh interpreters for what is measured from its start, with their bytecode cached as an installed package has it."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="agent-instrument-bytecode-")


def environment() -> dict[str, str]:
    """The variables for a fresh interpreter: this checkout on its path, bytecode written to a place of its own.

    The first process compiles what it imports; leave it out of what is measured.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return {**kept, "PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": _bytecode().name, "INSTRUMENT_MAX_REPORT_HOURS": "1000"}
