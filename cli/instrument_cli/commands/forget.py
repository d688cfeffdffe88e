"""`metrics forget`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings


def forget(
    query_ids: Annotated[
        list[str] | None,
        typer.Option("--query-id", metavar="ID", help="This query, by its id or the beginning of it; may be repeated."),
    ] = None,
    containing: Annotated[
        str | None,
        typer.Option(
            "--containing", metavar="TEXT", help="Every record with this in a text of its own, capitals or not."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: options.Directory = None,
) -> None:
    """Remove a person's records for good. With a query all that is inside it; from where it was shipped, too.

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
    from instrument.exporters import forgetting as shipped
    from instrument.store.upkeep import forgetting
    from instrument.store.upkeep.forget_request import Wanted
    from instrument_cli.rendering.notes import show_forgotten

    ids = forgetting.whole_ids(config.directory, tuple(query_ids)) if query_ids else []
    beside = (config.json_path, config.csv_path)
    if dry_run or not yes:
        wanted = Wanted(ids, text)
        would = forgetting.together(
            forgetting.preview(config.directory, wanted, beside), shipped.preview(config.directory, wanted)
        )
        show_forgotten(would, "Would forget")
        if dry_run or not would.total:
            return
        if not typer.confirm("Remove them for good?", err=True):
            raise typer.Exit(1)
    wanted = Wanted(ids, text)
    gone = forgetting.forget(config.directory, wanted, beside)
    show_forgotten(forgetting.together(gone, shipped.forget(config.directory, wanted)), "Forgot")
