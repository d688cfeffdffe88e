"""`metrics doctor`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, overrides, settings

if TYPE_CHECKING:
    from instrument.store.upkeep.repairing import Repair


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Set aside what cannot be read; nothing else is touched, nothing thrown away.")
    ] = False,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Tell whether the store is healthy. Settings, files, clocks, what was dropped or skipped; ends with 1 if not.

    \b
    Example: metrics doctor
             metrics doctor --fix
             metrics doctor > /dev/null || echo "look at the store"
    """
    chosen = checked_format(format, options.SHOWN_FORMATS)
    from instrument.analysis.health import examine

    if "://" in (source or ""):
        raise UsageError("doctor examines a store in a directory; run it on the machines that record")
    repair = _mended(source) if fix else None
    findings = list(examine(overrides(source), os.environ, Path.cwd(), datetime.now(UTC)))
    healthy = all(finding.state != "bad" for finding in findings)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        show_json({"healthy": healthy, "findings": findings, **({"repair": repair} if repair else {})})
    else:
        if repair:
            from instrument_cli.rendering.notes import show_repair

            show_repair(repair)
        from instrument_cli.rendering.health import draw_findings
        from instrument_cli.rendering.page import current_page, show

        page = current_page()
        show(draw_findings(findings, page), page)
    raise typer.Exit(0 if healthy else 1)


def _mended(directory: str | None) -> Repair:
    from instrument.store.upkeep.repairing import repair

    return repair(settings(directory).directory)
