"""Streams: generators and async generators, recorded from their first step to their last.

A stream's query or call is current only while the stream's own code runs. What the consumer does between two chunks
is not its child.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from importlib import import_module
from threading import get_ident, main_thread
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from instrument.collecting.finalizing import measured, size_later
from instrument.collecting.guard import guarded
from instrument.recording.calls import OpenCall, close_call
from instrument.recording.failures import outcome
from instrument.recording.model_usage import Answer
from instrument.recording.queries import OpenQuery, close_query, hold
from instrument.recording.runners import ident
from instrument.recording.scope import (
    STREAMS,
    THREAD,
    begin_elsewhere,
    clock,
    current,
    enter,
    is_collecting,
    scope_here,
)
from instrument.rows.live import LiveFacts


class StreamSpan:
    """What an open stream records: a query with its size and first chunk, or a call.

    Between two steps it keeps the scope that the stream's own code left off in, such as that of a span held open
    across a `yield`.
    """

    __slots__ = ("_answer", "_opened", "_scope", "_size")

    def __init__(self, opened: OpenQuery | OpenCall) -> None:
        self._opened = opened
        if isinstance(opened, OpenQuery):
            hold(opened)
            self._scope = begin_elsewhere(opened.scope) if opened.joined else opened.scope
        else:
            self._scope = None if opened.loose else opened.frame
        self._size: int | None = 0
        self._answer: Answer | None = None

    def enter(self) -> Any:
        """Make the stream's scope current for one step; gives what `leave` takes back."""
        if self._scope is None:
            return None
        opened = self._opened
        if isinstance(opened, OpenQuery) and not opened.joined and opened.row.scope is not None:
            opened.row.scope[THREAD] = ident()
        return enter(self._scope)

    def leave(self, token: Any) -> None:
        """End that step."""
        if token is None or is_collecting():
            return
        left_off = scope_here()
        try:
            current.reset(token)
        except ValueError:
            return  # collected or closed in a context it was never entered in: nothing to restore there
        self._scope = left_off

    def chunk(self, value: Any) -> None:
        """Count a chunk that was handed out."""
        opened = self._opened
        if isinstance(opened, OpenCall):
            self._chunk_of_model(opened.call.facts, value)
            return
        if opened.row.first_chunk is None:
            opened.row.first_chunk = clock() - opened.row.started
        size = len(value) if type(value) is str and value.isascii() else measured(size_later(value))
        self._size = None if size is None or self._size is None else self._size + size

    def _chunk_of_model(self, facts: LiveFacts | None, value: Any) -> None:
        if facts is None:
            return
        if facts.first_chunk is None:
            facts.first_chunk = clock() - facts.began
        self._answer = self._answer or Answer()
        self._answer.see(value)

    def end(self, error: BaseException | None = None, status: str | None = None) -> None:
        """End the stream, once."""
        opened = self._opened
        if isinstance(opened, OpenCall):
            if self._answer is not None and opened.call.facts is not None:
                self._answer.give(opened.call.facts)
                self._answer = None
            close_call(opened, error, status)
            return
        if opened.row.scope is not None and (not opened.joined or opened.row.result_size is None):
            opened.row.result_size = self._size
        close_query(opened, error, status)


_ours = functools.partial(guarded, "stream")


def _is_cut_off() -> bool:
    """Whether nobody waits for this step any more: the task that had a worker thread of anyio's do it was cancelled.

    Starlette steps through plain generators in this way, and cancels when the client has gone. It drops the generator
    then, which is closed when it is collected: that comes late and looks like a `break`.
    """
    if "anyio.to_thread" not in sys.modules or get_ident() == main_thread().ident:
        return False
    try:
        import_module("anyio.from_thread").check_cancelled()
    except RuntimeError:
        return False  # no thread of anyio's
    except BaseException:  # noqa: BLE001 - the event loop's own kind of cancellation
        return True
    return False


class Stream(Generator[Any, Any, Any]):
    """A generator, recorded; it behaves as the one inside."""

    def __init__(self, inner: Generator[Any, Any, Any], span: StreamSpan) -> None:
        self._inner = inner
        self._span = span

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)  # gi_frame and its like

    def send(self, value: Any) -> Any:
        """Resume the generator with a value."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception inside the generator."""
        return self._step(self._inner.throw, *error)

    def close(self) -> Any:
        """Close the generator."""
        span = self._span
        token = _ours(span.enter)
        try:
            return self._inner.close()
        except BaseException as error:
            _ours(span.end, error)
            raise
        finally:
            _ours(span.leave, token)
            _ours(span.end, None, "closed")

    def __del__(self) -> None:
        self.close()

    def _step(self, resume: Any, *values: Any) -> Any:
        span = self._span
        token = _ours(span.enter)
        try:
            chunk = resume(*values)
        except StopIteration:
            _ours(span.end)
            raise
        except BaseException as error:
            _ours(span.end, error)
            raise
        finally:
            _ours(span.leave, token)
        _ours(span.chunk, chunk)
        if _is_cut_off():
            _ours(span.end, None, "cancelled")
        return chunk


class AsyncStream(AsyncGenerator[Any, Any]):
    """An async generator, recorded unless `span` is None; it behaves as the one inside, and is collected as quietly.

    `alone` False says that another async generator hands it on, and closes it.
    """

    def __init__(self, inner: AsyncGenerator[Any, Any], span: StreamSpan | None, *, alone: bool = True) -> None:
        self._inner = inner
        self._span = span
        self._known = alone

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)  # ag_frame and its like

    def asend(self, value: Any) -> Coroutine[Any, Any, Any]:
        """Resume the generator with a value."""
        return self._step(self._inner.asend(value) if self._known else self._first(value))

    def athrow(self, *error: Any) -> Coroutine[Any, Any, Any]:
        """Raise an exception inside the generator."""
        return self._step(self._inner.athrow(*error), between=True)

    async def aclose(self) -> None:
        """Close the generator."""
        span = self._span
        if span is None:
            return await self._inner.aclose()
        token = _ours(span.enter)
        try:
            await self._inner.aclose()
        except BaseException as error:
            _ours(span.end, error)
            raise
        finally:
            _ours(span.leave, token)
            _ours(span.end, None, "closed")

    def __del__(self) -> None:
        if self._span is not None:
            _ours(self._span.end, None, "closed")

    def _first(self, value: Any) -> Any:
        """The first step, untold to the loop: it would close this generator while the one around it does so too."""
        self._known = True
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None)
        try:
            return self._inner.asend(value)
        finally:
            sys.set_asyncgen_hooks(firstiter=hooks.firstiter)

    async def _step(self, resumed: Any, between: bool = False) -> Any:
        """Resume it; `between` is an exception that comes upon it between two chunks.

        If that is a cancellation, the task that should have closed it was cancelled, as loops do at their end.
        """
        span = self._span
        if span is None:
            return await resumed
        token = _ours(span.enter)
        try:
            chunk = await resumed
        except StopAsyncIteration:
            _ours(span.end)
            raise
        except BaseException as error:
            given_up = between and outcome(error) == "cancelled"
            _ours(span.end, None if given_up else error, "closed" if given_up else None)
            raise
        finally:
            _ours(span.leave, token)
        _ours(span.chunk, chunk)
        return chunk


STREAMS[GeneratorType] = Stream
STREAMS[AsyncGeneratorType] = AsyncStream
