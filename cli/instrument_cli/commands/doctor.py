"""`metrics doctor`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, overrides


@click.command()
@options.format(options.SHOWN_FORMATS)
@options.directory
def doctor(format: str, directory: str | None) -> None:
    """Tell whether the store is healthy. Settings, files, clocks, what was dropped or skipped; ends with 1 if not.

    \b
    Example: metrics doctor
             metrics doctor > /dev/null || echo "look at the store"
    """
    chosen = checked_format(format, options.SHOWN_FORMATS)
    from instrument_cli.examination import examine

    findings = list(examine(overrides(directory), os.environ, Path.cwd(), datetime.now(UTC)))
    healthy = all(finding.state != "bad" for finding in findings)
    if chosen == "json":
        from instrument_cli.rendering.machine import show_json

        show_json({"healthy": healthy, "findings": findings})
    else:
        from instrument_cli.rendering.health import draw_findings
        from instrument_cli.rendering.page import current_page, show

        page = current_page()
        show(draw_findings(findings, page), page)
    raise click.exceptions.Exit(0 if healthy else 1)
