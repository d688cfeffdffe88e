"""Threads: what a query has done in another thread belongs to it, under the call that handed it over.

Carried along by `Thread.start` (timers and classes with a `run` of their own included) and by
`ThreadPoolExecutor.submit`, through which `map`, `run_in_executor` and `asyncio.to_thread` pass. Plain functions do it,
so that wrapt is not needed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from instrument.collecting.collector import collector
from instrument.integrations._patches import Patches
from instrument.recording.scope import NOBODY, ROW, Scope, begin_elsewhere, current, enter, is_suppressed, scope_here

_LASTING = ("concurrent.futures", "multiprocessing", "anyio", "logging", "opentelemetry", "instrument")
"""Packages whose threads serve whoever comes, long after the query that happened to start them."""

_ABSENT = object()


def hook_in(patches: Patches, module: ModuleType) -> None:
    """Carry the open query through threads, and through pools once the application has imported them."""
    patches.set(threading.Thread, "start", _carrying_start(patches, threading.Thread.start))
    patches.when_imported("concurrent.futures.thread", functools.partial(_hook_in_pools, patches))


def _hook_in_pools(patches: Patches, module: ModuleType) -> None:
    pool = module.ThreadPoolExecutor
    patches.set(pool, "submit", _carrying_submit(patches, pool.submit))


class _Carried:
    """A function that runs once, in another thread, in the query that it was handed over in.

    It lets go of the query before it runs: an exception's traceback may keep this frame for as long as it likes.
    """

    __slots__ = ("_function", "_scope")

    def __init__(self, function: Callable[..., Any], scope: Scope) -> None:
        self._function: Any = function
        self._scope: Any = scope

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        token = enter(self._scope)
        function, self._function, self._scope = self._function, None, None
        try:
            return function(*args, **kwargs)
        finally:
            if token is not None:
                current.reset(token)


def _here() -> Scope | None:
    """The scope to carry along, None where there is nothing to carry."""
    scope = scope_here()
    return begin_elsewhere(scope) if scope[ROW] is not None or is_suppressed(scope) else None


# -- pools -----------------------------------------------------------------------------------------------------------


def _carrying_submit(patches: Patches, submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def carrying(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        scope = _here() if patches.active and args and callable(args[0]) else None
        if scope is None:
            return submit(self, *args, **kwargs)
        token = enter(NOBODY)  # a worker that this starts is for others, too
        try:
            return submit(self, _Carried(args[0], scope), *args[1:], **kwargs)
        finally:
            if token is not None:
                current.reset(token)

    return carrying


# -- threads ---------------------------------------------------------------------------------------------------------


def _carrying_start(patches: Patches, start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def carrying(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
        scope = _here() if patches.active and not _is_lasting(self) else None
        if scope is None:
            return start(self, *args, **kwargs)
        own = vars(self).get("run", _ABSENT)
        vars(self)["run"] = _Carried(functools.partial(_run, self, own), scope)
        try:
            return start(self, *args, **kwargs)
        except BaseException:
            _give_back(self, own)
            raise

    return carrying


def _run(thread: threading.Thread, own: Any) -> None:
    """In the new thread: what `run` is without us, so that nobody sees ours for long."""
    _give_back(thread, own)
    thread.run()


def _give_back(thread: threading.Thread, own: Any) -> None:
    if own is _ABSENT:
        vars(thread).pop("run", None)
    else:
        vars(thread)["run"] = own


def _is_lasting(thread: threading.Thread) -> bool:
    """Whether a thread serves whoever comes: by its target's module, or its class's where it has a `run` of its own."""
    try:
        target = getattr(thread, "_target", None)
        module = type(thread).__module__ if target is None else target.__module__
        return any(f"{module}.".startswith(f"{package}.") for package in _LASTING)
    except Exception as problem:  # noqa: BLE001 - an odd target: ours is to leave it alone
        collector.trouble("threads", problem)
        return True
