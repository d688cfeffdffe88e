"""`metrics import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.asked import settings


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="metrics.json or metrics.csv files.")],
    directory: options.Directory = None,
) -> None:
    """Take records in from metrics.json or metrics.csv files; what is in the store already stays as it is.

    \b
    Example: metrics import monitoring/metrics.json
             metrics import *.csv
    """
    config = settings(directory)
    from instrument.store.importing import import_files

    from instrument_cli.rendering.notes import tell_import

    tell_import(import_files(files, config.directory), config.directory)
