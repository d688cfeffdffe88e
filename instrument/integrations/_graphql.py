"""GraphQL operations on their way down: client, HTTP, schema, executor. Recorded once, where they are first seen.

A layer that finds the same operation open just above it adds what it knows (size, errors in the answer) to that call
and records none of its own. What a resolver asks is an operation of another name, or comes from a higher layer than the
one that runs the resolver: it is a call of its own, nested.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextvars import ContextVar
from threading import get_ident
from typing import Any

from instrument.collecting import guard
from instrument.integrations._graphql_answers import FAILED, Answer, answer_of
from instrument.integrations._graphql_http import Sent
from instrument.recording.calls import OpenCall, close_call, open_call
from instrument.recording.scope import (
    CALL,
    CALLS,
    OPEN,
    OWNER,
    ROW,
    THREAD,
    Scope,
    current,
    enter,
    is_collecting,
    leave,
    still_open,
)
from instrument.recording.streams import AsyncStream, StreamSpan
from instrument.recording.variables import variables_of
from instrument.rows.live import LiveCall

DECORATED, CLIENT, HTTP, SCHEMA, EXECUTOR = range(5)
"""The layers, from the top. `DECORATED` is a call that the application opened itself, around whatever comes."""

_ENDED = EXECUTOR + 1
_TYPES = ("query ", "mutation ", "subscription ")


class _Standing:
    """How far down open calls have come, valid in one scope; `names` is None where any operation is theirs."""

    __slots__ = ("calls", "layer", "names", "place", "scope")

    def __init__(self, layer: int, calls: list[LiveCall], names: tuple[str, ...] | None) -> None:
        self.scope = current.get()
        self.place = self.scope[OPEN]
        self.layer = layer
        self.calls = calls
        self.names = names

    def covers(self, layer: int, names: tuple[str, ...]) -> bool:
        """Whether an operation of these names, seen at `layer`, is this one. HTTP twice is a redirect."""
        below = self.layer < layer or self.layer == layer == HTTP
        return below and (self.names is None or self.names == names)


_standing: ContextVar[_Standing | None] = ContextVar("instrument_graphql", default=None)


def _around() -> _Standing | None:
    """Where the innermost call that is open here stands, if it is a GraphQL call."""
    scope, standing = current.get(), _standing.get()
    if standing is not None and standing.scope is scope and standing.place == scope[OPEN]:
        return standing
    call = _innermost(scope)
    if call is None or call.kind != "graphql" or call.duration is not None:
        return None
    return _Standing(DECORATED, [call], (call.name,) if call.name.startswith(_TYPES) else None)


def _innermost(scope: Scope) -> LiveCall | None:
    place, me = scope[OPEN], get_ident()
    if scope[ROW] is None:
        return None if place is None else next((one.call for one in still_open(OpenCall) if one.frame is scope), None)
    call: LiveCall | None = scope[CALL]
    if scope[THREAD] == me or (len(scope) > OWNER and scope[OWNER] == me):
        return call if place is None else scope[CALLS][place]
    return call


def _move(standing: _Standing | None) -> None:
    # As with the scope: nothing is set while garbage is collected, and no value is ever taken away (see `enter`).
    if not is_collecting():
        _standing.set(standing)


class operation:  # noqa: N801 - read as a function: `with operation(HTTP, name) as call:`
    """One operation, or a batch of them, on its way through a layer; begins no call where it is open above.

    `variables` are those of each operation, as far as they are known here.
    """

    __slots__ = ("_before", "_layer", "_names", "_opened", "_standing", "_variables")

    def __init__(self, layer: int, *names: str, variables: Sequence[Any] = ()) -> None:
        self._layer = layer
        self._names = names
        self._variables = variables
        self._opened: list[OpenCall] = []
        self._before: _Standing | None = None
        self._standing: _Standing | None = None

    def __enter__(self) -> operation:
        guarded(self._begin)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        guarded(self._end, error)

    def answered(self, *answers: Answer) -> None:
        """Note what came back, an answer for each operation, or one for all."""
        calls = self._standing.calls if self._standing is not None else []
        if len(answers) == len(calls):
            for place, call in enumerate(calls):
                _note(call, answers[place])
            return
        error = next((answer.error for answer in answers if answer.error), None)
        for call in calls:
            _note(call, Answer(None, error))

    def gave(self, *results: Any) -> None:
        """Note what an operation's, or each one's, data or execution result is."""
        calls = self._standing.calls if self._standing is not None else []
        for call, result in zip(calls, results, strict=False):
            guarded(_note_result, call, result)

    def goes_on(self, inner: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """Let the operation last until `inner` has been awaited."""
        if self._standing is None:
            return inner
        if not self._opened:
            return _Awaited(inner, _Passing(self._layer, self._standing.calls, self._standing.names))
        opened = self._opened.pop()
        if opened.token is not None:
            leave(opened.frame, opened.token)
            opened.token = None
        return _Awaited(inner, _Steps(self._layer, opened))

    def _begin(self) -> None:
        around = _around()
        if around is not None and around.covers(self._layer, self._names):
            self._standing = _Standing(self._layer, around.calls, around.names)
            for place, call in enumerate(around.calls):
                if call.variables is None:  # a function above it has no parameter of that name
                    call.variables = self._given(place)
        else:
            self._open()
        if self._standing is not None:
            self._before = _standing.get()
            _move(self._standing)

    def _given(self, place: int) -> bytes | None:
        """The variables of one of the operations, encoded; None where they are not known."""
        if place < len(self._variables):
            return variables_of(self._variables[place])
        name = self._names[place] if place < len(self._names) else ""
        return variables_of(name.variables) if isinstance(name, Sent) else None

    def _open(self) -> None:
        """Begin a call for each operation, side by side; what happens inside is the first one's."""
        calls = []
        for place, name in enumerate(self._names):
            if opened := open_call("graphql", str(name), entered=False, variables=self._given(place)):
                self._opened.append(opened)
                calls.append(opened.call)
        if calls:
            self._opened[0].token = enter(self._opened[0].frame)
            self._standing = _Standing(self._layer, calls, self._names)

    def _end(self, error: BaseException | None) -> None:
        if self._standing is not None:
            self._standing.layer = _ENDED
            if _standing.get() is self._standing:
                _move(self._before)
        some = len(self._opened) > 1 and any(one.call.status == "error" for one in self._opened)
        for opened in self._opened:
            close_call(opened, error if not some or opened.call.status == "error" else None)


def _note(call: LiveCall, answer: Answer) -> None:
    if answer.size is not None:
        call.result_size = answer.size
    if answer.error is not None:
        call.status, call.error = "error", answer.error
    elif call.status != "ok":
        call.status, call.error = "ok", None


def _note_result(call: LiveCall, result: Any) -> None:
    _note(call, answer_of(result, call.result_size))


# -- what goes on after the call has returned ------------------------------------------------------------------------


class _Passing:
    """An operation that is recorded above, while a layer works at it step by step."""

    __slots__ = ("_before", "_calls", "_layer", "_names", "_standing")

    def __init__(self, layer: int, calls: list[LiveCall], names: tuple[str, ...] | None) -> None:
        self._layer = layer
        self._calls = calls
        self._names = names
        self._before: _Standing | None = None
        self._standing: _Standing | None = None

    def enter(self) -> None:
        """Let the operation have come to this layer, for one step."""
        self._before = _standing.get()
        self._standing = _Standing(self._layer, self._calls, self._names)
        _move(self._standing)

    def leave(self, token: object) -> None:
        """End that step."""
        if self._standing is not None:
            self._standing.layer = _ENDED
            if _standing.get() is self._standing:
                _move(self._before)
        self._standing = self._before = None

    def chunk(self, value: Any) -> None:
        """Count nothing: that is done above."""

    def end(self, error: BaseException | None = None, status: str | None = None) -> None:
        """End nothing: that is done above."""


class _Steps(StreamSpan):
    """A call that goes on step by step: a subscription, or what an executor left to be awaited."""

    __slots__ = ("_bytes", "_call", "_failed", "_passing")

    def __init__(self, layer: int, opened: OpenCall) -> None:
        super().__init__(opened)
        self._call = opened.call
        self._passing = _Passing(layer, [opened.call], (opened.call.name,))
        self._bytes: int | None = 0
        self._failed = False

    def enter(self) -> Any:
        """Make the call current for one step; gives what `leave` takes back."""
        token = super().enter()
        self._passing.enter()
        return token

    def leave(self, token: Any) -> None:
        """End that step."""
        self._passing.leave(token)
        super().leave(token)

    def chunk(self, value: Any) -> None:
        """Count an event that was handed out."""
        answer = answer_of(value)
        self._bytes = None if answer.size is None or self._bytes is None else self._bytes + answer.size
        self._failed = self._failed or answer.error is not None
        _note(self._call, Answer(self._bytes, FAILED if self._failed else None))

    def end(self, error: BaseException | None = None, status: str | None = None) -> None:
        """End the call, once; one that failed before it was broken off has failed."""
        super().end(error, None if self._failed else status)


class _Awaited(Coroutine[Any, Any, Any]):
    """A coroutine, recorded until it has been awaited; one that never is, or is closed, has been broken off.

    It is no coroutine around the other, so that what is thrown in before the first step reaches the one inside.
    """

    def __init__(self, inner: Coroutine[Any, Any, Any], span: _Steps | _Passing) -> None:
        self._inner = inner
        self._span = span

    def __await__(self) -> _Awaited:
        return self

    def __iter__(self) -> _Awaited:
        return self

    def __next__(self) -> Any:
        return self._step(self._inner.send, None)

    def send(self, value: Any) -> Any:
        """Resume it with a value."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception inside."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """Close it."""
        try:
            self._inner.close()
        finally:
            guarded(self._span.end, None, "closed")

    def __del__(self) -> None:
        guarded(self._span.end, None, "closed")

    def _step(self, resume: Callable[..., Any], *values: Any) -> Any:
        span = self._span
        token = guarded(span.enter)
        try:
            return resume(*values)
        except StopIteration as stop:
            guarded(span.chunk, stop.value)
            guarded(span.end)
            raise
        except BaseException as error:
            guarded(span.end, error)
            raise
        finally:
            guarded(span.leave, token)


guarded = functools.partial(guard.guarded, "graphql")


def _steps(layer: int, name: str) -> Any:
    around = _around()
    if around is not None and around.covers(layer, (name,)):
        return _Passing(layer, around.calls, around.names)
    opened = open_call("graphql", name, entered=False)
    return None if opened is None else _Steps(layer, opened)


async def subscription(layer: int, name: str, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Hand on a subscription's events, recorded from its first step to its last."""
    stream = AsyncStream(inner, guarded(_steps, layer, name), alone=False)
    resume: Callable[[Any], Coroutine[Any, Any, Any]] = stream.asend
    sent: Any = None
    try:
        while True:
            event = await resume(sent)
            resume, sent = stream.asend, None
            try:
                sent = yield event
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the subscription's, which raises it or does not
                resume, sent = stream.athrow, error
    except StopAsyncIteration:
        return
    finally:
        sent = None
