"""`metrics forget`."""

from __future__ import annotations

import sys

import click

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.asked import settings


@click.command()
@click.option(
    "--query-id",
    "query_ids",
    multiple=True,
    metavar="ID",
    help="This query, by its id or the beginning of it; may be repeated.",
)
@click.option("--containing", metavar="TEXT", help="Every record with this in one of its texts, capitals or not.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.directory
def forget(query_ids: tuple[str, ...], containing: str | None, dry_run: bool, yes: bool, directory: str | None) -> None:
    """Remove a person's records for good. With a query all that is inside it; from metrics.json and metrics.csv, too.

    \b
    Example: metrics forget --containing "Asha Rao"
             metrics forget --query-id 019a1b2c-3d4e --yes
    """
    config = settings(directory)
    text = (containing or "").strip()
    if not (text or query_ids):
        raise UsageError("nothing to forget is named; give --query-id ID or --containing TEXT")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("nobody can be asked here; give --yes to forget, or --dry-run to count")
    from instrument.store import forgetting
    from instrument.store.wanted import Wanted
    from instrument_cli.rendering.notes import tell_forgotten

    ids = forgetting.whole_ids(config.directory, query_ids) if query_ids else []
    beside = (config.json_path, config.csv_path)
    if dry_run or not yes:
        would = forgetting.preview(config.directory, Wanted(ids, text), beside)
        tell_forgotten(would, "Would forget")
        if dry_run or not would.total:
            return
        if not click.confirm("Remove them for good?", err=True):
            raise click.exceptions.Exit(1)
    tell_forgotten(forgetting.forget(config.directory, Wanted(ids, text), beside), "Forgot")
