"""`metrics sql`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened

if TYPE_CHECKING:
    from instrument.reading import Store


def sql(
    statement: Annotated[
        str | None,
        typer.Argument(metavar="STATEMENT", help="One SELECT; - reads it from standard input. Without: the columns."),
    ] = None,
    format: options.SqlFormat = "text",
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="Give up after so long.")] = 60,
    hours: options.AnyHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    source: options.Source = None,
) -> None:
    """Ask your records in SQL. One SELECT over queries, calls, selections and health; nothing else is reached.

    \b
    Example: metrics sql
             metrics sql "SELECT agent_type, count(*) FROM queries GROUP BY ALL"
             metrics sql "SELECT attributes ->> 'tenant' AS tenant, avg(duration_ms) FROM queries GROUP BY ALL"
             metrics sql "FROM queries" --since yesterday --format parquet > queries.parquet
    """
    config, chosen = settings(source), checked_format(format, options.SQL_FORMATS)
    if statement is None:
        from instrument_cli.rendering.answer import show_columns

        return show_columns()
    if chosen == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "a terminal shows no Parquet; send it to a file: metrics sql … --format parquet > answer.parquet"
        )
    text = sys.stdin.read() if statement == "-" else statement
    period = asked_period(config, Span(hours, since, until, tz))
    with opened(config, source, period) as store:
        if chosen == "parquet":
            return _print_parquet(store, text, timeout)
        from instrument_cli.rendering.answer import show_answer

        return show_answer(store.own_sql().answer(text, timeout), chosen)


def _print_parquet(store: Store, statement: str, timeout: float) -> None:
    from instrument_cli.rendering.json_output import show_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "answer.parquet")
        store.own_sql(writable=file).write_parquet(statement, file, timeout)
        show_file(file)
