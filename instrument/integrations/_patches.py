"""Replacing what a framework's classes and modules hold, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instrument.collecting.collector import collector
from instrument.integrations._imports import Hook, forget, when_imported

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
_ABSENT = object()


class Patches:
    """What one integration has put in; `undo` takes it out, and whatever is put in later at once.

    Where someone else has wrapped ours since, it stays in place and passes everything through: that of `wrap` does so
    by itself, what was `set` asks `active`.
    """

    def __init__(self) -> None:
        self.active = True
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Put `wrapper(wrapped, instance, args, kwargs)` around an attribute of a class or module.

        Raises AttributeError where there is none of that name.
        """
        from instrument.integrations._wrapping import wrapped  # here, because wrapt costs 87 ms that not all need

        self.set(owner, name, wrapped(owner, name, wrapper, lambda: self.active))

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class or module."""
        own = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self.when_undone(lambda: _put_back(owner, name, own, value))

    def when_imported(self, name: str, hook: Hook) -> None:
        """Call `hook` with a further module once the application has imported it, unless it is all undone by then."""
        when_imported(name, hook)
        self.when_undone(lambda: forget(name, hook))

    def when_undone(self, action: Callable[[], None]) -> None:
        """Have something else done at the end, such as taking a listener out."""
        self._undo.append(action)
        if not self.active:
            self.undo()

    def undo(self) -> None:
        """Take everything out, the last first. Twice is harmless."""
        self.active = False
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as problem:  # noqa: BLE001 - ours, or a framework's that wants to keep its listener
                collector.trouble("uninstall", problem)


def _put_back(owner: Any, name: str, own: Any, ours: Any) -> None:
    if vars(owner).get(name) is not ours:
        return
    if own is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, own)
