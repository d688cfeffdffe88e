"""Plain clients of the live stream, and queries that are recorded while they watch."""

from __future__ import annotations

import json
import selectors
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instrument.rows.live import Origin
from instrument.rows.stored import QueryRow, new_serial
from instrument.sinks.segments import SegmentSink


def record(store: Path, number: int = 1, **fields: Any) -> list[QueryRow]:
    """Write queries that began just now, and let go of the segment."""
    sink = SegmentSink(store, now=time.time)
    made = written(sink, number, **fields)
    sink.close()
    return made


def written(sink: SegmentSink, number: int = 1, **fields: Any) -> list[QueryRow]:
    """Write queries that began just now through a sink."""
    made = []
    for _ in range(number):
        row = QueryRow(int(time.time() * 1e6), new_serial(), "billing", "a question", "answer", [])
        row.duration, row.origin = 1_500_000_000, Origin("web", 7)
        for name, value in fields.items():
            setattr(row, name, value)
        made.append(row)
    sink.write(made)
    return made


class Watchers:
    """So many connections to the stream of a page, each with what it was sent so far."""

    def __init__(self, address: str, number: int, path: str = "/queries") -> None:
        self._selector = selectors.DefaultSelector()
        self.sent = [bytearray() for _ in range(number)]
        parts = urlsplit(address)
        for place in range(number):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
            connection.sendall(f"GET /live?path={path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, place)

    def read(self, seconds: float) -> None:
        """Take what comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, 0.2)):
                assert isinstance(key.fileobj, socket.socket)
                self.sent[key.data] += key.fileobj.recv(1 << 20)

    def read_until(self, words: str, seconds: float = 20.0) -> int:
        """Take what comes until all have been sent these words; returns how many have."""
        end = time.monotonic() + seconds
        while self.have(words) < len(self.sent) and time.monotonic() < end:
            self.read(0.1)
        return self.have(words)

    def have(self, words: str) -> int:
        """How many have been sent these words."""
        wanted = json.dumps(words)[1:-1].encode()
        return sum(wanted in sent for sent in self.sent)

    def close(self) -> None:
        """Leave."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
