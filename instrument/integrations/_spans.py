"""What integrations share: a query that joins the one that is open, and calls that are recorded once."""

from __future__ import annotations

from typing import Any

from instrument.recording.queries import open_query
from instrument.recording.scope import query_here
from instrument.redaction.rules import described
from instrument.spans import query_span


class agent_span(query_span):  # noqa: N801 - read as a function: `with agent_span(…)`
    """A framework's run of an agent: the open query where there is one, else a query of its own.

    An open query that has no agent yet takes `agent` for its own. What is said of the query inside (tokens, entities,
    attributes) goes to whichever of the two it is.
    """

    __slots__ = ("_name",)

    def __init__(self, agent: str, user_input: Any = "", *, name: str = "", **attributes: Any) -> None:
        super().__init__(user_input, agent=agent, **attributes)
        self._name = name

    def _begin(self) -> None:
        around = query_here()
        if around is not None and around.agent is not None:
            self._row = around
        else:
            self._opened = open_query(described(self._agent), self._name, self._input)
            self._row = None if self._opened is None else self._opened.row
        if self._attributes and self._row is not None:
            self.set_attributes(**self._attributes)
