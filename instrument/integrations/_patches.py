"""Replacing what a framework's classes and modules hold, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
_ABSENT = object()


class Patches:
    """What one integration has put in; `undo` takes it out.

    Where someone else has wrapped ours since, it stays in place and passes everything through.
    """

    def __init__(self) -> None:
        self._active = True
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Put `wrapper(wrapped, instance, args, kwargs)` around an attribute of a class or module.

        Raises AttributeError where there is none of that name.
        """
        import wrapt  # here, because it costs 87 ms that an integration without it can save

        own = vars(owner).get(name, _ABSENT)
        _, _, original = wrapt.resolve_path(owner, name)
        replacement = wrapt.FunctionWrapper(original, wrapper, enabled=lambda: self._active)
        setattr(owner, name, replacement)
        self._undo.append(lambda: _put_back(owner, name, own, replacement))

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class or module."""
        own = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self._undo.append(lambda: _put_back(owner, name, own, value))

    def when_undone(self, action: Callable[[], None]) -> None:
        """Have something else done at the end, such as taking a listener out."""
        self._undo.append(action)

    def undo(self) -> None:
        """Take everything out, the last first."""
        self._active = False
        while self._undo:
            self._undo.pop()()


def _put_back(owner: Any, name: str, own: Any, ours: Any) -> None:
    if vars(owner).get(name) is not ours:
        return
    if own is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, own)
