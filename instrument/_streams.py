"""Streams: generators and async generators, recorded from their first step to their last.

A stream's query or call is current only while the stream's own code runs. What the consumer does between two chunks
is not its child.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from threading import get_ident
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from instrument._collector import collector
from instrument._preparation import measured, size_later
from instrument._scope import STREAMS, THREAD, OpenCall, OpenQuery, clock, close_call, close_query, current, leave


class StreamSpan:
    """What an open stream records: a query with its size and first chunk, or a call."""

    __slots__ = ("_opened", "_scope", "_size")

    def __init__(self, opened: OpenQuery | OpenCall) -> None:
        self._opened = opened
        self._scope = opened.scope if isinstance(opened, OpenQuery) else opened.frame
        self._size: int | None = 0

    def enter(self) -> Any:
        """Make the stream's scope current for one step; gives what `leave` takes back."""
        scope = self._scope
        if scope is None:
            return None
        if isinstance(self._opened, OpenQuery) and scope[THREAD] and not self._opened.joined:
            scope[THREAD] = get_ident()
        return current.set(scope)

    def leave(self, token: Any) -> None:
        """End that step."""
        if token is not None:
            leave(self._scope, token)

    def chunk(self, value: Any) -> None:
        """Count a chunk that was handed out."""
        opened = self._opened
        if isinstance(opened, OpenCall) or opened.joined:
            return
        if opened.row.first_chunk is None:
            opened.row.first_chunk = clock() - opened.row.started
        size = len(value) if type(value) is str and value.isascii() else measured(size_later(value))
        self._size = None if size is None or self._size is None else self._size + size

    def end(self, error: BaseException | None = None, status: str | None = None) -> None:
        """End the stream, once."""
        opened = self._opened
        if isinstance(opened, OpenCall):
            close_call(opened, error, status)
            return
        if opened.row.scope is not None and not opened.joined:
            opened.row.result_size = self._size
        close_query(opened, error, status)


def _guarded(step: Any, *values: Any) -> Any:
    try:
        return step(*values)
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("stream", problem)
        return None


class Stream(Generator[Any, Any, Any]):
    """A generator, recorded; it behaves as the one inside."""

    def __init__(self, inner: Generator[Any, Any, Any], span: StreamSpan) -> None:
        self._inner = inner
        self._span = span

    def send(self, value: Any) -> Any:
        """Resume the generator with a value."""
        return self._step(self._inner.send, value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise an exception inside the generator."""
        error = val if isinstance(val, BaseException) else typ
        return self._step(self._inner.throw, error if tb is None else error.with_traceback(tb))

    def close(self) -> None:
        """Close the generator."""
        span = self._span
        token = _guarded(span.enter)
        try:
            self._inner.close()
        except BaseException as error:
            _guarded(span.end, error)
            raise
        finally:
            _guarded(span.leave, token)
            _guarded(span.end, None, "closed")

    def __del__(self) -> None:
        self._span.end(None, "closed")

    def _step(self, resume: Any, value: Any) -> Any:
        span = self._span
        token = _guarded(span.enter)
        try:
            chunk = resume(value)
        except StopIteration:
            _guarded(span.end)
            raise
        except BaseException as error:
            _guarded(span.end, error)
            raise
        finally:
            _guarded(span.leave, token)
        _guarded(span.chunk, chunk)
        return chunk


class AsyncStream(AsyncGenerator[Any, Any]):
    """An async generator, recorded; it behaves as the one inside, and is collected as quietly."""

    def __init__(self, inner: AsyncGenerator[Any, Any], span: StreamSpan) -> None:
        self._inner = inner
        self._span = span

    async def asend(self, value: Any) -> Any:
        """Resume the generator with a value."""
        return await self._step(self._inner.asend(value))

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise an exception inside the generator."""
        error = val if isinstance(val, BaseException) else typ
        return await self._step(self._inner.athrow(error if tb is None else error.with_traceback(tb)))

    async def aclose(self) -> None:
        """Close the generator."""
        span = self._span
        token = _guarded(span.enter)
        try:
            await self._inner.aclose()
        except BaseException as error:
            _guarded(span.end, error)
            raise
        finally:
            _guarded(span.leave, token)
            _guarded(span.end, None, "closed")

    def __del__(self) -> None:
        self._span.end(None, "closed")

    async def _step(self, resumed: Any) -> Any:
        span = self._span
        token = _guarded(span.enter)
        try:
            chunk = await resumed
        except StopAsyncIteration:
            _guarded(span.end)
            raise
        except BaseException as error:
            _guarded(span.end, error)
            raise
        finally:
            _guarded(span.leave, token)
        _guarded(span.chunk, chunk)
        return chunk


STREAMS[GeneratorType] = Stream
STREAMS[AsyncGeneratorType] = AsyncStream
