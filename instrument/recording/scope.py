"""Where the running code is: in which query, under which call.

One context variable holds a *scope*: a list, because its items are read and set in 7 ns where a Struct's attribute
takes 36 to set. What is in it:

    THREAD   the thread that may use this scope without asking further; 0 wherever asking is needed
    STARTED  when the query began, monotonic ns
    CALLS    the calls made here: the query's own list, or, in another thread, one merged into it at the query's end
    OPEN     place in CALLS of the call that encloses what is made here, None directly under the query
    ROW      the query, None outside any
    CALL     the call that the scope belongs to; outside any query, the selection that waits for one
    OWNER    (only where CALLS is not the query's own) the one thread that appends to it
    ABOVE    (likewise) the call that encloses what lies at its top; outside any query, the call that the scope is in
    SAME     (only where a framework's call is open) the decorated function that is that very call, so recorded already

THREAD is 0 outside a query, after its end, in another thread, after a fork, where recording is suppressed or off. So
the wrappers in `fast_path.py` decide by one comparison whether the short way is open to them; all else goes the
general way (`queries.py`, `calls.py`).
"""

from __future__ import annotations

import gc
from contextvars import ContextVar, Token
from threading import get_ident
from typing import Any, TypeVar

from instrument.clocks import monotonic_ns
from instrument.collecting.collector import collector
from instrument.collecting.switches import switches
from instrument.rows.live import LiveQuery

clock = monotonic_ns
THREAD, STARTED, CALLS, OPEN, ROW, CALL, OWNER, ABOVE, SAME = range(9)
Scope = list[Any]
T = TypeVar("T")


class DetachedScope(list[Any]):
    """A scope whose end may come in another context, so that it stays behind in its own, `left`: then it is no scope
    of its own any more and stands for the one `around` it, whose items it has.
    """

    __slots__ = ("around", "left")
    around: Scope
    left: bool


STREAMS: dict[type, Any] = {}
"""Types of results that are streams, and what follows them; `streams.py` fills it."""

NOBODY: Scope = [0, 0, None, None, None, None]
SUPPRESSED: Scope = [0, 0, None, None, None, None]


current: ContextVar[Scope] = ContextVar("instrument", default=NOBODY)

_ABSENT: Scope = [0, 0, None, None, None, None]
_collecting = [0]
"""The thread that collects garbage, 0 for none."""


def _on_collection(phase: str, info: object) -> None:
    _collecting[0] = get_ident() if phase == "start" else 0


def is_collecting() -> bool:
    """Whether this code runs in a finaliser, in the middle of a collection of garbage."""
    return _collecting[0] == get_ident()


def query_here() -> LiveQuery | None:
    """The query that is open here, or None."""
    row: LiveQuery | None = current.get()[ROW]
    return row if row is not None and row.scope is not None else None


def recording() -> bool:
    """Whether records are made at all, as far as the settings are known: a file's are read with the first record."""
    return switches.enabled


def enter(scope: Scope) -> Token[Scope] | None:
    """Make a scope current; gives what `leave` takes back. None, and nothing done, while garbage is collected here.

    A collection may come in the middle of any `ContextVar.set` or `reset`, and what its finalisers set then crashes
    CPython (3.11: the mapping that is being copied is freed). Resetting to no value at all is as bad: what a finaliser
    reads meanwhile stays in the variable's cache and may be freed. So a value is always there before another is set.
    """
    if is_collecting():
        return None
    if current.get(_ABSENT) is _ABSENT:
        current.set(NOBODY)
    return current.set(scope)


def leave(scope: Scope | None, token: Token[Scope]) -> None:
    """Make the scope before `scope` current again, unless this is another context or the scope was left already.

    A query takes with it whatever is still open inside it here, such as a span in a generator that nobody resumes.
    """
    if is_collecting():
        return
    here = current.get()
    while isinstance(here, DetachedScope) and here.left:
        here = here.around
    if here is scope or (scope is not None and scope[CALL] is None and here[ROW] is scope[ROW] is not None):
        try:
            current.reset(token)
        except ValueError:
            return  # collected or closed in a context it was never entered in: nothing to restore there


def still_open(kind: type[T]) -> list[T]:
    """What of a kind, queries or calls on their own, is open in this process."""
    return [opened for opened in list(collector.opened) if isinstance(opened, kind)]


def begin_elsewhere(at: Scope | None = None) -> Scope:
    """A scope, else the one at hand, as another thread may enter it: the same query, under the same call."""
    scope = current.get() if at is None else at
    row: LiveQuery | None = scope[ROW]
    if row is None:
        return scope
    call = scope[CALLS][scope[OPEN]] if scope[THREAD] == get_ident() and scope[OPEN] is not None else scope[CALL]
    return [0, row.started, [], None, row, call, 0, call]


def remember(row: LiveQuery, frame: Scope) -> None:
    """Let the query know of a frame, so that its end can close it."""
    if row.frames is None:
        row.frames = [frame]
    else:
        row.frames.append(frame)


gc.callbacks.append(_on_collection)
current.set(NOBODY)
switches.set_outside(NOBODY)
