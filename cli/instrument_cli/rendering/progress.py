"""A progress bar on standard error, where that is a terminal; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(description: str, left: Callable[[], int]) -> Iterator[None]:
    """Show a bar that is full when `left`, asked now and then, says that nothing is left to do."""
    total = left() if sys.stderr.isatty() else 0
    if not total:
        yield
        return
    from rich.console import Console, RenderableType
    from rich.progress import Progress

    class Watching(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            for task in self.tasks:
                task.completed = total - left()
            yield from super().get_renderables()

    with Watching(console=Console(stderr=True), transient=True) as bar:
        bar.add_task(description, total=total)
        yield


@contextmanager
def at_work(description: str) -> Iterator[None]:
    """Show that work goes on, where nothing says how much of it there is."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(description):
        yield
