"""Where the running code is: in which query, under which call.

One context variable holds a *scope*: a list, because its items are read and set in 7 ns where a Struct's attribute
takes 36 to set. What is in it:

    THREAD   the thread that may use this scope without asking further; 0 wherever asking is needed; once the query, or
             the call, has ended in order, that thread's number with a minus
    STARTED  when the query began, monotonic ns
    CALLS    the calls made here: the query's own list, or, in another thread, one merged into it at the query's end
    OPEN     place in CALLS of the call that encloses what is made here, None directly under the query
    ROW      the query, None outside any
    CALL     the call that the scope belongs to; outside any query, the selection that waits for one
    OWNER    (only where CALLS is not the query's own) the one thread that appends to it
    ABOVE    (likewise) the call that encloses what lies at its top; outside any query, the call that the scope is in
    SAME     (only where a framework's call is open) the decorated function that is that very call, so recorded already
    AROUND   (only where the scope was left behind) the scope that it stands for from now on

A scope is *left behind* when it ends while it is not the current one: a span in a generator that is closed after
another was opened on top of it, or on another thread. It may become current again when that other one ends, so whoever
asks (`scope_here`) is given the one around it. A scope that ended in order can be seen later only where it was carried
while it was open, such as in a task: what is called there is a late call of its query. The exception is another thread
that has inherited its whole context (`sys.flags.thread_inherit_context`), as a pool's worker does from whoever was
first.

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
from instrument.recording.runners import ident, is_greenlet
from instrument.rows.live import LiveQuery

clock = monotonic_ns
THREAD, STARTED, CALLS, OPEN, ROW, CALL, OWNER, ABOVE, SAME, AROUND = range(10)
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


current: ContextVar[Scope] = ContextVar("instrument", default=NOBODY)

_ABSENT: Scope = [0, 0, None, None, None, None]
_collecting = [0]
"""The thread that collects garbage, 0 for none."""


def _on_collection(phase: str, info: object) -> None:
    _collecting[0] = get_ident() if phase == "start" else 0


def is_collecting() -> bool:
    """Whether this code runs in a finaliser, in the middle of a collection of garbage."""
    return _collecting[0] == get_ident()


SUPPRESSION = object()
"""What is in the place of CALL where recording is suppressed."""


def suppressed_scope() -> Scope:
    """Make a scope in which nothing is recorded."""
    return [0, 0, None, None, None, SUPPRESSION]


def is_suppressed(scope: Scope) -> bool:
    """Whether nothing is recorded in a scope."""
    return scope[CALL] is SUPPRESSION


def scope_here() -> Scope:
    """Give the current scope; one that was left behind makes room for the one around it."""
    scope = current.get()
    if len(scope) <= AROUND and (scope[THREAD] >= 0 or scope[THREAD] == -ident()):
        return scope
    scope = _standing_for(scope)
    if not is_collecting():
        current.set(scope)
    return scope


def _standing_for(scope: Scope) -> Scope:
    """The scope that an ended one stands for here."""
    while len(scope) > AROUND:
        scope = scope[AROUND]
    ran, row = -scope[THREAD], scope[ROW]
    has_ended = row is None or row.scope is None
    was_inherited = has_ended and ran > 0 and ran != get_ident() and not is_greenlet(ran) and len(scope) <= OWNER
    return NOBODY if was_inherited else scope


def query_here() -> LiveQuery | None:
    """The query that is open here, or None."""
    row: LiveQuery | None = scope_here()[ROW]
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
    """Make the scope before `scope` current again; where that is not current here, leave it behind.

    A query takes with it whatever is still open inside it here, such as a span in a generator that nobody resumes.
    """
    around = NOBODY if token.old_value is Token.MISSING else token.old_value
    at_hand = current.get()
    while isinstance(at_hand, DetachedScope) and at_hand.left:
        at_hand = at_hand.around
    ends_here = at_hand is scope or (
        scope is not None and scope[CALL] is None and at_hand[ROW] is scope[ROW] is not None
    )
    if not ends_here or is_collecting():
        _leave_behind(scope, around)
        return
    if at_hand is not scope:
        _leave_behind(scope, around)  # what it takes with it may make it current once more
    try:
        current.reset(token)
    except ValueError:  # this context is a copy of the one that it was entered in
        _leave_behind(scope, around)
        if at_hand is scope and not isinstance(scope, DetachedScope):
            current.set(around)
    scope_here()


def _leave_behind(scope: Scope | None, around: Scope) -> None:
    if scope is None or isinstance(scope, DetachedScope) or len(scope) > AROUND:
        return
    scope += [None] * (AROUND - len(scope))
    scope.append(around)
    scope[THREAD] = 0


def still_open(kind: type[T]) -> list[T]:
    """What of a kind, queries or calls on their own, is open in this process."""
    return [opened for opened in list(collector.opened) if isinstance(opened, kind)]


def begin_elsewhere(at: Scope | None = None) -> Scope:
    """A scope, else the one at hand, as another thread may enter it: the same query, under the same call."""
    scope = scope_here() if at is None else at
    row: LiveQuery | None = scope[ROW]
    if row is None:
        return scope
    call = scope[CALLS][scope[OPEN]] if scope[THREAD] == ident() and scope[OPEN] is not None else scope[CALL]
    return [0, row.started, [], None, row, call, 0, call]


def remember(row: LiveQuery, frame: Scope) -> None:
    """Let the query know of a frame, so that its end can close it. (Short async calls use their place as the key.)"""
    if row.frames is None:
        row.frames = {}
    row.frames[id(frame)] = frame


gc.callbacks.append(_on_collection)
current.set(NOBODY)
switches.set_outside(NOBODY)
