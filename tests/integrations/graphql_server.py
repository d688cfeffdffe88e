"""A real GraphQL server for the clients' tests, in a process of its own: Strawberry behind uvicorn.

It says on standard output which port it listens on, and leaves when its standard input is closed: with the test run,
whatever ends that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from graphql_schema import schema
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL


async def failed(request: Request) -> Response:
    return PlainTextResponse("out of order", 500)


async def page(request: Request) -> Response:
    return PlainTextResponse("<p>please log in</p>", media_type="text/html")


async def moved(request: Request) -> Response:
    return RedirectResponse("/graphql", 307)


async def other(request: Request) -> Response:
    return JSONResponse({"errors": ["this is no GraphQL"], "asked": (await request.body()).decode(errors="replace")})


async def pieces(request: Request) -> Response:
    async def answer() -> AsyncGenerator[bytes, None]:
        yield b'{"data": {"a": 1},'
        await asyncio.sleep(0.05)
        yield b' "errors": [{"message": "late"}]}'

    return StreamingResponse(answer(), media_type="application/json")


def application() -> Starlette:
    graphql: Any = GraphQL(schema, graphql_ide=None)
    plain = [Route(f"/{one.__name__}", one, methods=["GET", "POST"]) for one in (failed, page, moved, other, pieces)]
    return Starlette(routes=[*plain, Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)])


class Announcing(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        print(json.dumps(sockets[0].getsockname()[1]), flush=True)


def main() -> None:
    logging.disable()  # what fails here fails on purpose
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    Announcing(uvicorn.Config(application(), lifespan="off", log_config=None, http="h11")).run([listener])


if __name__ == "__main__":
    main()
