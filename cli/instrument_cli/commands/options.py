"""The options that several commands share, and the formats that they know."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Directory = Annotated[
    str | None,
    typer.Option("--directory", "-d", metavar="DIR", help="The store, instead of the one in the settings."),
]
ReportHours = Annotated[
    float | None,
    typer.Option(
        "--hours", metavar="N", show_default="default_report_hours", help="Cover the last N hours; 0.25 is 15 minutes."
    ),
]
Hours = Annotated[
    float,
    typer.Option("--hours", metavar="N", help="Cover the last N hours; 0.25 is 15 minutes."),
]
AnyHours = Annotated[
    float | None,
    typer.Option("--hours", metavar="N", show_default="all there is", help="Only the last N hours."),
]
Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only queries of this agent.")]


def _format(*names: str) -> Any:
    return typer.Option("--format", metavar="|".join(names), autocompletion=lambda: list(names), help="In which form.")


REPORT_FORMATS = ("text", "json", "csv")
SHOWN_FORMATS = ("text", "json")
EXPORT_FORMATS = ("json", "csv", "parquet")

ReportFormat = Annotated[str, _format(*REPORT_FORMATS)]
ShownFormat = Annotated[str, _format(*SHOWN_FORMATS)]
ExportFormat = Annotated[str | None, _format(*EXPORT_FORMATS)]
