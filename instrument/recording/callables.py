"""Tracking what is callable but no function: partials, callable objects, bound and built-in methods.

They stay what they are (attributes, `isinstance`, pickling) behind a transparent proxy; wrapt is the well-kept one.
It is imported here, where it is first needed, because it costs 87 ms.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, cast

import wrapt

from instrument.recording.fast_path import wrap
from instrument.recording.signatures import Signature, kind_of
from instrument.recording.slow_path import Site, default_name
from instrument.redaction.rules import described


class TrackedCallable(wrapt.FunctionWrapper[Any, Any]):
    """A callable that is recorded when called."""

    _self_how: tuple[str, str | None, str | None, str]  # wrapt keeps what begins with _self_ on the proxy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return track_again, (self.__wrapped__, *self._self_how)

    def __copy__(self) -> TrackedCallable:
        return track_again(copy.copy(self.__wrapped__), *self._self_how)

    def __deepcopy__(self, memo: Any) -> TrackedCallable:
        return track_again(copy.deepcopy(self.__wrapped__, memo), *self._self_how)


def track_callable(
    target: Any, kind: str, name: str | None, agent: str | None, find: Callable[[Signature], str], how: Any = None
) -> TrackedCallable:
    """Wrap a callable that is no function."""

    def calling(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs)

    expression = find(Signature(_code_of(target))) if how is None else how
    site = Site(kind, name or _name_of(target), named=name is not None, agent=agent)
    passing = cast(FunctionType, calling)
    made: Any = wrap(passing, site, lambda signature: _from_arguments(target, expression), kind_of(target))
    call: Any = lambda wrapped, instance, args, kwargs: made(*args, **kwargs)  # noqa: E731 - wrapt's types want it Any
    tracked = TrackedCallable(target, call)
    tracked._self_how = (kind, name, agent, expression)
    return tracked


def track_again(target: Any, kind: str, name: str | None, agent: str | None, expression: str) -> TrackedCallable:
    """Wrap it once more, after pickling."""
    return track_callable(target, kind, name, agent, lambda signature: expression, expression)


def _name_of(target: Any) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    return default_name(target)


def _code_of(target: Any) -> FunctionType:
    """The function behind a callable; for one that has none, one that takes everything."""
    while isinstance(target, functools.partial):
        target = target.func
    target = getattr(target, "__func__", target)
    if not isinstance(target, FunctionType) and not isinstance(target, BuiltinFunctionType):
        target = type(target).__call__
    return target if isinstance(target, FunctionType) else cast(FunctionType, _anything)


def _anything(*args: Any, **kwargs: Any) -> None:
    return


def _from_arguments(target: Any, expression: str) -> str:
    """The input's expression, from the parameters of the function behind to the arguments of the callable.

    A value that a partial has fixed, or a default, is described at decoration.
    """
    function, (args, keywords) = _code_of(target), _given(target)
    signature = Signature(function)
    if expression.startswith("(pv"):
        return repr(described(args[0])) if args else expression
    if expression[0] not in "pk" or not expression[1:].isdigit():
        return expression
    place = int(expression[1:])
    if expression[0] == "k":
        key = signature.only_keyword[place]
        default = (function.__kwdefaults__ or {}).get(key)
        return f"pk.get({key!r}, {described(keywords.get(key, default))!r})"
    if place < len(args):
        return repr(described(args[place]))
    key = signature.positional[place]
    defaults = dict(zip(reversed(signature.positional), reversed(function.__defaults__ or ()), strict=False))
    otherwise = f"pk.get({key!r}, {described(keywords.get(key, defaults.get(key)))!r})"
    return f"(pv[{place - len(args)}] if len(pv) > {place - len(args)} else {otherwise})"


def _given(target: Any) -> tuple[list[Any], dict[str, Any]]:
    """What a callable passes on by itself: the arguments that partials have fixed, and self."""
    args: list[Any] = []
    keywords: dict[str, Any] = {}
    while isinstance(target, functools.partial):
        args, keywords = [*target.args, *args], {**target.keywords, **keywords}
        target = target.func
    has_self = isinstance(target, MethodType) or (
        not isinstance(target, FunctionType) and isinstance(type(target).__call__, FunctionType)
    )
    return ([None, *args] if has_self else args), keywords
