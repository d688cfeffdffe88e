"""Draw results: tables in a terminal, Markdown for a job's summary, JSON for programs. The one file that knows rich."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.results import Check, Section, Table, number


def show(section: Section, console: Console | None = None) -> None:
    """Print a section's tables and checks."""
    console = console or Console(highlight=False, soft_wrap=False)
    for table in section.tables:
        console.print(_drawn(table))
        for note in table.notes:
            console.print(f"  {note}", style="dim", markup=False)
        console.print()
    for check in section.checks:
        style = {"held": "green", "broken": "bold red"}.get(check.verdict, "yellow")
        console.print(f"  {check.verdict:9}  {told(check)}", style=style, markup=False, soft_wrap=True, end="  ")
        console.print(goal(check), style="dim", markup=False, soft_wrap=True)
    if section.checks:
        console.print()


def show_verdict(sections: Sequence[Section], console: Console | None = None) -> None:
    """Print how many budgets were held and goals met, and what was not held."""
    checks = [check for section in sections for check in section.checks]
    aimed = [check for check in checks if goal(check)]
    broken = [check for check in checks if not check.held]
    met = sum(check.ambition == "met" for check in aimed)
    text = f"{len(checks) - len(broken)} of {len(checks)} budgets held, {met} of {len(aimed)} goals met"
    console = console or Console(highlight=False, soft_wrap=False)
    console.print(
        text + "".join(f"\n  {check.verdict}: {told(check)}" for check in broken),
        style="bold",
        markup=False,
        soft_wrap=True,
    )


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if place == 0 else "right", header_style="dim", overflow="fold")
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


def told(check: Check) -> str:
    """A check in one line."""
    between = "" if check.low is None or check.high is None else f" ({number(check.low)} … {number(check.high)})"
    bound = "at least" if check.limit.at_least else "at most"
    unit = f" {check.unit}" if check.unit else ""
    why = f" (not judged: {check.disturbed})" if check.verdict == "disturbed" else ""
    return f"{check.name}: {number(check.value)}{between}{unit}, {bound} {number(check.limit.budget)}{unit}{why}"


def goal(check: Check) -> str:
    """The goal, and whether it was met; nothing where it is the budget."""
    return "" if check.limit.goal == check.limit.budget else f"goal {number(check.limit.goal)}: {check.ambition}"


def markdown(sections: Sequence[Section]) -> str:
    """All sections for a CI job's summary."""
    parts = []
    for section in sections:
        parts += [_markdown_table(table) for table in section.tables]
        if section.checks:
            rows = [(check.verdict, told(check), goal(check)) for check in section.checks]
            parts.append(_markdown_table(Table(f"Budgets: {section.name}", ("", "figure", "goal"), rows)))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    alignment = ["---"] + ["---:"] * (len(table.columns) - 1)
    lines = [_markdown_row(table.columns), _markdown_row(alignment), *map(_markdown_row, table.rows)]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join([f"### {table.title}\n", *lines, *notes])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_json(sections: Sequence[Section]) -> bytes:
    """All sections with their raw figures."""
    verdicts = {
        section.name: [
            {**msgspec.to_builtins(check), "verdict": check.verdict, "goal": check.ambition} for check in section.checks
        ]
        for section in sections
    }
    figures = {section.name: section.figures for section in sections}
    return msgspec.json.format(msgspec.json.encode({"figures": figures, "budgets": verdicts}), indent=2) + b"\n"
