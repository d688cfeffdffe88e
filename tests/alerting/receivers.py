"""A webhook and a mail server on loopback, which keep what came."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Hook:
    """A webhook: `messages` are the JSON documents that came, `answer` the status that each gets."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[dict[str, Any]] = []
        self.answer = 200
        hook = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                hook.messages.append(json.loads(content))
                self.send_response(hook.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", port), Receiver)
        self.port = self.server.server_port

    @property
    def titles(self) -> list[str]:
        return [str(message["title"]) for message in self.messages]


@contextmanager
def hook(port: int = 0) -> Iterator[Hook]:
    one = Hook(port)
    thread = threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        thread.join(10)
        one.server.server_close()


class Mails:
    """What aiosmtpd hands over."""

    def __init__(self) -> None:
        self.contents: list[str] = []
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.contents.append(envelope.content.decode())
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[Mails]:
    import socket

    from aiosmtpd.controller import Controller

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mails = Mails()
    controller = Controller(mails, hostname="127.0.0.1", port=port)
    controller.start()
    mails.port = port
    try:
        yield mails
    finally:
        controller.stop()


def closed_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
