"""Tracking what is callable but no function: partials, callable objects, bound and built-in methods.

They stay what they are (attributes, `isinstance`, pickling) behind a transparent proxy; wrapt is the well-kept one.
It is imported here, where it is first needed, because it costs 87 ms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

import wrapt

from instrument._general import Site, default_name
from instrument._templates import ASYNC, ASYNC_STREAM, STREAM, Signature, kind_of, wrap


class TrackedCallable(wrapt.FunctionWrapper[Any, Any]):
    """A callable that is recorded when called."""

    _self_how: tuple[str, str | None, str | None, str]  # wrapt keeps what begins with _self_ on the proxy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return track_again, (self.__wrapped__, *self._self_how)


def track_callable(
    target: Any, kind: str, name: str | None, agent: str | None, find: Callable[[Signature], str], how: Any = None
) -> TrackedCallable:
    """Wrap a callable that is no function."""
    inner = cast(FunctionType, _as_function(target))
    expression = find(_signature_of(target)) if how is None else how
    site = Site(kind, name or _name_of(target), named=name is not None, agent=agent)
    made = wrap(inner, site, lambda signature: _from_arguments(target, expression))
    tracked = TrackedCallable(target, lambda wrapped, instance, args, kwargs: made(*args, **kwargs))
    tracked._self_how = (kind, name, agent, expression)
    return tracked


def track_again(target: Any, kind: str, name: str | None, agent: str | None, expression: str) -> TrackedCallable:
    """Wrap it once more, after pickling."""
    return track_callable(target, kind, name, agent, lambda signature: expression, expression)


def _name_of(target: Any) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    return default_name(target)


def _as_function(target: Any) -> Callable[..., Any]:
    """A function of the target's kind that passes every argument on."""
    kind = kind_of(target)
    if kind == ASYNC:

        async def waiting(*args: Any, **kwargs: Any) -> Any:
            return await target(*args, **kwargs)

        return waiting
    if kind == STREAM:

        def streaming(*args: Any, **kwargs: Any) -> Any:
            return (yield from target(*args, **kwargs))

        return streaming
    if kind == ASYNC_STREAM:
        return _async_stream(target)

    def calling(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs)

    return calling


def _async_stream(target: Any) -> Callable[..., Any]:
    async def streaming(*args: Any, **kwargs: Any) -> Any:
        inner = target(*args, **kwargs)
        try:
            async for chunk in inner:
                yield chunk
        finally:
            await inner.aclose()

    return streaming


def _signature_of(target: Any) -> Signature:
    """The signature of the code behind a callable; of one that has none, one that takes everything."""
    while isinstance(target, functools.partial):
        target = target.func
    target = getattr(target, "__func__", target)
    if not isinstance(target, FunctionType):
        target = type(target).__call__
    return Signature(cast(FunctionType, target if isinstance(target, FunctionType) else _anything))


def _anything(*args: Any, **kwargs: Any) -> None:
    return


def _from_arguments(target: Any, expression: str) -> str:
    """The input's expression, from the parameters of the code behind to the arguments of the callable."""
    if not expression.startswith("p") or not expression[1:].isdigit():
        return expression if expression == "''" else "(pv[0] if pv else '')"
    code = _signature_of(target)
    place = int(expression[1:])
    key = code.positional[place]
    given = place - _already_given(target)
    fixed = _fixed(target, place)
    if fixed is not None:
        return repr(fixed)
    return f"(pv[{given}] if len(pv) > {given} else pk.get({key!r}, ''))"


def _already_given(target: Any) -> int:
    given = 0
    while isinstance(target, functools.partial):
        given += len(target.args)
        target = target.func
    bound = hasattr(target, "__self__") or not isinstance(target, FunctionType)
    return given + (1 if bound else 0)


def _fixed(target: Any, place: int) -> str | None:
    """The input where a partial has fixed it already, if it is text."""
    while isinstance(target, functools.partial):
        if place < len(target.args):
            return target.args[place] if isinstance(target.args[place], str) else None
        target = target.func
    return None
