"""Outside frameworks: one file each, hooked in when the application imports it.

    instrument.install("crewai", "gql")
    instrument.install()                 # whatever the application uses

A framework that the application never imports costs it nothing: not its import, and not that of wrapt.
"""

from __future__ import annotations

import functools
import threading
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from instrument._collector import collector
from instrument.errors import UsageError
from instrument.integrations._frameworks import FRAMEWORKS
from instrument.integrations._imports import when_imported

if TYPE_CHECKING:
    from instrument.integrations._patches import Patches

_lock = threading.RLock()
_wanted: set[str] = set()
_hooked: dict[str, Patches] = {}


def install(*names: str) -> None:
    """Record what frameworks do, each from the moment the application imports it; none named: all that are known.

    Once is as good as twice. A framework whose version was never tried is said once, through `logging`, and
    hooked in as far as it can be.

    Raises UsageError, with nothing installed, for a name that is not known.
    """
    for name in _known(names):
        with _lock:
            new = name not in _wanted
            _wanted.add(name)
        if new and collector.enabled:
            when_imported(FRAMEWORKS[name].module, functools.partial(_hook_in, name))


def uninstall(*names: str) -> None:
    """Take integrations out again; none named: all of them. What is open is still finished.

    Raises UsageError, with nothing taken out, for a name that is not known.
    """
    for name in _known(names):
        with _lock:
            _wanted.discard(name)
            patches = _hooked.pop(name, None)
        if patches is not None:
            patches.undo()


def installed() -> list[str]:
    """The names of the integrations whose framework has been hooked in."""
    with _lock:
        return sorted(_hooked)


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in FRAMEWORKS]
    if unknown:
        raise UsageError(f"no integration is called {unknown[0]!r}; there are: {', '.join(sorted(FRAMEWORKS))}")
    return names or tuple(FRAMEWORKS)


def _hook_in(name: str, module: ModuleType) -> None:
    """Patch a framework that has just been imported; whatever fails is said, and the application goes on."""
    from instrument.integrations._patches import Patches
    from instrument.integrations._versions import say_untried, version_of

    framework = FRAMEWORKS[name]
    with _lock:
        if name not in _wanted or name in _hooked:
            return
        patches = _hooked[name] = Patches()
    try:
        import_module(f"instrument.integrations.{name}").hook_in(patches, module)
        say_untried(name, framework)
    except Exception as problem:  # noqa: BLE001 - ours, or a framework that changed: not the application's
        patches.undo()
        collector.trouble(f"{name} {version_of(framework)} cannot be hooked in, nothing of it is recorded", problem)
