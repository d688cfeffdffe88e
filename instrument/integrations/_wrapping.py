"""Wrappers around a framework's functions that can be pickled and copied as the functions can.

Apart from `_patches.py`, because it imports wrapt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import wrapt


class BoundWrapper(wrapt.BoundFunctionWrapper[Any, Any]):
    """What a wrapped method gives when it is asked of an object or of its class."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        holder, name = _holder_of(self)
        return getattr, (holder, name)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        holder, name = _holder_of(self)
        return getattr(copy.deepcopy(holder, memo), name)


class Wrapper(wrapt.FunctionWrapper[Any, Any]):
    """What stands in a class or module in a function's place."""

    __bound_function_wrapper__ = BoundWrapper

    _self_place: tuple[Any, str]  # wrapt keeps what begins with _self_ on the proxy

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner, name = self._self_place
        return (_attribute, (owner.__name__, name)) if isinstance(owner, ModuleType) else (getattr, (owner, name))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def wrapped(owner: Any, name: str, wrapper: Callable[..., Any], active: Callable[[], bool]) -> Any:
    """An attribute of a class or module, as `wrapper` answers for it while `active()` says so."""
    _, _, original = wrapt.resolve_path(owner, name)
    enabled: Any = active
    put_in = Wrapper(original, wrapper, enabled=enabled)
    put_in._self_place = (owner, name)
    return put_in


def _holder_of(bound: Any) -> tuple[Any, str]:
    """The object that a method is bound to, else its class; and the method's name there."""
    name: str = bound._self_place[1]
    return (bound._self_owner if bound._self_instance is None else bound._self_instance), name


def _attribute(module: str, name: str) -> Any:
    return getattr(import_module(module), name)
