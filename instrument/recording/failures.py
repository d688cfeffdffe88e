"""What an exception means for the record that it leaves, and whether a record inside has it already.

One exception counts once, however many records it passes through. Nothing is kept on the exception for that, since it
is the application's: what is remembered, for the last few thousand failures, is which exception it was. Most exceptions
of Python's own cannot be referred to weakly, and an address is soon used again; of those the way they came through the
code is remembered, as numbers, so that no frame lives longer.
"""

from __future__ import annotations

import inspect
import weakref
from types import TracebackType
from typing import Any, NamedTuple

from instrument.clocks import monotonic_ns

REMEMBERED = 4096
"""Failures that are remembered in the process, the latest."""

_ENTRIES_COMPARED = 4
"""Entries of a traceback that are compared, beside its length."""

_LEAVES = 100
"""Exceptions of a group that are looked at."""

_CANCELLED = ("CancelledError", "Cancelled", "GreenletExit")

_GENERATORS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_traceback_of = BaseException.__dict__["__traceback__"].__get__


class _Failure(NamedTuple):
    """An exception that a record had: when, which one, and the way that it had come by then."""

    noted: int
    error: weakref.ref[BaseException] | None
    length: int
    way: tuple[int, ...]


_recent: dict[int, _Failure] = {}
"""By the exception's address."""


def outcome(error: BaseException) -> str:
    """The status that an exception gives to what it leaves: `sys.exit()` with 0 or nothing is no failure."""
    if isinstance(error, GeneratorExit):
        return "closed"
    if _is_success(error):
        return "ok"
    if not isinstance(error, Exception) and _is_cancellation(error):
        return "cancelled"
    return "error"


def _is_success(error: BaseException) -> bool:
    """Whether it ends the program in order: `sys.exit()`, or the `Exit` of click and Typer, with 0 or nothing."""
    if isinstance(error, SystemExit):
        return error.code is None or error.code == 0
    kind = type(error)
    return (
        kind.__name__ == "Exit"
        and kind.__module__.partition(".")[0] in ("click", "typer")
        and getattr(error, "exit_code", None) == 0
    )


def _is_cancellation(error: BaseException) -> bool:
    """Whether it is a loop's own cancellation, or a group of nothing else, as a nursery of trio's raises."""
    if isinstance(error, BaseExceptionGroup):
        leaves = _leaves(error)
        return leaves is not None and all(type(leaf).__name__ in _CANCELLED for leaf in leaves)
    return type(error).__name__ in _CANCELLED


def note_error(row: Any, began: int, error: BaseException) -> None:
    """Put an exception on a row that began then: status, type, and whether it stands on a record inside already."""
    status = outcome(error)
    if status == "ok":
        return
    row.status = status
    if status != "closed":
        row.error = type(error).__name__
        row.passed_on = seen_before(error, began)


def seen_before(error: BaseException, began: int) -> bool:
    """Whether a record that ended since `began` has the same exception, or all that a group is made of.

    It is remembered, so that the records around know it. A failure older than `began` is an earlier raise of the same
    object.
    """
    seen = _is_known(error, began) or (isinstance(error, BaseExceptionGroup) and _are_known(error, began))
    _remember(error)
    return seen


def _is_known(error: BaseException, began: int) -> bool:
    known = _recent.get(id(error))
    if known is None or known.noted < began:
        return False
    if known.error is not None:
        return known.error() is error
    return _came_by(_traceback_of(error), known)


def _are_known(group: BaseExceptionGroup[BaseException], began: int) -> bool:
    leaves = _leaves(group)
    return leaves is not None and all(_is_known(leaf, began) for leaf in leaves)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException] | None:
    """The exceptions that a group is made of, however deep; None for more than are looked at."""
    leaves: list[BaseException] = []
    inside: list[BaseException] = [group]
    while inside and len(leaves) < _LEAVES:
        one = inside.pop()
        if isinstance(one, BaseExceptionGroup):
            inside += one.exceptions
        else:
            leaves.append(one)
    return None if inside else leaves


def _remember(error: BaseException) -> None:
    # Asking the type first: an attempt that raises TypeError costs a tenth of what recording a failing call does.
    weakly = weakref.ref(error) if type(error).__weakrefoffset__ else None
    length, way = (0, ()) if weakly is not None else _entries(_without_context_managers(_traceback_of(error)))
    _recent.pop(id(error), None)
    _recent[id(error)] = _Failure(monotonic_ns(), weakly, length, way)
    if len(_recent) > REMEMBERED:
        try:
            _recent.pop(next(iter(_recent)), None)
        except (RuntimeError, StopIteration):  # another thread remembers one just now, and will do this
            return


def _without_context_managers(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the generators that it begins with: `contextlib` takes those of its own out again."""
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_flags & _GENERATORS:
        trace = trace.tb_next
    return trace


def _entries(trace: TracebackType | None) -> tuple[int, tuple[int, ...]]:
    """A traceback's length, and where its first entries stand in which code."""
    length = 0
    way: list[int] = []
    while trace is not None:
        if length < _ENTRIES_COMPARED:
            way += (id(trace.tb_frame.f_code), trace.tb_lasti)
        length += 1
        trace = trace.tb_next
    return length, tuple(way)


def _came_by(trace: TracebackType | None, known: _Failure) -> bool:
    """Whether a traceback ends with the one that a failure had; one that was never raised has none."""
    if known.length == 0:
        return trace is None
    for _ in range(_entries(trace)[0] - known.length):
        trace = trace.tb_next if trace is not None else None
    return _entries(trace)[1] == known.way
