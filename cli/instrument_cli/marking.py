"""Marks at the ends of decorated functions' bodies, put in from outside: what tells recording from a function's work.

While `marked` is active, every decorated function reads its thread's clock where it is called and where it returns, and
so does its body. Between the two pairs lies what recording took. The same functions run recorded or as if they were
undecorated, as `Marks.recorded` says at the moment of the call, with the same marks.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import CellType, CodeType, FunctionType
from typing import Any, cast

from instrument.recording.fast_path import FILENAME
from instrument_cli.overhead import cpu_ns


class Marks:
    """What the marks have seen: `outside` the bodies in CPU ns, and the `calls` of marked functions."""

    __slots__ = ("calls", "outside", "recorded")

    def __init__(self) -> None:
        self.recorded = True
        self.outside = 0
        self.calls = 0


@contextmanager
def marked() -> Iterator[Marks]:
    """Mark all decorated functions of this process but streams; afterwards they are as before."""
    marks = Marks()
    wrappers = [found for found in gc.get_objects() if isinstance(found, FunctionType) and _is_wrapper(found)]
    undo = [_mark(wrapper, marks) for wrapper in wrappers]
    try:
        yield marks
    finally:
        for each in undo:
            each()


def _is_wrapper(function: FunctionType) -> bool:
    code = function.__code__
    stream = code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)
    return code.co_filename == FILENAME and "fn" in code.co_freevars and not stream


def _mark(wrapper: FunctionType, marks: Marks) -> Callable[[], None]:
    """Put the marks into one wrapper; gives what takes them out."""
    code, cells = wrapper.__code__, wrapper.__closure__ or ()
    place = code.co_freevars.index("fn")
    function = cells[place].cell_contents
    waits = bool(code.co_flags & CO_COROUTINE)
    body = (_async_body if waits else _body)(function, marks)
    inner = (*cells[:place], CellType(body), *cells[place + 1 :])
    recording = FunctionType(code, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, inner)
    recording.__kwdefaults__ = wrapper.__kwdefaults__
    cells[place].cell_contents = (_async_call if waits else _call)(recording, body, marks)
    wrapper.__code__ = _passing_on(code.co_freevars, waits)

    def undo() -> None:
        wrapper.__code__ = code
        cells[place].cell_contents = function

    return undo


def _passing_on(names: tuple[str, ...], waits: bool) -> CodeType:
    """Code with these free variables that hands everything on to the one called `fn`."""
    head, call = ("async def", "await fn") if waits else ("def", "fn")
    inner = (
        f"    {head} shim(*args, **kwargs):\n        return {call}(*args, **kwargs)\n        ({', '.join(names)},)\n"
    )
    made: dict[str, Any] = {}
    exec(compile(f"def factory({', '.join(names)}):\n{inner}    return shim\n", "<bench>", "exec"), made)
    code = cast(FunctionType, made["factory"]).__code__
    return next(one for one in code.co_consts if isinstance(one, CodeType))


def _call(recording: Callable[..., Any], body: Callable[..., Any], marks: Marks) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        marks.calls += 1
        begin = cpu_ns()
        try:
            return (recording if marks.recorded else body)(*args, **kwargs)
        finally:
            marks.outside += cpu_ns() - begin

    return call


def _body(function: Callable[..., Any], marks: Marks) -> Callable[..., Any]:
    def body(*args: Any, **kwargs: Any) -> Any:
        begin = cpu_ns()
        try:
            return function(*args, **kwargs)
        finally:
            marks.outside -= cpu_ns() - begin

    return body


def _async_call(recording: Callable[..., Any], body: Callable[..., Any], marks: Marks) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        marks.calls += 1
        begin = cpu_ns()
        try:
            return await (recording if marks.recorded else body)(*args, **kwargs)
        finally:
            marks.outside += cpu_ns() - begin

    return call


def _async_body(function: Callable[..., Any], marks: Marks) -> Callable[..., Any]:
    async def body(*args: Any, **kwargs: Any) -> Any:
        begin = cpu_ns()
        try:
            return await function(*args, **kwargs)
        finally:
            marks.outside -= cpu_ns() - begin

    return body
