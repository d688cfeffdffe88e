"""How many questions of the demo are answered: a bar on standard error, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(total: int) -> Iterator[Callable[[bool], None]]:
    """Show a bar over so many questions; what is yielded takes each answer, True for a failed one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
    console = Console(stderr=True)
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as it:
        task = it.add_task("Asking the agents", total=total, failed="")
        failures = 0

        def answered(failed: bool) -> None:
            nonlocal failures
            failures += failed
            it.update(task, advance=1, failed=f"[red]{failures} failed" if failures else "")

        yield answered
