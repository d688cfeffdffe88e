"""Threads: what a query starts in another thread belongs to it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from instrument._scope import ROW, current
from instrument.integrations._patches import Patches
from instrument.spans import propagate


def hook_in(patches: Patches, threading: ModuleType) -> None:
    """Carry the open query through `Thread.start` and `ThreadPoolExecutor.submit`, which event loops use as well."""
    from concurrent.futures import ThreadPoolExecutor

    patches.wrap(threading.Thread, "start", _start)
    patches.wrap(ThreadPoolExecutor, "submit", _submit)


def _start(wrapped: Any, thread: Any, args: Any, kwargs: Any) -> Any:
    if current.get()[ROW] is not None:
        thread.run = propagate(thread.run)
    return wrapped(*args, **kwargs)


def _submit(wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
    if current.get()[ROW] is not None and args:
        args = (propagate(args[0]), *args[1:])
    return wrapped(*args, **kwargs)
