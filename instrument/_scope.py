"""Where the running code is: in which query, under which call. The meaning of recording, in its general form.

One context variable holds a *scope*: a list, because its items are read and set in 1–2 ns where a Struct's attribute
takes 42 to set. What is in it:

    THREAD   the thread that may use this scope without asking further; 0 wherever asking is needed
    STARTED  when the query began, monotonic ns
    CALLS    the calls made here: the query's own list, or, in another thread, one merged into it at the query's end
    OPEN     place in CALLS of the call that encloses what is made here, None directly under the query
    ROW      the query, None outside any
    CALL     the call that the scope belongs to; outside any query, the selection that waits for one
    OWNER    (only where CALLS is not the query's own) the one thread that appends to it
    ABOVE    (likewise) the call that encloses what lies at its top

THREAD is 0 outside a query, after its end, in another thread, after a fork, where recording is suppressed or off. So
the wrappers in `_templates.py` decide by one comparison whether the short way is open to them; all else comes here.
"""

from __future__ import annotations

import itertools
import time
from contextvars import ContextVar, Token
from threading import get_ident
from typing import Any

from instrument._collector import collector, wall_microseconds
from instrument._preparation import size_later
from instrument._rows import CallRow, ChoiceRow, LooseCallRow, QueryRow, SelectionRow, derived_id, new_serial
from instrument.redaction import described

clock = time.perf_counter_ns
THREAD, STARTED, CALLS, OPEN, ROW, CALL, OWNER, ABOVE = range(8)
Scope = list[Any]

STREAMS: dict[type, Any] = {}
"""Types of results that are streams, and what follows them; `_streams.py` fills it."""

_MARK = "__instrument_recorded__"

NOBODY: Scope = [0, 0, None, None, None, None]
SUPPRESSED: Scope = [0, 0, None, None, None, None]


class Pending:
    """A selection, and entities found with it, that wait for their query."""

    __slots__ = ("entities", "row", "taken")

    def __init__(self, row: SelectionRow, entities: list[str]) -> None:
        self.row = row
        self.entities = entities
        self.taken = False

    def disown(self) -> None:
        """Leave it to the process that made it."""
        self.taken = True


current: ContextVar[Scope] = ContextVar("instrument", default=NOBODY)
_pending: set[Pending] = set()


def query_here() -> QueryRow | None:
    """The query that is open here, or None."""
    row: QueryRow | None = current.get()[ROW]
    return row if row is not None and row.scope is not None else None


# -- exceptions ------------------------------------------------------------------------------------------------------


def seen_before(error: BaseException, began: int) -> bool:
    """Whether a record inside has the same exception already; marks it, so that it is counted once.

    The mark is a time: one older than `began` was left by an earlier raise of the same object.
    """
    seen: bool = error.__dict__.get(_MARK, 0) >= began
    error.__dict__[_MARK] = clock()
    return seen


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


def note_error(row: Any, began: int, error: BaseException) -> None:
    """Put an exception on a row that began then: status, type, and whether it stands on a record inside already."""
    row.status = outcome(error)
    if row.status != "closed":
        row.error = type(error).__name__
        row.passed_on = seen_before(error, began)


# -- queries ---------------------------------------------------------------------------------------------------------


class OpenQuery:
    """A query while it runs, with how to get back to the scope around it."""

    __slots__ = ("joined", "outermost", "row", "scope", "token")

    def __init__(self, row: QueryRow, token: Token[Scope] | None, outermost: bool, joined: bool = False) -> None:
        self.row = row
        self.scope: Scope | None = row.scope
        self.token = token
        self.outermost = outermost
        self.joined = joined


def new_query(agent: str | None, name: str, user_input: Any) -> QueryRow:
    """A query that begins now on this thread."""
    text = user_input if type(user_input) is str else described(user_input)
    scope: Scope = [get_ident(), 0, [], None, None, None]
    row = QueryRow(clock(), collector.hot["serial"](), agent, text, name, scope[CALLS], scope)
    scope[STARTED], scope[ROW] = row.started, row
    collector.opened.add(row)
    return row


def open_query(agent: str | None, name: str, user_input: Any, *, joins: bool = True, enter: bool = True) -> Any:
    """Begin a query in the scope at hand, or join the one that waits for an agent; None where nothing is recorded.

    `enter` False leaves the scope as it is: streams enter it step by step.
    """
    outer = current.get()
    if outer is SUPPRESSED or not recording():
        return None
    around: QueryRow | None = outer[ROW]
    if joins and around is not None and around.agent is None and _join(around, agent, user_input):
        joined = OpenQuery(around, None, False, joined=True)
        joined.scope = outer  # a stream that joins is under the call it began in
        return joined
    row = new_query(agent, name, user_input)
    if around is not None:
        row.parent = identify(around)
        row.family = around.family or around.serial
        _hand_down(around, row)
    elif outer[CALL] is not None:
        _take(outer[CALL], row)
        current.set(NOBODY)
    return OpenQuery(row, current.set(row.scope) if enter else None, around is None and outer[OPEN] is None)


def _join(row: QueryRow, agent: str | None, user_input: Any) -> bool:
    with collector.lock:
        if agent is None or row.agent is not None or row.scope is None:
            return False
        row.agent = agent
        if not row.user_input:
            row.user_input = described(user_input)
        return True


def close_query(query: OpenQuery, error: BaseException | None = None, status: str | None = None) -> None:
    """End it, once: later calls change nothing. The scope around it is current again."""
    if query.token is not None:
        leave(query.scope, query.token)
        query.token = None
    if query.joined:
        return
    end_query(query.row, error, status)
    if error is not None and query.outermost:
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
    note_error(row, row.started, error)
    if row.status == "error":
        row.message = described(error)


def settle(row: QueryRow) -> None:
    """Close a query to further calls; gather those that other threads made into its own list, sorted by start."""
    if row.scope is not None:
        row.scope[THREAD] = 0
        row.scope = None
    if row.frames is None:
        return
    with collector.lock:
        frames, row.frames = row.frames or [], None
        aside: dict[int, Scope] = {}
        for frame in frames:
            frame[THREAD] = 0
            if frame[CALLS] is not row.calls:
                aside.setdefault(id(frame[CALLS]), frame)
        if aside:
            row.calls = _merged(row.calls, list(aside.values()))


def _merged(calls: list[CallRow], aside: list[Scope]) -> list[CallRow]:
    """All calls by start, each with its parent's new place.

    In a list of its own, a thread's calls name their parents by place in that list.
    """
    parents = {id(call): None if call.parent is None else calls[call.parent] for call in calls}
    for frame in aside:
        for call in frame[CALLS]:
            parents[id(call)] = frame[ABOVE] if call.parent is None else frame[CALLS][call.parent]
    merged = sorted([*calls, *(call for frame in aside for call in frame[CALLS])], key=lambda call: call.begin)
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


def leave(scope: Scope | None, token: Token[Scope]) -> None:
    """Make the scope before `scope` current again, unless this is another context or the scope was left already.

    A query takes with it whatever is still open inside it here, such as a span in a generator that nobody resumes.
    """
    here = current.get()
    if here is scope or (scope is not None and scope[CALL] is None and here[ROW] is scope[ROW] is not None):
        try:
            current.reset(token)
        except ValueError:
            return  # collected or closed in a context it was never entered in: nothing to restore there


def recording() -> bool:
    """Whether records are made at all; reads the settings when they are first needed."""
    return collector.enabled


# -- calls -----------------------------------------------------------------------------------------------------------


class OpenCall:
    """A call while it runs: `row` its query (None outside any), `call` its entry, `frame` the scope inside it.

    `loose` tells that it is on a line of its own, `outermost` that no record is around it.
    """

    __slots__ = ("began", "call", "ended", "frame", "loose", "outermost", "row", "token")

    def __init__(self, call: CallRow, began: int, row: QueryRow | None, frame: Scope, outermost: bool = False) -> None:
        self.call = call
        self.began = began
        self.row = row
        self.frame = frame
        self.loose = frame[ROW] is None
        self.outermost = outermost
        self.token: Token[Scope] | None = None
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
    row: QueryRow | None = scope[ROW]
    opened = None if row is None else _open_inside(row, scope, kind, name, began)
    if opened is None:
        opened = _open_loose(row, scope, kind, name, began)
    if enter:
        opened.token = current.set(opened.frame)
    return opened


def _open_inside(row: QueryRow, scope: Scope, kind: str, name: str, began: int) -> OpenCall | None:
    with collector.lock:
        if row.scope is None:
            return None
        calls, parent, elsewhere = _place_for(scope, row, get_ident())
        call = CallRow(name, began - row.started, parent, None, kind)
        thread = 0 if elsewhere else get_ident()
        frame = [thread, row.started, calls, len(calls), row, call, *elsewhere]
        if row.scope is not None:
            remember(row, frame)
        if row.scope is None:  # asked again: a query that ends meanwhile, without the lock, may not have seen the frame
            row.frames = [one for one in row.frames or () if one is not frame] or None
            return None
        calls.append(call)
    return OpenCall(call, began, row, frame)


def _open_loose(row: QueryRow | None, scope: Scope, kind: str, name: str, began: int) -> OpenCall:
    """A call on a line of its own: outside any query, or begun in one that has ended."""
    frame = [0, 0, None, 0, None, scope[CALL]] if row is None else scope
    opened = OpenCall(CallRow(name, 0, None, None, kind), began, row, frame, row is not None or scope[OPEN] is None)
    opened.loose = True
    collector.opened.add(opened)
    return opened


def _place_for(scope: Scope, row: QueryRow, me: int) -> tuple[list[CallRow], int | None, tuple[Any, ...]]:
    """The list that a new call belongs in, its parent's place there, and what a scope elsewhere has besides."""
    if scope[THREAD] == me:
        return row.calls, scope[OPEN], ()
    if len(scope) > OWNER and scope[OWNER] == me:
        return scope[CALLS], scope[OPEN], (me, scope[ABOVE])
    return [], None, (me, scope[CALL])


def remember(row: QueryRow, frame: Scope) -> None:
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
        note_error(call, opened.began, error)
    elif status is not None:
        call.status = status
    finish_call(opened.row, call, opened.began, ended, opened.loose, error)
    if error is not None and opened.outermost:
        unmark(error)


def finish_call(
    row: QueryRow | None, call: CallRow, began: int, ended: int, loose: bool, error: BaseException | None
) -> None:
    """Give a call its duration where its query can still have it, else write it on a line of its own."""
    with collector.lock:
        inherited = row is not None and row in collector.inherited
        late = row is not None and row.scope is None and not inherited
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


def begin_elsewhere() -> Scope:
    """The scope at hand as another thread may enter it: the same query, under the same call."""
    scope = current.get()
    row: QueryRow | None = scope[ROW]
    if row is None:
        return scope
    call = scope[CALLS][scope[OPEN]] if scope[THREAD] == get_ident() and scope[OPEN] is not None else scope[CALL]
    return [0, row.started, [], None, row, call, 0, call]


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
    if scope[CALL] is not None and scope[ROW] is None:
        write_unmet(scope[CALL])
    waiting = Pending(SelectionRow(now, agent, user_input, score, reason), entities)
    _pending.add(waiting)
    collector.opened.add(waiting)  # so that an exit finds work to do
    current.set([0, 0, None, None, None, waiting])


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
        settle(row)
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
