"""The decorators of a selector's own methods: what they return becomes the selection, the entities, the score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import FunctionType
from typing import Any, TypeVar, cast

from instrument.collecting.collector import collector, wall_microseconds
from instrument.collecting.guard import guard, guarded
from instrument.recording.scope import clock, query_here
from instrument.recording.selections import extend_entities, select_here
from instrument.recording.signatures import ASYNC, SYNC, kind_of
from instrument.redaction.rules import described
from instrument.rows.live import ChoiceRow
from instrument.tracking import switched_off

F = TypeVar("F", bound=Callable[..., Any])


class _Running:
    """A selection while its method runs: what its parts have found."""

    __slots__ = ("entities", "score")

    def __init__(self) -> None:
        self.score: float | None = None
        self.entities: list[str] = []


_running: ContextVar[_Running | None] = ContextVar("instrument_selection", default=None)


def track_selection(function: F, /) -> F:
    """Record what a method returns as the choice of an agent.

    It returns the agent's type; or a tuple of agent, complexity score and reason (the last two may be missing); or a
    mapping or object with `selected_agent` (or `agent`), `complexity_score` and `selection_reason` (or `reason`). A
    score from a `@track_complexity` method and entities from a `@track_entities` method called inside count too.
    """

    return cast(F, _watched(function, "track_selection", _SELECTION))


def track_entities(function: F, /) -> F:
    """Record the names that a method returns (an iterable of them, or one) as the query's entities."""
    return cast(F, _watched(function, "track_entities", _ENTITIES))


def track_complexity(function: F, /) -> F:
    """Record the number that a method returns as the complexity score of the selection that runs or the open query."""
    return cast(F, _watched(function, "track_complexity", _COMPLEXITY))


def _begin_nothing(args: Any, kwargs: Any) -> None:
    return


def _begin_selection(args: Any, kwargs: Any) -> Any:
    running = _Running()
    before = _running.get()
    _running.set(running)
    return running, before, _first_text(args, kwargs)


def _end_selection(state: Any, result: Any, failed: bool) -> None:
    running, before, user_input = state
    _running.set(before)
    if not failed:
        agent, score, reason = _choice(result)
        if agent is not None:
            select_here(agent, running.score if score is None else score, reason, user_input, running.entities)


def _found_entities(state: None, result: Any, failed: bool) -> None:
    if failed or result is None:
        return
    found = (
        [result] if isinstance(result, str) else list(result) if isinstance(result, (list, tuple, set, dict)) else []
    )
    names = [described(name) for name in found]
    row, running = query_here(), _running.get()
    if row is not None:
        with collector.lock:
            extend_entities(row, names)
    elif running is not None:
        running.entities += names


def _found_score(state: None, result: Any, failed: bool) -> None:
    if failed or isinstance(result, bool) or not isinstance(result, (int, float)):
        return
    row, running = query_here(), _running.get()
    if running is not None:
        running.score = float(result)
    elif row is not None:
        with collector.lock:
            if row.selection is None:
                row.selection = ChoiceRow(wall_microseconds(clock()))
            row.selection.score = float(result)


def _choice(result: Any) -> tuple[str | None, float | None, str | None]:
    if isinstance(result, str):
        return str(result), None, None
    if isinstance(result, tuple):
        agent, score, reason = (*result, None, None, None)[:3]
    else:
        agent = _part(result, "selected_agent", "agent")
        score = _part(result, "complexity_score", "score")
        reason = _part(result, "selection_reason", "reason")
    number = float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None
    return None if agent is None else described(agent), number, None if reason is None else described(reason)


def _part(result: Any, *names: str) -> Any:
    for name in names:
        value = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if value is not None:
            return value
    return None


def _first_text(args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    if "user_input" in kwargs:
        return described(kwargs["user_input"])
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, str)), "")


class _Watch:
    """What looks at a function's calls: `begin` at the arguments, `end` at what `begin` gave and at the result.

    Neither raises. It pickles by the functions' names, along with the wrapper that holds it.
    """

    __slots__ = ("_begin", "_end")

    def __init__(self, begin: Callable[[Any, Any], Any], end: Callable[[Any, Any, bool], None]) -> None:
        self._begin = begin
        self._end = end

    def begin(self, args: Any, kwargs: Any) -> Any:
        """Look at the arguments of a call that begins; what this gives, `end` gets."""
        return guarded("selection", self._begin, args, kwargs)

    def end(self, state: Any, result: Any, failed: bool) -> None:
        """Look at the result of a call that has ended, or at None where it has failed."""
        with guard("selection"):
            self._end(state, result, failed)


_SELECTION = _Watch(_begin_selection, _end_selection)
_ENTITIES = _Watch(_begin_nothing, _found_entities)
_COMPLEXITY = _Watch(_begin_nothing, _found_score)


def _watched(function: Any, decorator: str, watch: _Watch) -> Any:
    """The function, watched."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_watched(function.__func__, decorator, watch))
    if not isinstance(function, FunctionType) or kind_of(function) not in (SYNC, ASYNC):
        raise TypeError(
            f"{decorator}: only a function or method that returns its finding can be tracked, not {function!r}"
        )
    if switched_off():
        return function
    from instrument.recording.fast_path import watched

    return watched(function, watch)
