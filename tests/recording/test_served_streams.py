"""Streams that a real server sends: whole, and cut off by a client that goes away; alone, and behind a middleware."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from instrument import query_span, track_query, track_tool
from instrument.records import QueryRecord
from instrument.testing import capture

CHUNK = "word " * 400
STEPS = 30
PAUSE = 0.02


@track_tool
def look() -> None:
    pass


@track_query(agent="chat")
async def answer(fails: bool) -> AsyncIterator[str]:
    for number in range(STEPS):
        await asyncio.sleep(PAUSE)
        look()
        if fails and number == 5:
            raise TimeoutError("the model hung up")
        yield CHUNK


@track_query(agent="chat")
def plain_answer(fails: bool) -> Iterator[str]:
    for number in range(STEPS):
        time.sleep(PAUSE)
        look()
        if fails and number == 5:
            raise TimeoutError("the model hung up")
        yield CHUNK


async def respond(request: Request) -> StreamingResponse:
    make: Any = {"async": answer, "plain": plain_answer}[request.path_params["kind"]]
    return StreamingResponse(make("fails" in request.query_params))


class Plain:
    """A middleware that ends with the response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with query_span(scope["path"]):
            await self.app(scope, receive, send)


class Early(BaseHTTPMiddleware):
    """A middleware that ends when the response has begun."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        with query_span(request.url.path):
            return await call_next(request)


MIDDLEWARES: dict[str, Any] = {"none": None, "plain": Plain, "early": Early}


@contextmanager
def served(middleware: Any) -> Iterator[int]:
    app = Starlette(routes=[Route("/{kind}", respond)])
    if middleware is not None:
        app.add_middleware(middleware)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)


def ask(port: int, path: str, *, leaves: bool = False) -> int:
    """Ask, and read all of the answer or go away after its beginning; gives the bytes that came."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        came = 0
        while part := client.recv(65_536):
            came += len(part)
            if leaves and came > 3 * len(CHUNK):
                break
        return came


def chat(queries: list[QueryRecord]) -> QueryRecord:
    """The one query that has the agent; without an agent, a middleware's own may be beside it."""
    (found,) = [query for query in queries if query.agent_type == "chat"]
    assert all(query.agent_type in (None, "", "unknown") for query in queries if query is not found)
    return found


every_case = pytest.mark.parametrize(
    ("middleware", "kind"), [(name, kind) for name in MIDDLEWARES for kind in ("async", "plain")]
)


@every_case
def test_a_stream_that_is_sent_is_recorded_whole(middleware: str, kind: str) -> None:
    with capture() as captured, served(MIDDLEWARES[middleware]) as port:
        ask(port, f"/{kind}")
    query = chat(captured.queries)
    assert (query.status, query.result_size_bytes, len(query.calls)) == ("ok", STEPS * len(CHUNK), STEPS)
    assert query.duration_ms > STEPS * PAUSE * 900
    assert query.first_chunk_ms is not None
    assert query.first_chunk_ms < query.duration_ms / 2


@every_case
def test_a_client_that_goes_away_is_a_cancelled_query_and_no_failure(middleware: str, kind: str) -> None:
    with capture() as captured, served(MIDDLEWARES[middleware]) as port:
        ask(port, f"/{kind}", leaves=True)
        time.sleep(10 * PAUSE)
    query = chat(captured.queries)
    assert query.status == "cancelled"
    assert query.result_size_bytes is not None
    assert 3 * len(CHUNK) <= query.result_size_bytes < STEPS * len(CHUNK)
    assert len(query.calls) < STEPS


@every_case
def test_a_stream_that_fails_while_it_is_sent_is_a_failed_query(middleware: str, kind: str) -> None:
    with capture() as captured, served(MIDDLEWARES[middleware]) as port:
        ask(port, f"/{kind}?fails=1")
    query = chat(captured.queries)
    assert (query.status, query.error_type, query.error_message) == ("error", "TimeoutError", "the model hung up")
    assert query.result_size_bytes == 5 * len(CHUNK)


# -- a stream that outlasts what opened its query --------------------------------------------------------------------


def test_a_query_lasts_as_long_as_the_last_stream_that_joined_it() -> None:
    async def main() -> None:
        with query_span("request"):
            body = answer(fails=False)
            await anext(body)
            other = plain_answer(fails=False)
            next(other)
        assert not captured.queries
        async for _ in body:
            pass
        assert captured.queries

    with capture() as captured:
        asyncio.run(main())
    joined = next(query for query in captured.queries if query.user_input == "request")
    assert (joined.agent_type, joined.status, joined.result_size_bytes) == ("chat", "ok", STEPS * len(CHUNK))


def test_a_query_that_fails_ends_at_once_whatever_has_joined_it() -> None:
    def request() -> Iterator[str]:
        with query_span("request"):
            body = plain_answer(fails=False)
            next(body)
            kept.append(body)
            raise KeyError("x")

    kept: list[Any] = []
    with capture() as captured:
        with pytest.raises(KeyError):
            request()
        assert [(query.agent_type, query.error_type) for query in captured.queries] == [("chat", "KeyError")]
        kept.clear()
    assert len(captured.queries) == 1


def test_a_stream_that_is_dropped_ends_the_query_it_held_open() -> None:
    with capture() as captured:
        with query_span("request"):
            body = plain_answer(fails=False)
            next(body)
        assert not captured.queries
        del body
        assert [(query.agent_type, query.status) for query in captured.queries] == [("chat", "closed")]
