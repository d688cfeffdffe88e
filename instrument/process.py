"""The process's own controls: settings, flushing, stopping."""

from __future__ import annotations

from typing import Any

from instrument.collecting.collector import collector


def configure(**settings: Any) -> None:
    """Set settings by name, above the environment and the files; later calls change some and keep the others.

    What was recorded before is written under the old ones. Raises ConfigError, with nothing changed, for a wrong one.
    """
    collector.configure(settings)


def flush(timeout: float | None = None) -> bool:
    """Wait until all that was recorded before is on disk.

    `timeout` is in seconds, None waits as long as it takes. Returns False when the time was up or the disk refused;
    what is unwritten then still waits in memory.
    """
    return collector.flush(timeout)


def shutdown(timeout: float | None = None) -> bool:
    """Flush and stop; what is recorded afterwards is dropped and counted. Twice is harmless."""
    return collector.shutdown(timeout)
