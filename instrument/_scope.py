"""Where the running code is: in which query, under which call. The meaning of recording, in its general form.

One context variable holds a *scope*. What a scope is:

    NOBODY       no query is open here
    SUPPRESSED   nothing is recorded here
    Pending      no query, but a selection that waits for one
    QueryRow     directly in a query
    Frame        in a query, under a call, a stream or a propagated function

Every scope has `thread`: the thread that may use it without asking further. It is 0 wherever asking is needed (outside
a query, after its end, in another thread, after a fork), so that the wrappers in `_templates.py` decide by one
comparison whether the short way is open to them; all else comes here.
"""

from __future__ import annotations

import itertools
import time
from contextvars import ContextVar, Token
from threading import get_ident
from typing import Any

from msgspec import Struct

from instrument._collector import collector, wall_microseconds
from instrument._preparation import size_later
from instrument._rows import CallRow, ChoiceRow, LooseCallRow, QueryRow, SelectionRow, derived_id, new_serial
from instrument.redaction import described

clock = time.perf_counter_ns
STREAMS: dict[type, Any] = {}
"""Types of results that are streams, and what follows them; `_streams.py` fills it."""

_MARK = "__instrument_recorded__"


class Outside:
    """A scope without a query."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = 0


NOBODY = Outside()
SUPPRESSED = Outside()


class Pending(Outside):
    """A selection, and entities found with it, that wait for their query."""

    __slots__ = ("entities", "row", "taken")

    def __init__(self, row: SelectionRow, entities: list[str]) -> None:
        super().__init__()
        self.row = row
        self.entities = entities
        self.taken = False

    def disown(self) -> None:
        """Leave it to the process that made it."""
        self.taken = True


class Frame(Struct, gc=False, eq=False):
    """A place inside a query: under `call`, whose place in `calls` is `open`.

    `calls` is the query's own list, or, in another thread, one that this thread (`owner`) has to itself and that is
    merged at the query's end; `above` then encloses what lies at its top. `thread` equals `owner` where the list is the
    query's own, and is 0 where it is not or the query has ended.
    """

    started: int
    calls: list[CallRow]
    thread: int
    open: int | None
    row: QueryRow
    call: CallRow | None
    owner: int
    above: CallRow | None = None


Scope = Outside | QueryRow | Frame

current: ContextVar[Any] = ContextVar("instrument", default=NOBODY)
_pending: set[Pending] = set()


def query_here() -> QueryRow | None:
    """The query that is open here, or None."""
    scope = current.get()
    row = scope if type(scope) is QueryRow else scope.row if type(scope) is Frame else None
    return row if row is not None and row.thread else None


def _row_of(scope: Any) -> QueryRow | None:
    return scope if type(scope) is QueryRow else scope.row if type(scope) is Frame else None


# -- exceptions ------------------------------------------------------------------------------------------------------


def seen_before(error: BaseException) -> bool:
    """Whether a record inside has the same exception already; marks it, so that it is counted once."""
    marks = error.__dict__
    if _MARK in marks:
        return True
    marks[_MARK] = True
    return False


def unmark(error: BaseException) -> None:
    """Let an exception go as it came, once it leaves the outermost record."""
    error.__dict__.pop(_MARK, None)


def outcome(error: BaseException) -> str:
    """The status that an exception gives to what it leaves."""
    if isinstance(error, GeneratorExit):
        return "closed"
    if not isinstance(error, Exception) and type(error).__name__ in ("CancelledError", "Cancelled"):
        return "cancelled"
    return "error"


def note_error(row: Any, error: BaseException) -> None:
    """Put an exception on a row: status, type, and whether it stands on a record inside already."""
    row.status = outcome(error)
    if row.status != "closed":
        row.error = type(error).__name__
        row.passed_on = seen_before(error)


# -- queries ---------------------------------------------------------------------------------------------------------


class OpenQuery:
    """A query while it runs, with how to get back to the scope around it."""

    __slots__ = ("joined", "outer", "row", "token")

    def __init__(self, row: QueryRow, token: Token[Any] | None, outer: Any, joined: bool = False) -> None:
        self.row = row
        self.token = token
        self.outer = outer
        self.joined = joined


def new_query(agent: str | None, name: str, user_input: Any) -> QueryRow:
    """A query that begins now on this thread."""
    text = user_input if type(user_input) is str else described(user_input)
    row = QueryRow(clock(), collector.hot["serial"](), agent, text, name, [], get_ident())
    collector.opened.add(row)
    return row


def open_query(agent: str | None, name: str, user_input: Any, *, joins: bool = True, enter: bool = True) -> Any:
    """Begin a query in the scope at hand, or join the one that waits for an agent; None where nothing is recorded.

    `enter` False leaves the scope as it is: streams enter it step by step.
    """
    outer = current.get()
    if outer is SUPPRESSED or not recording():
        return None
    around = _row_of(outer)
    if joins and around is not None and around.agent is None and _join(around, agent, user_input):
        return OpenQuery(around, None, outer, joined=True)
    row = new_query(agent, name, user_input)
    if around is not None:
        row.parent = identify(around)
        row.family = around.family or around.serial
        _hand_down(around, row)
    elif type(outer) is Pending:
        _take(outer, row)
        current.set(NOBODY)
        outer = NOBODY
    return OpenQuery(row, current.set(row) if enter else None, outer)


def _join(row: QueryRow, agent: str | None, user_input: Any) -> bool:
    with collector.lock:
        if agent is None or row.agent is not None or not row.thread:
            return False
        row.agent = agent
        if not row.user_input:
            row.user_input = described(user_input)
        return True


def close_query(query: OpenQuery, error: BaseException | None = None, status: str | None = None) -> None:
    """End it, once: later calls change nothing. The scope around it is current again."""
    row = query.row
    if query.token is not None:
        leave(row, query.token)
        query.token = None
    if query.joined:
        return
    end_query(row, error, status)
    if error is not None and type(query.outer) is not QueryRow and type(query.outer) is not Frame:
        unmark(error)


def end_query(row: QueryRow, error: BaseException | None = None, status: str | None = None) -> None:
    """Finish a query's row and hand it to the collector."""
    with collector.lock:
        if row not in collector.opened:
            return
        collector.opened.discard(row)
        row.duration = clock() - row.started
        if error is not None:
            fail_query(row, error)
        elif status is not None and row.status == "ok":
            row.status = status
        settle(row)
    collector.add(row)


def fail_query(row: QueryRow, error: BaseException) -> None:
    """Mark a query failed by an exception that leaves it."""
    note_error(row, error)
    if row.status == "error":
        row.message = described(error)


def settle(row: QueryRow) -> None:
    """Close a query to further calls; gather those that other threads made into its own list, sorted by start."""
    row.thread = 0
    row.open = None
    if row.frames is None:
        return
    with collector.lock:
        frames, row.frames = row.frames, None
        aside: dict[int, Frame] = {}
        for frame in frames:
            frame.thread = 0
            if frame.calls is not row.calls:
                aside.setdefault(id(frame.calls), frame)
        if aside:
            row.calls = _merged(row.calls, list(aside.values()))


def _merged(calls: list[CallRow], aside: list[Frame]) -> list[CallRow]:
    """All calls by start, each with its parent's new place.

    In a list of its own, a thread's calls name their parents by place in that list.
    """
    parents = {id(call): None if call.parent is None else calls[call.parent] for call in calls}
    for frame in aside:
        for call in frame.calls:
            parents[id(call)] = frame.above if call.parent is None else frame.calls[call.parent]
    merged = sorted([*calls, *(call for frame in aside for call in frame.calls)], key=lambda call: call.begin)
    places = {id(call): place for place, call in enumerate(merged)}
    for call in merged:
        parent = parents[id(call)]
        call.parent = None if parent is None else places.get(id(parent))
    return merged


def identify(row: QueryRow) -> str:
    """The query's id, fixed from now on."""
    with collector.lock:
        if row.query_id is None:
            written = row.origin is not None
            row.query_id = derived_id(row.started if written else wall_microseconds(row.started), row.serial)
        return row.query_id


def leave(scope: Any, token: Token[Any]) -> None:
    """Make the scope before `scope` current again, unless this is another context or the scope was left already."""
    if current.get() is scope:
        try:
            current.reset(token)
        except ValueError:
            return  # collected or closed in a context it was never entered in: nothing to restore there


def recording() -> bool:
    """Whether records are made at all; reads the settings when they are first needed."""
    return collector.enabled


# -- calls -----------------------------------------------------------------------------------------------------------


class OpenCall:
    """A call while it runs: `row` its query (None outside any), `call` its entry, `frame` the scope inside it."""

    __slots__ = ("began", "call", "ended", "frame", "row", "token")

    def __init__(self, call: CallRow, began: int, row: QueryRow | None, frame: Frame | None) -> None:
        self.call = call
        self.began = began
        self.row = row
        self.frame = frame
        self.token: Token[Any] | None = None
        self.ended = False

    def disown(self) -> None:
        """Leave it to the process that began it."""
        self.ended = True


def open_call(kind: str, name: str, *, enter: bool = True) -> OpenCall | None:
    """Begin a call in the scope at hand, wherever that is; None where nothing is recorded."""
    scope = current.get()
    if scope is SUPPRESSED or not recording():
        return None
    began = clock()
    row = _row_of(scope)
    if row is None or not row.thread:
        opened = OpenCall(CallRow(name, 0, None, None, kind), began, row, None)
        collector.opened.add(opened)
        return opened
    me = get_ident()
    with collector.lock:
        frame = _frame_for(scope, row, me)
        call = CallRow(name, began - row.started, scope.open if frame.calls is scope.calls else None, None, kind)
        frame.open, frame.call = len(frame.calls), call
        frame.calls.append(call)
        remember(row, frame)
    opened = OpenCall(call, began, row, frame)
    if enter:
        opened.token = current.set(frame)
    return opened


def _frame_for(scope: Any, row: QueryRow, me: int) -> Frame:
    if scope.thread == me:
        return Frame(row.started, scope.calls, me, None, row, None, me)
    if type(scope) is Frame and scope.owner == me and scope.calls is not row.calls:
        return Frame(row.started, scope.calls, 0, None, row, None, me)
    return Frame(row.started, [], 0, None, row, None, me, scope.call if type(scope) is Frame else None)


def remember(row: QueryRow, frame: Frame) -> None:
    """Let the query know of a frame, so that its end can close it."""
    if row.frames is None:
        row.frames = [frame]
    else:
        row.frames.append(frame)


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
    if error is not None:
        note_error(call, error)
    elif status is not None:
        call.status = status
    finish_call(opened.row, call, opened.began, ended, opened.frame is None, error)
    if error is not None and opened.row is None:
        unmark(error)


def finish_call(
    row: QueryRow | None, call: CallRow, began: int, ended: int, loose: bool, error: BaseException | None
) -> None:
    """Give a call its duration where its query can still have it, else write it on a line of its own."""
    with collector.lock:
        inherited = row is not None and row in collector.inherited
        late = row is not None and not row.thread and not inherited
        if row is not None and not loose and not inherited and row.origin is None:
            call.duration = ended - began
            call.late = late
            return
        line = LooseCallRow(wall_microseconds(began), call.name, ended - began, call.kind, call.status, call.error)
        line.passed_on = call.passed_on
        line.late = late
        if row is not None:
            line.parent = identify(row)
            line.weight = row.weight
            line.place = None if loose else next((i for i, one in enumerate(row.calls) if one is call), None)
        elif error is not None and call.status == "error":
            line.message = described(error)
    collector.add(line)


def begin_elsewhere() -> Any:
    """The scope at hand as another thread may enter it: the same query, under the same call."""
    scope = current.get()
    row = _row_of(scope)
    if row is None:
        return scope
    call = scope.calls[scope.open] if scope.thread == get_ident() and scope.open is not None else None
    if call is None and type(scope) is Frame:
        call = scope.call
    return Frame(row.started, [], 0, None, row, call, 0)


# -- selections ------------------------------------------------------------------------------------------------------


def select_here(agent: str, score: float | None, reason: str | None, user_input: str, entities: list[str]) -> None:
    """Record a selection: on the open query, else for the next one in this context."""
    scope = current.get()
    if scope is SUPPRESSED or not recording():
        return
    row = query_here()
    now = wall_microseconds(clock())
    if row is not None:
        differs = user_input if user_input and user_input != row.user_input else None
        row.selection = ChoiceRow(now, agent, score, reason, differs)
        extend_entities(row, entities)
        return
    if type(scope) is Pending:
        write_unmet(scope)
    waiting = Pending(SelectionRow(now, agent, user_input, score, reason), entities)
    _pending.add(waiting)
    collector.opened.add(waiting)  # so that an exit finds work to do
    current.set(waiting)


def extend_entities(row: QueryRow, names: list[str]) -> None:
    """Add names to a query's entities, each once, in order."""
    if names:
        row.entities = list(dict.fromkeys([*(row.entities or ()), *names]))


def _take(waiting: Pending, row: QueryRow) -> None:
    """Attach a waiting selection to the query that opens now, unless another has it."""
    with collector.lock:
        if waiting.taken:
            return
        waiting.taken = True
        _pending.discard(waiting)
        collector.opened.discard(waiting)
    choice = waiting.row
    differs = choice.user_input if choice.user_input and choice.user_input != row.user_input else None
    row.selection = ChoiceRow(choice.time, choice.agent, choice.score, choice.why, differs)
    extend_entities(row, waiting.entities)


def _hand_down(outer: QueryRow, inner: QueryRow) -> None:
    """A selection made in a query for another agent belongs to the query of that agent inside it."""
    choice = outer.selection
    if choice is not None and choice.agent == inner.agent != outer.agent:
        inner.selection, outer.selection = choice, None


def write_unmet(waiting: Pending) -> None:
    """Write a selection that never met its query."""
    with collector.lock:
        if waiting.taken:
            return
        waiting.taken = True
        _pending.discard(waiting)
        collector.opened.discard(waiting)
    collector.add(waiting.row)


def write_all_unmet() -> None:
    """The same for every one that waits: at flush, at exit, at the end of a capture."""
    for waiting in list(_pending):
        write_unmet(waiting)


def abandon_open() -> None:
    """At the end of the process: what is still open is written as abandoned."""
    for opened in list(collector.opened):
        if isinstance(opened, QueryRow):
            end_query(opened, status="abandoned")
        elif isinstance(opened, OpenCall):
            close_call(opened, status="abandoned")


def measure(row: QueryRow, result: Any) -> None:
    """Leave a result's size, or what it can be measured from, on its query."""
    row.result_size = size_later(result)


def start_serials() -> None:
    """Begin this process's serials at a place of its own."""
    collector.hot["serial"] = itertools.count(new_serial()).__next__


def _before_fork() -> None:
    for opened in list(collector.opened):
        if isinstance(opened, QueryRow):
            identify(opened)


def _after_fork() -> None:
    """In the child: what was open at the fork is the parent's to finish."""
    start_serials()
    _pending.clear()
    queries = {opened for opened in collector.opened if isinstance(opened, QueryRow)}
    for row in queries:
        row.thread = 0
        for frame in row.frames or ():
            frame.thread = 0
    for opened in collector.opened - queries:
        opened.disown()
    collector.opened.clear()
    collector.inherited |= queries


def _on_switch(enabled: bool) -> None:
    # Switched off, no scope is the one that the wrappers look for, and each asks `recording()`.
    collector.hot["NOBODY"] = NOBODY if enabled else SUPPRESSED


start_serials()
collector.on_switch = _on_switch
collector.before_flush.append(write_all_unmet)
collector.at_end.append(abandon_open)
collector.before_fork = _before_fork
collector.after_fork = _after_fork
