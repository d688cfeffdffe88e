"""`metrics config`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from instrument.config import resolve
from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format


def config(
    format: options.ShownFormat = "text",
) -> None:
    """Show every setting, its value, and where that came from.

    \b
    Example: metrics config
             INSTRUMENT_SAMPLE_RATE=0.1 metrics config --format json
    """
    chosen = checked_format(format, options.SHOWN_FORMATS)
    found = resolve({}, os.environ, Path.cwd())
    from instrument_cli.rendering.settings import show_settings

    show_settings(found, chosen)
