"""Tracking what is callable but no function: partials, cached functions, callable objects, bound and built-in methods.

They stay what they are (attributes, `isinstance`, pickling, binding) behind a transparent proxy; wrapt is the well-kept
one. It is imported here, where it is first needed, because it costs 87 ms.
"""

from __future__ import annotations

import copy
import functools
import operator
import sys
from types import FunctionType, MethodType
from typing import Any, cast

import wrapt

from instrument.recording.fast_path import wrap
from instrument.recording.signatures import Signature, kind_of
from instrument.recording.slow_path import Site, default_name


class TrackedCallable(wrapt.FunctionWrapper[Any, Any]):
    """A callable that is recorded when called."""

    _self_site: Site  # wrapt keeps what begins with _self_ on the proxy

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if not hasattr(type(self.__wrapped__), "__get__"):
            return self  # an object that does not bind
        return super().__get__(instance, owner)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._known_as(protocol) or (track_callable, (self.__wrapped__, self._self_site))

    def _known_as(self, protocol: Any) -> str | None:
        """The name to pickle by, where the wrapped object does so and this one stands in its place."""
        how = self.__wrapped__.__reduce_ex__(protocol)
        if not isinstance(how, str):
            return None
        found: Any = sys.modules.get(self.__wrapped__.__module__)
        for part in how.split("."):
            found = getattr(found, part, None)
        return how if found is self else None

    def __copy__(self) -> TrackedCallable:
        return track_callable(copy.copy(self.__wrapped__), self._self_site)

    def __deepcopy__(self, memo: Any) -> TrackedCallable:
        return track_callable(copy.deepcopy(self.__wrapped__, memo), self._self_site)


def track_callable(target: Any, site: Site) -> TrackedCallable:
    """Wrap a callable that is no function.

    What is called is what the target has bound to, where it binds; `operator.call` does so without a frame of ours.
    """
    behind = Behind(target)
    name = site.name or default_name(behind.named)
    site = Site(site.kind, name, named=site.named, agent=site.agent, wanted=site.wanted)
    expression = Signature(behind.function).input(site.kind, site.wanted)
    pick = None if expression == "''" else Pick(target, behind, expression, site.wanted)
    made: Any = wrap(_called, site, pick, kind_of(target), calls=operator.call)
    made.__code__ = made.__code__.replace(co_name=name, co_qualname=name)
    call: Any = lambda wrapped, instance, args, kwargs: made(wrapped, *args, **kwargs)  # noqa: E731 - wrapt wants Any
    tracked = TrackedCallable(target, call)
    tracked._self_site = site
    return tracked


def _called(target: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Has the parameters of `operator.call`, which stands in its place."""


def _anything(*args: Any, **kwargs: Any) -> None:
    """Has the parameters of a callable that does not say which it has."""


class Behind:
    """The function behind a callable, and what the callable passes on to it by itself.

    `args` and `keywords` are those that partials have fixed, and None for self. `binds` says that the instance comes
    before the arguments where the callable is used as a method.
    """

    def __init__(self, target: Any) -> None:
        self.args: list[Any] = []
        self.keywords: dict[str, Any] = {}
        while isinstance(target, functools.partial):
            self.args, self.keywords = [*target.args, *self.args], {**target.keywords, **self.keywords}
            target = target.func
        self.named = target
        wrapped = getattr(target, "__wrapped__", None)  # of `functools.cache` and its like
        function: Any = target
        if isinstance(target, MethodType):
            function, self.args = target.__func__, [None, *self.args]
        elif not isinstance(target, FunctionType) and isinstance(wrapped, FunctionType):
            function = wrapped
        elif not isinstance(target, FunctionType) and isinstance(type(target).__call__, FunctionType):
            function, self.args = type(target).__call__, [None, *self.args]
        self.binds = isinstance(function, FunctionType)
        self.function: FunctionType = function if self.binds else cast(FunctionType, _anything)


class Pick:
    """Finds the input of a callable in its arguments, in what a partial has fixed, or in the defaults."""

    def __init__(self, target: Any, behind: Behind, expression: str, wanted: str | None) -> None:
        self._target, self._behind = target, behind
        function, signature = behind.function, Signature(behind.function)
        defaults = {**dict(zip(reversed(signature.positional), reversed(function.__defaults__ or ()), strict=False))}
        defaults.update(function.__kwdefaults__ or {})
        self._place: int | None = None
        self._name = wanted or ""
        if expression.startswith("(pv"):
            self._place = len(signature.positional)
        elif expression[1:].isdigit():
            place = int(expression[1:])
            self._place = place if expression[0] == "p" else None
            self._name = (signature.positional if expression[0] == "p" else signature.only_keyword)[place]
        self._default = defaults.get(self._name, "")

    def __call__(self, called: Any, args: Any, keywords: Any) -> Any:
        """Find the input in what `called`, the target or what it has bound to, is called with."""
        behind = self._behind
        bound = [None] if behind.binds and called is not self._target else []
        given = [*behind.args, *bound, *args]
        if self._place is not None and self._place < len(given):
            return given[self._place]
        return keywords.get(self._name, behind.keywords.get(self._name, self._default))
