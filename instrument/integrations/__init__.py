"""Outside frameworks: one file each, hooked in when the application imports it.

    instrument.install("crewai", "gql")
    instrument.install()                 # whatever the application uses

A framework that the application never imports costs it nothing: not its import, and not that of wrapt.

No lock is taken here (see `_imports.py`); what two threads may do at once is one atomic step of a dict or a set.
"""

from __future__ import annotations

import functools
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from instrument.collecting.collector import collector
from instrument.errors import UsageError
from instrument.integrations._frameworks import FRAMEWORKS
from instrument.integrations._imports import Hook, forget, when_imported

if TYPE_CHECKING:
    from instrument.integrations._patches import Patches

_wanted: set[str] = set()
_hooked: dict[str, Patches] = {}


def install(*names: str) -> None:
    """Record what frameworks do, each from the moment the application imports it; none named: all that are known.

    Once is as good as twice. A framework whose version was never tried is said once, through `logging`, and
    hooked in as far as it can be. Nothing is hooked in where recording is switched off at that moment.

    Raises UsageError, with nothing installed, for a name that is not known.
    """
    for name in known(names):
        _wanted.add(name)
        when_imported(FRAMEWORKS[name].module, _hook(name))


def uninstall(*names: str) -> None:
    """Take integrations out again; none named: all of them. What is open is still finished.

    Raises UsageError, with nothing taken out, for a name that is not known.
    """
    for name in known(names):
        _wanted.discard(name)
        forget(FRAMEWORKS[name].module, _hook(name))
        patches = _hooked.pop(name, None)
        if patches is not None:
            patches.undo()


def installed() -> list[str]:
    """The names of the integrations whose framework has been hooked in."""
    return sorted(_hooked)


def known(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, all there are for none. Raises UsageError for one that is not known."""
    unknown = [name for name in names if name not in FRAMEWORKS]
    if unknown:
        raise UsageError(f"no integration is called {unknown[0]!r}; there are: {', '.join(sorted(FRAMEWORKS))}")
    return names or tuple(FRAMEWORKS)


@functools.cache
def _hook(name: str) -> Hook:
    """One hook a framework, so that it waits once however often it is installed."""
    return functools.partial(_hook_in, name)


def _hook_in(name: str, module: ModuleType) -> None:
    """Patch a framework that has just been imported; whatever fails is said, and the application goes on."""
    from instrument.integrations._patches import Patches
    from instrument.integrations._versions import say_untried, version_of
    from instrument.tracking import switched_off

    patches = Patches()
    if name not in _wanted or switched_off() or _hooked.setdefault(name, patches) is not patches:
        return
    framework = FRAMEWORKS[name]
    try:
        say_untried(name, framework)
        import_module(f"instrument.integrations.{name}").hook_in(patches, module)
    except Exception as problem:  # noqa: BLE001 - ours, or a framework that changed: not the application's
        patches.undo()
        collector.trouble(f"{name} {version_of(framework)} cannot be hooked in, nothing of it is recorded", problem)
    if not patches.active or name not in _wanted:  # it failed, or was taken out meanwhile
        patches.undo()
        if _hooked.get(name) is patches:
            del _hooked[name]
