"""The end of an import that had begun before anyone waited for it: install() called in the middle of it, or beside it.

Only the module's spec is told, by a private attribute of the import system's (CPython 3.3 and later). Where that should
go, such a module is not hooked in, and nothing else happens.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any

from instrument.integrations._imports import arrived


class _Watched(ModuleSpec):
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_initializing" and not value:
            super().__setattr__("__class__", ModuleSpec)
            if (module := sys.modules.get(self.name)) is not None:  # it is not there if its import failed
                arrived(self.name, module)


def watch(spec: Any) -> None:
    """Have the hooks called when the module of this spec is whole."""
    if type(spec) is ModuleSpec:
        spec.__class__ = _Watched
