"""What was chosen for, checked: the period, the format, the settings it is answered with."""

from __future__ import annotations

import os
from pathlib import Path

from instrument.config import Config, Resolved, resolve
from instrument.errors import UsageError


def resolved(directory: str | None = None) -> Resolved:
    """The settings in force here and their sources; `directory` overrides the store's. Raises ConfigError."""
    found = resolve(overrides(directory), os.environ, Path.cwd())
    return found if directory is None else Resolved(found.config, found.sources | {"directory": "--directory"})


def settings(directory: str | None = None) -> Config:
    """The settings in force here; `directory` overrides the store's. Raises ConfigError."""
    return resolved(directory).config


def overrides(directory: str | None) -> dict[str, str]:
    """What the command line overrides of the settings; an address such as `s3://…` is no directory."""
    return {} if directory is None or "://" in directory else {"directory": directory}


def checked_format(chosen: str, known: tuple[str, ...], allowed: tuple[str, ...] = ()) -> str:
    """A format that is known, and allowed by the setting where that says anything. Raises UsageError."""
    if chosen not in known:
        raise UsageError(f"--format {chosen!r} is unknown; choose {', '.join(known[:-1])} or {known[-1]}")
    if allowed and chosen not in allowed:
        raise UsageError(f"--format {chosen} is not among the setting export_formats ({', '.join(allowed)})")
    return chosen
