"""`metrics export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, last, settings

if TYPE_CHECKING:
    from instrument.store.tables import Tables


def export(
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="metrics_export.<format>",
            help="Where to; - is standard output.",
        ),
    ] = None,
    hours: options.Hours = 24,
    format: options.ExportFormat = None,
    directory: options.Directory = None,
) -> None:
    """Write records to a file. As metrics.json, metrics.csv, or Parquet with everything that is known.

    \b
    Example: metrics export --hours 48 --output metrics_backup.json
             metrics export --format csv --output - | head
    """
    config = settings(directory)
    chosen = checked_format(format or _told_by(output) or "json", options.EXPORT_FORMATS, config.export_formats)
    period = last(hours)
    if output == "-" and chosen == "parquet" and sys.stdout.isatty():
        raise UsageError("a terminal shows no Parquet; name a file: --output metrics_export.parquet")
    from instrument.store.tables import open_store

    with open_store(config.directory, since=period.start, until=period.end) as tables:
        if output == "-":
            _print(tables, chosen)
        else:
            _write(tables, output or f"metrics_export.{chosen}", chosen, hours)


def _told_by(output: str | None) -> str | None:
    ending = Path(output or "").suffix.removeprefix(".").lower()
    return ending if ending in options.EXPORT_FORMATS else None


def _print(tables: Tables, chosen: str) -> None:
    from instrument_cli.rendering import json_output

    if chosen == "json":
        json_output.show_json_records(tables.records(), tables.loose_selections())
    elif chosen == "csv":
        json_output.show_csv_records(tables.records())
    else:
        from instrument.store.exporting import export_stream

        export_stream(tables, sys.stdout.buffer, "parquet")


def _write(tables: Tables, output: str, chosen: str, hours: float) -> None:
    from instrument.store.exporting import export_file
    from instrument_cli.rendering.notes import tell_export

    export_file(tables, output, chosen)  # type: ignore[arg-type]  # one of the formats, as checked above
    tell_export(output, tables.rows("SELECT count(*) FROM queries")[0][0], hours)
