"""A run that a framework told of, and the scope that belongs to it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Hashable
from typing import Any, Literal
from weakref import WeakSet

from instrument._calls import OpenCall
from instrument._lean import LeanQuery
from instrument._queries import OpenQuery
from instrument._scope import CALL, NOBODY, ROW, Scope, Stray, begin_elsewhere, clock, current, enter, leave
from instrument.conventions import Failure

Kind = Literal["task", "agent", "tool", "graphql", "llm", "step", "double"]

NOBODYS, OTHERS, OWN = range(3)

_order = itertools.count(1).__next__


class Within(Stray):
    """A scope (`_scope.py`) that belongs to a run: the same query, under the run's call if it has one."""

    __slots__ = ("__weakref__", "_behind", "run")
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]
    run: Run | None

    def __init__(self, run: Run, items: Scope) -> None:
        super().__init__(items)
        self.run = run
        self.around = NOBODY
        self.left = False
        self._behind: WeakSet[Within] | None = None

    def retire(self, stays: bool) -> None:
        """Stand for what was around the run, wherever this scope was left behind; so do those left behind in it.

        `stays` says that it is still current in the context it was entered in.
        """
        self.run, self.left = None, True
        self._stand_in()
        around = self.around
        if stays and isinstance(around, Within) and not around.left:
            if around._behind is None:
                around._behind = WeakSet()
            around._behind.add(self)

    def _stand_in(self) -> None:
        self[:] = begin_elsewhere(self.around)
        for other in self._behind or ():
            other._stand_in()


class Run:
    """A run that is open: what it is recorded as, where its insides belong, and where its scope is current.

    `parent` is the run around it, whoever told of that; `root` the outermost that its own framework told of (None for
    that one itself), whose `family` are the ids of those inside. `counted` says whose tokens have been told of inside:
    NOBODYS, those of OTHERS (an agent inside), its OWN. `failed` is how a run inside failed.
    """

    __slots__ = (
        "began",
        "call_around",
        "counted",
        "failed",
        "family",
        "key",
        "kind",
        "name",
        "opened",
        "order",
        "parent",
        "root",
        "row",
        "scope",
        "seen_error",
        "source",
        "token",
    )

    def __init__(self, source: object, key: Hashable, kind: Kind, name: str, parent: Run | None) -> None:
        self.source = source
        self.key = key
        self.kind = kind
        self.name = name
        self.parent = parent
        self.root: Run | None = None
        self.family: set[Hashable] = set()
        self.order = _order()
        self.began = clock()
        self.seen_error = id(sys.exception())
        self.opened: OpenQuery | OpenCall | None = None
        self.row: LeanQuery | None = None
        self.scope = Within(self, NOBODY)
        self.call_around: Any = None
        self.token: Any = None
        self.counted = NOBODYS
        self.failed: tuple[Failure, BaseException] | None = None

    def settle_in(self, base: Scope, here: Scope) -> None:
        """Say what its insides belong to, from what it is recorded as, the scope it is in and the one at hand."""
        opened = self.opened
        self.call_around = begin_elsewhere(here)[CALL] if here[ROW] is not None else None
        if isinstance(opened, OpenQuery) and not opened.joined:
            items = begin_elsewhere(opened.scope)
            self.call_around = None
        elif isinstance(opened, OpenCall):
            call, row = opened.call, opened.row
            items = opened.frame if row is None else [0, row.started, [], None, row, call, 0, call]
        else:
            items = begin_elsewhere(base)
        self.scope[:] = items
        around: LeanQuery | None = items[ROW]
        self.row = around if around is not None and around.scope is not None else None

    def enter(self) -> None:
        """Make its scope current in the context at hand."""
        here = current.get()
        while isinstance(here, Stray) and here.left:
            here = here.around
        self.scope.around = here
        self.token = enter(self.scope)

    def leave(self) -> None:
        """Take its scope out; where that cannot be, have it stand for what is around."""
        token, self.token = self.token, None
        if token is None:
            self.scope.run = None
            return
        was_here = current.get() is self.scope
        leave(self.scope, token)
        stays = not was_here or current.get() is self.scope
        if stays or self.scope[CALL] is not None:
            self.scope.retire(stays)
        else:
            self.scope.run = None  # a query's own: what goes on in a context of its own is late, and still the query's

    def raised_since(self) -> BaseException | None:
        """The exception that is on its way through here, if it came up inside the run."""
        error = sys.exception()
        return None if error is None or id(error) == self.seen_error else error
