"""A run that a framework told of, and the scope that belongs to it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Hashable
from typing import Any, Literal
from weakref import WeakSet

from instrument.interchange.semconv import Failure, McpCall
from instrument.recording.calls import OpenCall
from instrument.recording.queries import OpenQuery
from instrument.recording.scope import (
    CALL,
    NOBODY,
    ROW,
    DetachedScope,
    Scope,
    begin_elsewhere,
    clock,
    current,
    enter,
    leave,
)
from instrument.rows.live import LiveFacts, LiveQuery

Kind = Literal["task", "agent", "tool", "graphql", "llm", "step", "double"]

NOBODYS, OTHERS, OWN = range(3)

_order = itertools.count(1).__next__


class Run(DetachedScope):
    """A run that is open, and the scope (`scope.py`) of what is inside it: its query, under its call if it has one.

    `parent` is the run around it, whoever told of that; `root` the outermost that its own framework told of (None for
    that one itself), whose `family` are the ids of those inside. `counted` says whose tokens have been told of inside:
    NOBODYS, those of OTHERS (an agent inside), its OWN. `failed` is how a run inside failed. `source` is None once it
    has ended. `facts` are those of the model call that an llm's run is, or is inside of. `mcp_call` is the call of an
    MCP tool that the run stands for, if its framework says so.
    """

    __slots__ = (
        "__weakref__",
        "_behind",
        "began",
        "call_around",
        "counted",
        "facts",
        "failed",
        "family",
        "key",
        "kind",
        "mcp_call",
        "name",
        "opened",
        "order",
        "parent",
        "root",
        "row",
        "seen_error",
        "source",
        "token",
    )
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, source: object, key: Hashable, kind: Kind, name: str, parent: Run | None) -> None:
        self.source: object = source
        self.key = key
        self.kind = kind
        self.name = name
        self.parent = parent
        self.root: Run | None = None
        self.family: set[Hashable] | None = None
        self.order = _order()
        self.began = clock()
        self.seen_error = id(sys.exception())
        self.opened: OpenQuery | OpenCall | None = None
        self.row: LiveQuery | None = None
        self.call_around: Any = None
        self.token: Any = None
        self.counted = NOBODYS
        self.facts: LiveFacts | None = None
        self.mcp_call: McpCall | None = None
        self.failed: tuple[Failure, BaseException] | None = None
        self.around = NOBODY
        self.left = False
        self._behind: WeakSet[Run] | None = None

    def settle_in(self, base: Scope, here: Scope) -> None:
        """Say what its insides belong to, from what it is recorded as, the scope it is in and the one at hand."""
        opened = self.opened
        if here[ROW] is not None:
            self.call_around = begin_elsewhere(here)[CALL]
        if opened is None:
            self[:] = begin_elsewhere(base)
        elif isinstance(opened, OpenCall):
            call, row = opened.call, opened.row
            self[:] = opened.frame if row is None else (0, row.started, [], None, row, call, 0, call)
        elif opened.joined:
            self[:] = begin_elsewhere(base)
        else:
            self[:] = begin_elsewhere(opened.scope)
            self.call_around = None
        row = self[ROW]
        self.row = row if row is not None and row.scope is not None else None

    def enter(self, here: Scope) -> None:
        """Make it current in the context at hand, instead of `here`."""
        while isinstance(here, DetachedScope) and here.left:
            here = here.around
        self.around = here
        self.token = enter(self)

    def leave(self) -> None:
        """Take it out of the context again; where that cannot be, have it stand for what is around."""
        self.source = None
        token = self.token
        if token is None:
            return
        self.token = None
        was_here = current.get() is self
        leave(self, token)
        stays = not was_here or current.get() is self
        # A query's own, taken out, goes on where it was copied to: what is done there is late, and still the query's.
        if stays or self[CALL] is not None:
            self._retire(stays)

    def forget(self) -> None:
        """Hold nothing any more, as it may stay behind in a context."""
        self.parent = self.root = self.opened = self.row = self.failed = self.call_around = self.facts = None

    def raised_since(self) -> BaseException | None:
        """The exception that is on its way through here, if it came up inside the run."""
        error = sys.exception()
        return None if error is None or id(error) == self.seen_error else error

    def _retire(self, stays: bool) -> None:
        """Stand for what was around the run; so do those left behind in it. `stays`: it is current in its context."""
        self.left = True
        self._stand_in()
        around = self.around
        if stays and isinstance(around, Run) and not around.left:
            if around._behind is None:
                around._behind = WeakSet()
            around._behind.add(self)

    def _stand_in(self) -> None:
        self[:] = begin_elsewhere(self.around)
        for other in self._behind or ():
            other._stand_in()
