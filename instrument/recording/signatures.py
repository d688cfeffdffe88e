"""What a function is, and what its parameters are: all that is settled when it is decorated."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR, _AWAITED_GENERATOR = 0x80, 0x20, 0x200, 0x100
_VARARGS, _VARKEYWORDS = 0x04, 0x08

USUAL = {"query": ("user_input",), "graphql": ("query", "document")}
"""What the parameter with a query's input or a GraphQL document is usually called, by kind of record."""

VARIABLES = ("variables", "variable_values")
"""What the parameter with a GraphQL call's variables is called. Under any other name they are not known."""

SYNC, ASYNC, STREAM, ASYNC_STREAM = "sync", "async", "stream", "async stream"


def kind_of(function: Any) -> str:
    """Whether a function is sync, async, a stream or an async stream."""
    function = getattr(function, "__func__", function)
    while isinstance(function, functools.partial):
        function = function.func
    if _marked_async(function):
        return ASYNC
    if not isinstance(function, FunctionType) and not hasattr(function, "__code__"):
        function = type(function).__call__
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & _ASYNC_GENERATOR:
        return ASYNC_STREAM
    if flags & _AWAITED_GENERATOR:
        return ASYNC  # made by `types.coroutine`
    if flags & _GENERATOR:
        return STREAM
    return ASYNC if flags & _COROUTINE or _marked_async(function) else SYNC


def _marked_async(function: Any) -> bool:
    """Whether it says of itself that it gives a coroutine, as `inspect.markcoroutinefunction` has it."""
    marks = (getattr(function, "_is_coroutine_mark", None), getattr(function, "_is_coroutine", None))
    return any(type(mark) is object for mark in marks)  # a mock has every attribute, but not a bare object there


class Signature:
    """A function's parameters as the templates need them: what they are called, and how each is passed on."""

    def __init__(self, function: FunctionType) -> None:
        code = function.__code__
        flags = code.co_flags
        self.only_positional = code.co_posonlyargcount
        self.positional = code.co_varnames[: code.co_argcount]
        rest = code.co_varnames[code.co_argcount :]
        self.only_keyword, rest = rest[: code.co_kwonlyargcount], rest[code.co_kwonlyargcount :]
        self.more = bool(flags & _VARARGS)
        self.more_keywords = bool(flags & _VARKEYWORDS)
        self.names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + self.more + self.more_keywords]

    def input(self, kind: str, wanted: str | None) -> str:
        """The expression that gives a query's input or a GraphQL document.

        It is the parameter `wanted`, else one with a usual name, else the first after self.

        Raises TypeError when there is no parameter of the name wanted.
        """
        if kind not in USUAL:
            return "''"
        for name in (wanted,) if wanted else USUAL[kind]:
            if name in self.positional:
                return f"p{self.positional.index(name)}"
            if name in self.only_keyword:
                return f"k{self.only_keyword.index(name)}"
        if wanted and not self.more_keywords:
            raise TypeError(f"there is no parameter {wanted!r}")
        if wanted:
            return "pk.get(wanted, '')"
        own = len(self.positional) > 0 and self.positional[0] in ("self", "cls")
        if len(self.positional) > own:
            return f"p{int(own)}"
        return "(pv[0] if pv else '')" if self.more else "k0" if self.only_keyword else "''"

    def variables(self) -> str:
        """The expression that gives a GraphQL call's variables; "" where no parameter has a usual name."""
        for name in VARIABLES:
            if name in self.positional:
                return f"p{self.positional.index(name)}"
            if name in self.only_keyword:
                return f"k{self.only_keyword.index(name)}"
            if self.more_keywords and self.names[-1] == name:
                return "pk"
        return ""

    def parts(self) -> dict[str, str]:
        """The pieces of source that the templates are filled with."""
        positional = [f"p{place}" for place in range(len(self.positional))]
        keywords = [f"k{place}" for place in range(len(self.only_keyword))]
        star = ["*pv"] if self.more else ["*"] if keywords else []
        slash = ["/"] if self.only_positional else []
        double = ["**pk"] if self.more_keywords else []
        only = self.only_positional
        given = [*positional[:only], *slash, *positional[only:], *star, *keywords, *double]
        passed = [*positional, *(["*pv"] if self.more else []), *(f"{key}={key}" for key in keywords), *double]
        kwargs = [*(f"{key!r}: {key}" for key in keywords), *double]
        return {
            "PARAMETERS": ", ".join(given),
            "CALL": ", ".join(passed),
            "ARGS": "(" + "".join(f"{part}, " for part in [*positional, *(["*pv"] if self.more else [])]) + ")",
            "KWARGS": "{" + ", ".join(kwargs) + "}",
        }
