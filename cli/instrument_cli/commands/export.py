"""`metrics export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, agent_filter, asked_period, opened

if TYPE_CHECKING:
    from instrument.analysis.periods import Period
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
    agent: options.Agent = None,
    where: options.Where = None,
    hours: options.DayHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    format: options.ExportFormat = None,
    source: options.Source = None,
) -> None:
    """Write records to a file. As JSON, CSV or Parquet, all that is known of each query; or as the store has them.

    \b
    Example: metrics export --hours 48 --output metrics_backup.json
             metrics export --format csv --where agent=crewai --output - | head
             metrics export --since -30d --format store --output everything.parquet
    """
    config = settings(source)
    chosen = checked_format(format or _told_by(output) or "json", options.EXPORT_FORMATS)
    checked_format("parquet" if chosen == "store" else chosen, options.EXPORT_FORMATS, config.export_formats)
    period = asked_period(config, Span(hours, since, until, tz), default=24)
    filters = agent_filter(agent, where)
    if output == "-" and chosen in ("parquet", "store") and sys.stdout.isatty():
        raise UsageError("a terminal shows no Parquet; name a file: --output metrics_export.parquet")
    if chosen == "store" and filters:
        raise UsageError("--format store writes every line of the period; take another format to pick queries")
    with opened(config, source, period) as store:
        tables = store.picked(filters)
        if output == "-":
            _print(tables, chosen)
        else:
            _write(tables, output or f"metrics_export.{_ENDINGS.get(chosen, chosen)}", chosen, period)


_ENDINGS = {"store": "parquet"}


def _told_by(output: str | None) -> str | None:
    ending = Path(output or "").suffix.removeprefix(".").lower()
    return ending if ending in options.EXPORT_FORMATS else None


def _print(tables: Tables, chosen: str) -> None:
    from instrument.store import exporting
    from instrument_cli.rendering import json_output

    if chosen == "json":
        json_output.show_json_document(exporting.document(tables, "json"))
    elif chosen == "csv":
        json_output.show_csv(exporting.document(tables, "csv"))
    else:
        exporting.export_stream(tables, sys.stdout.buffer, chosen)  # type: ignore[arg-type]  # one of the formats


def _write(tables: Tables, output: str, chosen: str, period: Period) -> None:
    from instrument.store.exporting import export_file
    from instrument_cli.rendering.notes import show_export

    export_file(tables, output, chosen)  # type: ignore[arg-type]  # one of the formats, as checked
    show_export(output, tables.rows("SELECT count(*) FROM queries")[0][0], period)
