"""Receivers of OTLP for tests: a real one as a process, and one that misbehaves as it is told."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class RealReceiver:
    """ddapm-test-agent, which keeps what it is sent."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def got(self, signal: str) -> list[dict[str, Any]]:
        """The requests of a signal that it has taken, decoded."""
        with urllib.request.urlopen(f"{self.address}/test/session/{signal}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for request in self.got("traces")
            for resource in request["resource_spans"]
            for scope in resource["scope_spans"]
            for span in scope["spans"]
        ]

    def ids(self) -> Counter[str]:
        return Counter(f"{span['trace_id']}/{span['span_id']}" for span in self.spans())


@contextmanager
def real_receiver(folder: Path) -> Iterator[RealReceiver]:
    ports = [free_port() for _ in range(3)]
    program = str(Path(sys.executable).parent / "ddapm-test-agent")
    options = ["--port", "--otlp-http-port", "--otlp-grpc-port"]
    given = [part for option, port in zip(options, ports, strict=True) for part in (option, str(port))]
    with open(folder / "receiver.log", "wb") as log:
        running = subprocess.Popen([program, *given], stdout=log, stderr=log, cwd=folder)
    receiver = RealReceiver(ports[1])
    try:
        for _ in range(300):
            try:
                receiver.got("traces")
                break
            except OSError:
                assert running.poll() is None, (folder / "receiver.log").read_text()
                time.sleep(0.1)
        yield receiver
    finally:
        running.terminate()
        running.wait(10)


Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> Answer:
    """Answer with this status."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def cut(request: BaseHTTPRequestHandler) -> None:
    """Cut the connection in the middle of the answer."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    request.wfile.flush()
    request.close_connection = True


def hang(request: BaseHTTPRequestHandler) -> None:
    """Say nothing until the other side gives up."""
    request.connection.settimeout(30)
    request.rfile.read(1)
    request.close_connection = True


def trickle(request: BaseHTTPRequestHandler) -> None:
    """Answer byte by byte, each in time, and never come to an end."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    try:
        while True:
            request.wfile.write(b"X-More: y\r\n")
            request.wfile.flush()
            time.sleep(0.05)
    except OSError:
        request.close_connection = True


TAKEN = says(200, kind="application/x-protobuf")


class Misbehaving:
    """A receiver that answers the first requests as it was told, and takes all others.

    `accepted` has the requests that it said it took, by signal, `headers` those of every request.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.script: list[Answer] = []
        self.accepted: dict[str, list[Any]] = {signal: [] for signal in REQUESTS}
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.limit = 0

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.accepted["traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def ids(self) -> Counter[bytes]:
        return Counter(span.trace_id + span.span_id for span in self.spans())


@contextmanager
def misbehaving(*script: Answer, tls: tuple[str, str] | None = None) -> Iterator[Misbehaving]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers.append(dict(self.headers.items()))
            receiver.paths.append(self.path)
            if receiver.limit and len(content) > receiver.limit:
                return says(413)(self)
            if receiver.script and (answer := receiver.script.pop(0)) is not TAKEN:
                return answer(self)
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            signal = self.path.rpartition("/")[2]
            receiver.accepted[signal].append(REQUESTS[signal].FromString(content))
            return TAKEN(self)

        def log_message(self, format: str, *values: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Misbehaving(server.server_address[1])
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the other side hung up
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        receiver.address = receiver.address.replace("http:", "https:")
    receiver.script = list(script)
    running = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    running.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        running.join(5)
