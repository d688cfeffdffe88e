"""Who runs the code: a thread, or one of the greenlets that take turns in it.

A call's parent is kept in its scope, which only one of them may use at a time. Threads have numbers of their own. Once
the application imports greenlet (gevent and SQLAlchemy's asyncio do), every greenlet but a thread's main one has a
number, too; before that, asking costs nothing more than the thread's. Numbers of threads are even, as they are
addresses or handles; those of greenlets are odd.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any

from instrument.collecting import hot


def ident() -> int:
    """Give the number of who runs this code."""
    return hot.ident()


def is_greenlet(runner: int) -> bool:
    """Whether a number is a greenlet's."""
    return runner & 1 == 1


def watch_greenlet() -> None:
    """Ask for greenlets as soon as the application has them."""
    if "greenlet" in sys.modules:
        hot.ident = _at_first
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """Finds no module, and sees when greenlet is looked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Say that this finds nothing."""
        if name == "greenlet":
            hot.ident = _at_first


def _at_first() -> int:
    """The number, while greenlet is being imported; from then on what knows greenlets is asked."""
    running = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    if running is None:
        return get_ident()
    for finder in [finder for finder in sys.meta_path if isinstance(finder, _Watch)]:
        sys.meta_path.remove(finder)
    hot.ident = _with_greenlets(running)
    return hot.ident()


def _with_greenlets(running: Callable[[], Any]) -> Callable[[], int]:
    def number() -> int:
        greenlet = running()
        return get_ident() if greenlet.parent is None else id(greenlet) + 1

    return number


hot.ident = get_ident
