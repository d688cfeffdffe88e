"""Queries and calls as context managers, and the query that is open.

    with query_span("unpaid bills in India", agent="simple") as query:
        query.add_entities("customers", "bills")
        with tool_span("lookup"):
            ...

Each works with `with` and `async with`, and records nothing where recording is off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from instrument.collecting.collector import collector, wall_microseconds
from instrument.collecting.finalizing import size_later
from instrument.collecting.guard import guard
from instrument.recording.calls import OpenCall, close_call, open_call
from instrument.recording.queries import OpenQuery, close_query, identify, open_query
from instrument.recording.scope import (
    Scope,
    begin_elsewhere,
    clock,
    current,
    enter,
    leave,
    query_here,
    suppressed_scope,
)
from instrument.recording.selections import extend_entities, select_here
from instrument.redaction.rules import described
from instrument.rows.live import ChoiceRow, LiveQuery

P = ParamSpec("P")
R = TypeVar("R")


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, float, str) or (type(value) is int and abs(value) < 2**63):
        return value
    return described(value)


def _choice(agent: str, score: float | None, reason: str | None) -> tuple[str, float | None, str | None]:
    """A selection as it can be kept, whatever was given: a score that is no number is left out."""
    try:
        number = None if score is None else float(score)
    except (TypeError, ValueError, OverflowError):
        number = None
    return described(agent), number, None if reason is None else described(reason)


def _count(value: int) -> int:
    number = int(value)
    if abs(number) >= 2**62:
        raise OverflowError(f"{type(value).__name__} beyond 62 bits")
    return number


class Query:
    """An open query. Without one, and after its end, everything is accepted and nothing happens."""

    __slots__ = ("_row",)

    def __init__(self, row: LiveQuery | None) -> None:
        self._row = row

    def __bool__(self) -> bool:
        return self._row is not None

    @property
    def query_id(self) -> str:
        """The query's UUID as text; empty without a query."""
        return "" if self._row is None else identify(self._row)

    @guard("add_entities")
    def add_entities(self, *names: str) -> None:
        """Add names of entities that the query is about, each counted once."""
        entities = [described(name) for name in names]
        with collector.lock:
            if row := self._open():
                extend_entities(row, entities)

    @guard("set_attributes")
    def set_attributes(self, /, **attributes: Any) -> None:
        """Set attributes: text, numbers and booleans as they are, anything else as text."""
        plain = {key: _plain(value) for key, value in attributes.items()}
        with collector.lock:
            if row := self._open():
                row.attributes = {**(row.attributes or {}), **plain}

    @guard("record_metric")
    def record_metric(self, name: str, value: float) -> None:
        """Set a figure of the query's own."""
        metric = {described(name): float(value)}
        with collector.lock:
            if row := self._open():
                row.metrics = {**(row.metrics or {}), **metric}

    @guard("record_tokens")
    def record_tokens(self, input_tokens: int, output_tokens: int, model: str | None = None) -> None:
        """Add the tokens of one model call to the query's; the last model named stays."""
        more_in, more_out, name = _count(input_tokens), _count(output_tokens), described(model)
        with collector.lock:
            if row := self._open():
                row.input_tokens = (row.input_tokens or 0) + more_in
                row.output_tokens = (row.output_tokens or 0) + more_out
                row.model = name or row.model

    @guard("select")
    def select(self, agent: str, complexity_score: float | None = None, reason: str | None = None) -> None:
        """Record which agent was chosen for this query."""
        if row := self._open():
            row.selection = ChoiceRow(wall_microseconds(clock()), *_choice(agent, complexity_score, reason))

    @guard("set_result")
    def set_result(self, value: Any) -> None:
        """Say what the query answered; its size is kept, not the value."""
        if row := self._open():
            row.result_size = size_later(value)

    @guard("fail")
    def fail(self, error: BaseException | str) -> None:
        """Mark the query failed although no exception leaves it."""
        if row := self._open():
            row.status = "error"
            row.error = type(error).__name__ if isinstance(error, BaseException) else "Error"
            row.message = described(error)

    def _open(self) -> LiveQuery | None:
        return self._row if self._row is not None and self._row.scope is not None else None


class _Block:
    """What all spans share: `with` and `async with`, and that nothing of ours reaches the application."""

    __slots__ = ()

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self, error: BaseException | None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        with guard(type(self).__name__):
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with guard(type(self).__name__):
            self._end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class query_span(_Block, Query):  # noqa: N801 - read as a function: `with query_span(…)`
    """A query around a block of code.

    `user_input` is the request, `agent` the agent's type (without one, the first `@track_query` inside gives it),
    everything else becomes attributes.
    """

    __slots__ = ("_agent", "_attributes", "_input", "_opened")

    def __init__(self, /, user_input: Any = "", *, agent: str | None = None, **attributes: Any) -> None:
        super().__init__(None)
        self._input = user_input
        self._agent = agent
        self._attributes = attributes
        self._opened: OpenQuery | None = None

    def _begin(self) -> None:
        agent = None if self._agent is None else described(self._agent)
        self._opened = open_query(agent, "", self._input, joins=False)
        if self._opened is not None:
            self._row = self._opened.row
            if self._attributes:
                self.set_attributes(**self._attributes)

    def _end(self, error: BaseException | None) -> None:
        if self._opened is not None:
            close_query(self._opened, error)


class _CallSpan(_Block):
    __slots__ = ("_name", "_opened")
    _kind = "tool"

    def __init__(self, name: str) -> None:
        self._name = name
        self._opened: OpenCall | None = None

    def _begin(self) -> None:
        self._opened = open_call(self._kind, described(self._name))

    def _end(self, error: BaseException | None) -> None:
        if self._opened is not None:
            close_call(self._opened, error)

    @guard("set_size")
    def set_size(self, size_bytes: int) -> None:
        """Say how large the answer was."""
        if self._opened is not None and not self._opened.ended:
            self._opened.call.result_size = _count(size_bytes)

    @guard("fail")
    def fail(self, error: BaseException | str) -> None:
        """Mark the call failed although no exception leaves it."""
        if self._opened is not None and not self._opened.ended:
            self._opened.call.status = "error"
            self._opened.call.error = type(error).__name__ if isinstance(error, BaseException) else "Error"


class tool_span(_CallSpan):  # noqa: N801 - read as a function: `with tool_span(…)`
    """A tool call around a block of code."""

    __slots__ = ()


class graphql_span(_CallSpan):  # noqa: N801 - read as a function: `with graphql_span(…)`
    """A GraphQL call around a block of code; `operation` names it, such as `query Customers`."""

    __slots__ = ()
    _kind = "graphql"


def current_query() -> Query:
    """Give the open query, or an object that accepts everything and does nothing."""
    return Query(query_here())


def record_selection(agent: str, *, complexity_score: float | None = None, reason: str | None = None) -> None:
    """Record the choice of an agent, for selectors that cannot be decorated.

    It is attached to the open query, or else to the next one in this context.
    """
    with guard("selection"):
        select_here(*_choice(agent, complexity_score, reason), "", [])


class suppress:  # noqa: N801 - read as a function: `with suppress():`
    """Record nothing in a block of code."""

    __slots__ = ("_scope", "_token")

    def __init__(self) -> None:
        self._scope: Scope = suppressed_scope()
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        self._scope = suppressed_scope()
        self._token = enter(self._scope)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            leave(self._scope, self._token)
            self._token = None

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """Give `function` the query that is open now, for a thread to run it in.

    One propagated function may run on many threads at once. Nothing else of the context is carried.
    """
    carried = begin_elsewhere()

    @functools.wraps(function)
    def propagated(*args: P.args, **kwargs: P.kwargs) -> R:
        token = enter(carried)
        try:
            return function(*args, **kwargs)
        finally:
            if token is not None:
                current.reset(token)

    return propagated
