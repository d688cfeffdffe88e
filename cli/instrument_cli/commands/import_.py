"""`metrics import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="metrics.json, metrics.csv, a segment, a Parquet export; traces of Langfuse, OTLP, Inspect as JSON.",
        ),
    ],
    directory: options.Directory = None,
) -> None:
    """Take records in from files. What the store has already stays as it is; ends with 1 if nothing was fit to take.

    \b
    Example: metrics import monitoring/metrics.json
             metrics import --directory copy *.csv
             metrics import traces.json otlp.jsonl
    """
    config = settings(directory)
    from instrument.store.importing import import_files
    from instrument_cli.rendering.notes import show_import
    from instrument_cli.rendering.progress import at_work

    with at_work("Importing"):
        done = import_files(files, config.directory, config)
    show_import(done, config.directory)
    if done.skipped and not (done.queries or done.selections or done.calls or done.duplicates):
        raise typer.Exit(1)
