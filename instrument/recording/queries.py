"""Queries, in the general form: begun, joined, ended, and what becomes of open ones at a fork and at the end."""

from __future__ import annotations

import itertools
from contextvars import Token
from typing import Any

from instrument.collecting.collector import collector, wall_microseconds
from instrument.collecting.switches import switches
from instrument.recording.failures import note_error, outcome
from instrument.recording.runners import ident, watch_greenlet
from instrument.recording.scope import (
    ABOVE,
    CALL,
    CALLS,
    NOBODY,
    OWNER,
    ROW,
    STARTED,
    THREAD,
    Scope,
    clock,
    enter,
    is_suppressed,
    leave,
    recording,
    scope_here,
    still_open,
)
from instrument.recording.selections import hand_down, take
from instrument.redaction.rules import described
from instrument.rows.live import LiveCall, LiveQuery
from instrument.rows.stored import derived_id, new_serial


class OpenQuery:
    """A query while it runs, with how to get back to the scope around it."""

    __slots__ = ("holds", "joined", "row", "scope", "token")

    def __init__(self, row: LiveQuery, token: Token[Scope] | None, joined: bool = False) -> None:
        self.row = row
        self.scope: Scope | None = row.scope
        self.token = token
        self.joined = joined
        self.holds = False


def new_query(agent: str | None, name: str, user_input: Any) -> LiveQuery:
    """A query that begins now on this thread."""
    text = user_input if type(user_input) is str else described(user_input)
    scope: Scope = [ident(), 0, [], None, None, None]
    row = LiveQuery(clock(), switches.serial(), agent, text, name, scope[CALLS], scope)
    scope[STARTED], scope[ROW] = row.started, row
    collector.opened.add(row)
    return row


def open_query(
    agent: str | None,
    name: str,
    user_input: Any,
    *,
    joins: bool = True,
    entered: bool = True,
    at: Scope | None = None,
) -> Any:
    """Begin a query in the scope at hand, or join the one that waits for an agent; None where nothing is recorded.

    `entered` False leaves the scope as it is: streams enter it step by step. `at` is the scope to begin in where that
    is another than the one at hand.
    """
    at_hand = scope_here()
    outer = at_hand if at is None else at
    if is_suppressed(outer) or not recording():
        return None
    if not switches.begun:
        _begin()
    around: LiveQuery | None = outer[ROW]
    if around is not None and around.scope is None:
        around = None
    if joins and around is not None and around.agent is None and _join(around, agent, user_input):
        joined = OpenQuery(around, None, joined=True)
        joined.scope = outer  # a stream that joins is under the call it began in
        return joined
    row = new_query(agent, name, user_input)
    if around is not None:
        row.parent = identify(around)
        row.family = around.family or around.serial
        hand_down(around, row)
    elif outer[ROW] is None and outer[CALL] is not None:
        take(outer[CALL], row)
        if outer is at_hand:
            enter(NOBODY)
    return OpenQuery(row, enter(row.scope) if entered else None)


ELSEWHERE_FIRST = 1000
"""Queries of other threads that go the general way so that the main thread's first one goes it, too.

Only there can a handler of SIGTERM be set. A server may well run its first query in a pool of threads.
"""

_elsewhere = itertools.count(1)


def _begin() -> None:
    """Before the first query: from now on an exit has something to write, and the short way is open.

    It stays closed for a while where the main thread has yet to begin a query.
    """
    watch_greenlet()
    if collector.watch_exits() or next(_elsewhere) > ELSEWHERE_FIRST:
        switches.begin()


def _join(row: LiveQuery, agent: str | None, user_input: Any) -> bool:
    text = described(user_input)
    with collector.lock:
        if agent is None or row.agent is not None or row.scope is None:
            return False
        row.agent = agent
        row.user_input = row.user_input or text
        return True


def close_query(query: OpenQuery, error: BaseException | None = None, status: str | None = None) -> None:
    """End it, once: later calls change nothing. The scope around it is current again."""
    if query.token is not None:
        leave(query.scope, query.token)
        query.token = None
    if not query.joined:
        if error is None and status is None and _lasts_longer(query.row):
            return
        end_query(query.row, error, status)
    elif query.holds:
        query.holds = False
        if _was_the_last(query.row):
            end_query(query.row, error, status)
        elif status == "cancelled" or (error is not None and outcome(error) == "cancelled"):
            _cut_off(query.row, error)


# -- streams that join a query and may outlast what opened it ----------------------------------------------------------


class _Held:
    """A query that streams have joined: how many of them are open, and whether what opened the query has ended."""

    __slots__ = ("left", "streams")

    def __init__(self) -> None:
        self.streams = 0
        self.left = False


_held: dict[LiveQuery, _Held] = {}


def hold(query: OpenQuery) -> None:
    """Keep a query that a stream has joined open until `close_query` ends the stream."""
    if query.joined and not query.holds:
        with collector.lock:
            if query.row.scope is not None:
                query.holds = True
                _held.setdefault(query.row, _Held()).streams += 1


def _lasts_longer(row: LiveQuery) -> bool:
    """Whether streams keep a query open whose own block ends now."""
    if row not in _held:
        return False
    with collector.lock:
        held = _held.get(row)
        if held is not None:
            held.left = True
        return held is not None


def _was_the_last(row: LiveQuery) -> bool:
    """Whether the query ends with the stream that ends now."""
    with collector.lock:
        held = _held.get(row)
        if held is None:
            return False
        held.streams -= 1
        if held.streams:
            return False
        del _held[row]
        return held.left


def _cut_off(row: LiveQuery, error: BaseException | None) -> None:
    """Mark a query whose stream was cancelled: a server whose client has gone goes on as if all were well."""
    with collector.lock:
        if row.scope is not None and row.status == "ok":
            row.status = "cancelled"
            row.error = None if error is None else type(error).__name__


# -- the end -----------------------------------------------------------------------------------------------------------


def end_query(row: LiveQuery, error: BaseException | None = None, status: str | None = None) -> None:
    """Finish a query's row and hand it to the collector."""
    message = None if error is None else described(error)  # the application's `__str__`, so not under the lock
    with collector.lock:
        if row not in collector.opened:
            return
        collector.opened.discard(row)
        _held.pop(row, None)
        row.duration = clock() - row.started
        if error is not None:
            note_error(row, row.started, error)
            row.message = message if row.status == "error" else None
        elif status is not None and row.status == "ok":
            row.status = status
        settle(row)
    collector.add(row)


def settle(row: LiveQuery, ended: int = 0) -> None:
    """Close a query to further calls; gather those that other threads made into its own list, sorted by start.

    `ended` is what stands for the thread in its scopes from now on.
    """
    if row.scope is not None:
        ended = row.scope[THREAD] = -row.scope[THREAD]
        row.scope = None
    if row.frames is None:
        return
    with collector.lock:
        frames, row.frames = row.frames or {}, None
        aside: dict[int, Scope] = {}
        for frame in list(frames.values()):
            frame[THREAD] = 0 if len(frame) > OWNER else ended
            if frame[CALLS] is not row.calls:
                aside.setdefault(id(frame[CALLS]), frame)
        if aside:
            row.calls = _merged(row.calls, list(aside.values()))


def _merged(calls: list[LiveCall], aside: list[Scope]) -> list[LiveCall]:
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


def identify(row: LiveQuery) -> str:
    """The query's id, fixed from now on."""
    with collector.lock:
        if row.query_id is None:
            written = row.origin is not None
            row.query_id = derived_id(row.started if written else wall_microseconds(row.started), row.serial)
        return row.query_id


def _start_serials() -> None:
    """Begin this process's serials at a place of its own."""
    switches.serial = itertools.count(new_serial()).__next__


def abandon() -> None:
    """At the end of the process: end what is open."""
    for row in still_open(LiveQuery):
        end_query(row, status="abandoned")


def identify_open() -> None:
    """Before a fork: fix the ids that parent and child will both name."""
    for row in still_open(LiveQuery):
        identify(row)


def disown_open() -> None:
    """In a forked child: what was open at the fork is the parent's to finish."""
    _start_serials()
    inherited = collector.buffer.inherited
    inherited.update(still_open(LiveQuery))
    for row in inherited:
        settle(row)


_start_serials()
