"""Waiting for a module to be imported, without importing anything.

wrapt has import hooks, too, but importing wrapt costs 87 ms, which even an application would pay that only asks whether
a framework is there. So a finder of our own wraps the loader of what is waited for, and does nothing else. It inherits
from nothing: `importlib.abc` alone would double what `import instrument` costs.

No lock is taken here: one that another thread holds at a fork would make every import in the child hang.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from instrument.collecting.collector import collector

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

Hook = Callable[[ModuleType], None]

_waiting: dict[tuple[str, Hook], bool] = {}
"""Who waits for what; whoever pops an entry calls the hook, so that each is called once."""


def when_imported(name: str, hook: Hook) -> None:
    """Call `hook` with a module once it has been imported: at once if it has been already.

    What the hook raises is counted as trouble of ours; the import goes on.
    """
    _waiting[name, hook] = True
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)  # for good: taking it out could make another thread's import skip a finder
    module = sys.modules.get(name)
    if module is not None:
        spec = getattr(module, "__spec__", None)
        if not _half_imported(spec):
            arrived(name, module)


def forget(name: str, hook: Hook) -> None:
    """Let a hook wait no more."""
    _waiting.pop((name, hook), None)


def arrived(name: str, module: ModuleType) -> None:
    """Call the hooks that wait for a module."""
    for entry in [entry for entry in list(_waiting) if entry[0] == name]:
        if _waiting.pop(entry, False):
            _call(entry[1], module)


def _call(hook: Hook, module: ModuleType) -> None:
    try:
        hook(module)
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble(f"the hook for {module.__name__}", problem)


def _half_imported(spec: Any) -> bool:
    """Whether a module is still being imported; the hooks are then called at the end of it."""
    if not getattr(spec, "_initializing", False):
        return False
    from instrument.integrations._half_imported import watch

    watch(spec)
    return bool(spec._initializing)


class _Finder:
    """Has the finders behind it find what is waited for, and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if all(name != fullname for name, _ in list(_waiting)):
            return None
        spec: Any = self._found_by_others(fullname, path, target)
        if hasattr(getattr(spec, "loader", None), "exec_module") and type(spec.loader) is not _Loader:
            spec.loader = _Loader(fullname, spec.loader)
        return spec  # type: ignore[no-any-return]

    def _found_by_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        behind = False
        for finder in list(sys.meta_path):
            if behind and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
            behind = behind or finder is self
        return None


class _Loader:
    """A module's own loader, which tells when it is done. The module never gets to see it."""

    def __init__(self, name: str, loader: Any) -> None:
        self._name = name
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_loader"], name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        for holder, place in ((module, "__loader__"), (module.__spec__, "loader")):
            if getattr(holder, place, None) is self:
                setattr(holder, place, self._loader)
        self._loader.exec_module(module)
        arrived(self._name, module)


_finder: Any = _Finder()
