"""Calls, in the general form: inside a query, in another thread, outside any, and ending after their query."""

from __future__ import annotations

from contextvars import Token
from typing import Any

from instrument.collecting.collector import collector, wall_microseconds
from instrument.recording.failures import note_error
from instrument.recording.queries import identify
from instrument.recording.runners import ident
from instrument.recording.scope import (
    ABOVE,
    CALL,
    CALLS,
    OPEN,
    OWNER,
    ROW,
    THREAD,
    Scope,
    begin_elsewhere,
    clock,
    enter,
    is_suppressed,
    leave,
    recording,
    remember,
    scope_here,
    still_open,
)
from instrument.redaction.rules import described
from instrument.rows.live import LiveCall, LiveFacts, LiveQuery
from instrument.rows.stored import WITH_MODEL_CALLS, StandaloneCallRow


class OpenCall:
    """A call while it runs: `row` its query (None outside any), `call` its entry, `frame` the scope inside it.

    `loose` tells that it is on a line of its own.
    """

    __slots__ = ("began", "call", "ended", "frame", "loose", "row", "token")

    def __init__(self, call: LiveCall, began: int, row: LiveQuery | None, frame: Scope) -> None:
        self.call = call
        self.began = began
        self.row = row
        self.frame = frame
        self.loose = frame[ROW] is None
        self.token: Token[Scope] | None = None
        self.ended = False

    def disown(self) -> None:
        """Leave it to the process that began it."""
        self.ended = True


def open_call(
    kind: str,
    name: str,
    *,
    entered: bool = True,
    at: Scope | None = None,
    began: int | None = None,
    facts: LiveFacts | None = None,
    variables: bytes | None = None,
) -> OpenCall | None:
    """Begin a call in the scope at hand, wherever that is; None where nothing is recorded.

    `at` is the scope to begin in where that is another, `began` when it did (monotonic ns) where it is told afterwards.
    `facts` are those of a model call; its query may be written at any time, so they are there from the beginning.
    `variables` are a GraphQL call's, as `variables_of` gives them.
    """
    scope = scope_here() if at is None else at
    if is_suppressed(scope) or not recording():
        return None
    began = clock() if began is None else began
    row: LiveQuery | None = scope[ROW]
    call = LiveCall(name, 0 if row is None else began - row.started, None, None, kind)
    call.variables = variables
    if facts is not None:
        call.facts, facts.began = facts, began
    opened = None if row is None else _open_inside(row, scope, call, began)
    if opened is None:
        opened = _open_loose(row, scope, call, began)
    if entered:
        opened.token = enter(opened.frame)
    return opened


def innermost(scope: Scope | None = None) -> LiveCall | None:
    """The call that encloses what is made in a scope, else in the one at hand; None directly under a query."""
    scope = scope_here() if scope is None else scope
    call = begin_elsewhere(scope)[CALL] if scope[ROW] is not None else scope[ABOVE] if len(scope) > ABOVE else None
    return call if isinstance(call, LiveCall) else None


def is_inside(scope: Scope, kind: str, name: str) -> bool:
    """Whether the innermost call around a scope is of that kind and name, so that it need not be recorded again."""
    call = innermost(scope) if scope[ROW] is not None else None
    return call is not None and (call.kind, call.name) == (kind, name)


def _open_inside(row: LiveQuery, scope: Scope, call: LiveCall, began: int) -> OpenCall | None:
    with collector.lock:
        if row.scope is None:
            return None
        calls, call.parent, elsewhere = _place_for(scope, row, ident())
        thread = 0 if elsewhere else ident()
        frame = [thread, row.started, calls, len(calls), row, call, *elsewhere]
        if row.scope is not None:
            remember(row, frame)
        if row.scope is None:  # asked again: a query that ends meanwhile, without the lock, may not have seen the frame
            (row.frames or {}).pop(id(frame), None)
            row.frames = row.frames or None
            return None
        calls.append(call)
    return OpenCall(call, began, row, frame)


def _open_loose(row: LiveQuery | None, scope: Scope, call: LiveCall, began: int) -> OpenCall:
    """A call on a line of its own: outside any query, or begun in one that has ended."""
    frame = [0, 0, None, 0, None, scope[CALL], 0, call] if row is None else [*scope]
    call.begin = 0
    opened = OpenCall(call, began, row, frame)
    opened.loose = True
    collector.opened.add(opened)
    return opened


def _place_for(scope: Scope, row: LiveQuery, me: int) -> tuple[list[LiveCall], int | None, tuple[Any, ...]]:
    """The list that a new call belongs in, its parent's place there, and what a scope elsewhere has besides."""
    if scope[THREAD] == me:
        return row.calls, scope[OPEN], ()
    if len(scope) > OWNER and scope[OWNER] == me:
        return scope[CALLS], scope[OPEN], (me, scope[ABOVE])
    return [], None, (me, scope[CALL])


def close_call(opened: OpenCall, error: BaseException | None = None, status: str | None = None) -> None:
    """End it, once. The scope around it is current again."""
    if opened.token is not None:
        leave(opened.frame, opened.token)
        opened.token = None
    if opened.ended:
        return
    opened.ended = True
    collector.opened.discard(opened)
    call, ended = opened.call, clock()
    if call.facts is not None:
        call.facts.ended = True
    if error is not None:
        note_error(call, opened.began, error)
    elif status is not None:
        call.status = status
    finish_call(opened.row, call, opened.began, ended, opened.loose, error)


def finish_call(
    row: LiveQuery | None, call: LiveCall, began: int, ended: int, loose: bool, error: BaseException | None
) -> None:
    """Give a call its duration where its query can still have it, else write it on a line of its own."""
    message = described(error) if error is not None and row is None and call.status == "error" else None
    with collector.lock:
        inherited = row is not None and row in collector.buffer.inherited
        late = row is not None and row.scope is None and not inherited
        if row is not None and not inherited and row.origin is None:
            if loose:
                call.begin = began - row.started
                row.calls.append(call)
            call.duration = ended - began
            if late:
                call.late = True
            return
        line = StandaloneCallRow(wall_microseconds(began), call.name, ended - began, call.kind, call.status, call.error)
        line.passed_on = call.passed_on
        line.result_size = call.result_size
        line.variables = call.variables  # type: ignore[assignment]  # encoded, until the writer has hashed them
        if call.facts is not None:
            line.facts, line.version = call.facts.kept(), WITH_MODEL_CALLS
        line.late = late
        if row is not None:
            line.parent = identify(row)
            line.weight = row.weight
            line.place = None if loose else next((i for i, one in enumerate(row.calls) if one is call), None)
        line.message = message
    collector.add(line)


def abandon() -> None:
    """At the end of the process: end what is open."""
    for opened in still_open(OpenCall):
        close_call(opened, status="abandoned")


def disown_open() -> None:
    """In a forked child: what was open at the fork is the parent's to finish."""
    for opened in still_open(OpenCall):
        opened.disown()
