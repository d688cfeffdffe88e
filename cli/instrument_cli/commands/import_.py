"""`metrics import`."""

from __future__ import annotations

from pathlib import Path

import click

from instrument_cli.commands import options
from instrument_cli.commands.asked import settings


@click.command("import")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@options.directory
def import_(files: tuple[Path, ...], directory: str | None) -> None:
    """Take records in from files. What the store has already stays as it is; ends with 1 if nothing was fit to take.

    A FILE is metrics.json, metrics.csv, a segment, a Parquet export; traces of Langfuse, OTLP, Inspect as JSON.

    \b
    Example: metrics import monitoring/metrics.json
             metrics import --directory copy *.csv
             metrics import traces.json otlp.jsonl
    """
    config = settings(directory)
    from instrument.store.importing import import_files
    from instrument_cli.rendering.notes import tell_import
    from instrument_cli.rendering.progress import at_work

    with at_work("Importing"):
        done = import_files(list(files), config.directory, config)
    tell_import(done, config.directory)
    if done.skipped and not (done.queries or done.selections or done.calls or done.duplicates):
        raise click.exceptions.Exit(1)
