"""The options that several commands share, and the formats that they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

REPORT_FORMATS = ("text", "json", "csv")
SHOWN_FORMATS = ("text", "json")
EXPORT_FORMATS = ("json", "csv", "parquet")

directory = click.option("--directory", "-d", metavar="DIR", help="The store, instead of the one in the settings.")
agent = click.option("--agent", metavar="NAME", help="Only queries of this agent.")
report_hours = click.option(
    "--hours",
    type=float,
    metavar="N",
    show_default="default_report_hours",
    help="Cover the last N hours; 0.25 is 15 minutes.",
)
hours = click.option("--hours", type=float, metavar="N", default=24, help="Cover the last N hours; 0.25 is 15 minutes.")
any_hours = click.option("--hours", type=float, metavar="N", show_default="all there is", help="Only the last N hours.")


def format(names: tuple[str, ...], default: str | None = "text") -> Callable[[Any], Any]:
    """The option that says in which of several forms; what it says is checked by `asked.checked_format`."""

    def matching(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return click.option(
        "--format", metavar="|".join(names), default=default, shell_complete=matching, help="In which form."
    )
