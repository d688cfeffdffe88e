"""The options that several commands share, and the formats that they know."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from instrument_cli.commands import completion

Directory = Annotated[
    str | None,
    typer.Option("--directory", "-d", metavar="DIR", help="The store, instead of the one in the settings."),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--from", "--directory", "-d", metavar="DIR", help="Read the store here, instead of the one in the settings."
    ),
]
Exact = Annotated[
    bool | None,
    typer.Option(
        "--exact/--rolled",
        help="Percentiles from every record, or from ClickHouse's roll-ups (within 1 %), the default for very many.",
    ),
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
DayHours = Annotated[
    float | None,
    typer.Option("--hours", metavar="N", show_default="24", help="Cover the last N hours; 0.25 is 15 minutes."),
]
FourWeeks = Annotated[
    float | None, typer.Option("--hours", metavar="N", show_default="672", help="Cover the last N hours.")
]
EightWeeks = Annotated[
    float | None, typer.Option("--hours", metavar="N", show_default="1344", help="Learn from the last N hours.")
]
AnyHours = Annotated[
    float | None,
    typer.Option("--hours", metavar="N", show_default="all there is", help="Only the last N hours."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From this time on: 2026-11-20, 2026-11-20T14:30, yesterday, -7d, -90m."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", show_default="now", help="Up to this time; a date is its midnight."),
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        "--tz",
        metavar="ZONE",
        show_default="time_zone",
        help="Read and show times in this zone: local, UTC, Europe/Berlin.",
        autocompletion=completion.zones,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="FILTER",
        help="Only queries like this: agent=crewai, tenant=north, 'duration>5s', status!=ok; may be repeated.",
        autocompletion=completion.filters,
    ),
]
Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="NAME", help="Only queries of this agent.", autocompletion=completion.agents),
]


def _format(*names: str) -> Any:
    return typer.Option("--format", metavar="|".join(names), autocompletion=lambda: list(names), help="In which form.")


def _long_format(*names: str) -> Any:
    text = f"As {', '.join(names)}."
    return typer.Option("--format", metavar="FORM", autocompletion=lambda: list(names), help=text)


SORTS = ("time", "duration", "tokens", "cost", "calls")

DRAWN_FORMATS = ("html", "markdown")
REPORT_FORMATS = ("text", "json", "csv", *DRAWN_FORMATS)
SHOWN_FORMATS = ("text", "json")
LISTED_FORMATS = ("text", "json", "csv")
EXPORT_FORMATS = ("json", "csv", "parquet", "store")
ADVICE_FORMATS = ("text", "json", "markdown")
SQL_FORMATS = ("text", "json", "csv", "markdown", "parquet")

ReportFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        autocompletion=lambda: list(REPORT_FORMATS),
        help="As text, json, csv, html or markdown.",
    ),
]
ShownFormat = Annotated[str, _format(*SHOWN_FORMATS)]
AdviceFormat = Annotated[str, _format(*ADVICE_FORMATS)]
ListedFormat = Annotated[str, _format(*LISTED_FORMATS)]
ExportFormat = Annotated[str | None, _long_format(*EXPORT_FORMATS)]
SqlFormat = Annotated[str, _long_format(*SQL_FORMATS)]
