"""A receiver of OTLP over HTTP: one request, and what its answer means."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from instrument._version import __version__
from instrument.clocks import wall_seconds
from instrument.errors import RefusedError
from instrument.exporters.otlp import wire
from instrument.exporters.otlp.settings import Target, shown

_MOST_ANSWER = 1 << 16
"""Bytes of an answer that are read."""

TOO_LARGE = 413
"""The code of a refusal of which less at once may succeed."""

_LATER = frozenset({408, 429, 500, 502, 503, 504})
_IN_WORDS = {
    400: "it takes the data for malformed",
    401: "it wants credentials; set OTEL_EXPORTER_OTLP_HEADERS, as in authorization=Bearer%20TOKEN",
    403: "the credentials may not send there; check OTEL_EXPORTER_OTLP_HEADERS",
    404: "there is no such path; check the address",
    405: "that path takes no POST; check the address",
    415: "it does not take protobuf",
    TOO_LARGE: "a single record is too large for it",
}


class Receiver:
    """One address that takes one signal; the connection stays open between requests. Use it from one thread."""

    def __init__(self, target: Target) -> None:
        self.name = shown(target.address)
        self._target = target
        self._connection: http.client.HTTPConnection | None = None

    def send(self, content: bytes) -> str:
        """Send one request; returns what the receiver says of it, mostly nothing.

        Raises RefusedError unless the receiver says that it took it.
        """
        headers = {
            "User-Agent": f"agent-instrument/{__version__}",
            **self._target.headers,
            "Content-Type": "application/x-protobuf",
        }
        if self._target.gzip:
            content = gzip.compress(content, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        kept_alive = self._connection is not None
        try:
            try:
                answer, body = self._post(content, headers)
            except (ConnectionError, http.client.RemoteDisconnected):
                if not kept_alive:
                    raise
                answer, body = self._post(content, headers)  # the receiver closed a connection that had been idle
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RefusedError(self.name, f"no answer ({_said(error)})", later=True) from None
        return self._understood(answer, body)

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, content: bytes, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        parts = urlsplit(self._target.address)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            if self._connection is None:
                self._connection = self._connect()
            with _within(self._connection, self._target.timeout):
                self._connection.request("POST", path, content, headers)
                answer = self._connection.getresponse()
                body = answer.read(_MOST_ANSWER)
                if answer.length and len(body) < _MOST_ANSWER:
                    raise http.client.IncompleteRead(body, answer.length)
        except BaseException:
            self.close()
            raise
        if not answer.isclosed():
            self.close()
        return answer, body

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._target.address)
        host, wait = parts.hostname or "", self._target.timeout
        if self._target.tls is not None:
            return http.client.HTTPSConnection(host, parts.port, timeout=wait, context=self._target.tls)
        return http.client.HTTPConnection(host, parts.port, timeout=wait)

    def _understood(self, answer: http.client.HTTPResponse, body: bytes) -> str:
        status, kind = answer.status, (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        if 200 <= status < 300:
            if kind == "text/html" or body.lstrip()[:1] == b"<":
                problem = "it answers with a page, not as a receiver of OTLP does; check host, port and path"
                raise RefusedError(self.name, problem, code=status, later=True)
            return _partial(_unpacked(answer, body), kind)
        if 300 <= status < 400:
            problem = f"it sends us elsewhere ({status} to {answer.getheader('Location')}); use that address"
            raise RefusedError(self.name, problem, code=status)
        words = _IN_WORDS.get(status) or ("it is overloaded" if status == 429 else "it cannot take anything now")
        said = "" if kind == "text/html" else _message_in(_unpacked(answer, body), kind)
        problem = f"{words} ({status}{f': {said}' if said else ''})"
        later = status in _LATER or status > 504
        wait = _retry_after(answer.getheader("Retry-After")) if later else 0
        raise RefusedError(self.name, problem, code=status, later=later, wait=wait)


@contextmanager
def _within(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut a connection off after so long as a whole: a socket's own limit begins anew with each byte that comes."""

    too_long = threading.Event()

    def cut() -> None:
        too_long.set()
        if connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if too_long.is_set():  # not the other side's doing
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
    if too_long.is_set():  # what has come may look whole
        raise TimeoutError


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _retry_after(text: str | None) -> float:
    """The seconds that a header asks for: a number, or a time."""
    if not text:
        return 0
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_seconds())
    except ValueError:
        return 0


def _unpacked(answer: http.client.HTTPResponse, body: bytes) -> bytes:
    if answer.getheader("Content-Encoding", "").lower() == "gzip":
        with suppress(OSError, EOFError, zlib.error):
            return gzip.decompress(body)
    return body


def _partial(body: bytes, kind: str) -> str:
    """What an Export…ServiceResponse says of records that were not taken, or else has to say."""
    if kind == "application/json":
        return ""
    try:
        for number, partial in wire.fields(body):
            if number != 1 or not isinstance(partial, bytes):
                continue
            found = dict(wire.fields(partial))
            rejected, said = found.get(1, 0), found.get(2, b"")
            reason = _line(said) if isinstance(said, bytes) else ""
            if isinstance(rejected, int) and rejected:
                return f"it did not take {rejected} of them" + (f": {reason}" if reason else "")
            return reason
    except ValueError:
        return ""
    return ""


def _message_in(body: bytes, kind: str) -> str:
    """The message of the `Status` in an answer, or the first line of a plain one."""
    if kind == "application/x-protobuf":
        try:
            said = dict(wire.fields(body)).get(2, b"")
        except ValueError:
            return ""
        return _line(said) if isinstance(said, bytes) else ""
    return "" if body.lstrip()[:1] == b"<" else _line(body)


def _line(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip().partition("\n")[0][:200]
