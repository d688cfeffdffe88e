"""The choice of an agent: kept on the query it was made for, which as a rule opens only afterwards.

Such a selection waits in the context it was made in. One that never meets its query is written on a line of its own.
"""

from __future__ import annotations

from instrument.collecting.collector import collector, wall_microseconds
from instrument.recording.scope import CALL, ROW, clock, enter, is_suppressed, query_here, recording, scope_here
from instrument.rows.live import ChoiceRow, LiveQuery
from instrument.rows.stored import SelectionRow


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


_pending: set[Pending] = set()


def select_here(agent: str, score: float | None, reason: str | None, user_input: str, entities: list[str]) -> None:
    """Record a selection: on the open query, else for the next one in this context."""
    scope = scope_here()
    if is_suppressed(scope) or not recording():
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
    enter([0, 0, None, None, None, waiting])


def extend_entities(row: LiveQuery, names: list[str]) -> None:
    """Add names to a query's entities, each once, in order."""
    if names:
        row.entities = list(dict.fromkeys([*(row.entities or ()), *names]))


def take(waiting: Pending, row: LiveQuery) -> None:
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


def hand_down(outer: LiveQuery, inner: LiveQuery) -> None:
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


def disown_waiting() -> None:
    """In a forked child: what waited at the fork is the parent's."""
    for waiting in _pending:
        waiting.disown()
    _pending.clear()
