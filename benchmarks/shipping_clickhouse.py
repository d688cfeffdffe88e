"""What ClickHouse costs the shipper: queries of five calls a second of its CPU, from segments to the server's answer.

    python -m benchmarks.shipping_clickhouse

The server is a process of its own that takes everything, so that only the shipper's work counts: following, rows as
JSON, gzip, writing the batch down, HTTP. The best of several turns, each over a store of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from instrument.exporters.clickhouse.shipping import ship
from instrument.rows.stored import CallRow, Origin, QueryRow, encode_lines

QUERIES, TURNS = 20_000, 3
_MS = 1_000_000
_SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Everything(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b'{"data":[]}')

    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Everything)
print(server.server_port, flush=True)
server.serve_forever()
"""


def _query(number: int) -> QueryRow:
    calls = [CallRow("find_customers", place * _MS, duration=2 * _MS) for place in range(3)]
    calls += [CallRow("query Customers", place * _MS, duration=2 * _MS, kind="graphql") for place in (3, 4)]
    started = 1_773_000_000_000_000 + number
    return QueryRow(
        started, number, "simple", "unpaid bills", "Agent.answer", calls, duration=9 * _MS, origin=Origin("box", 4711)
    )


def main() -> None:
    """Measure and print."""
    content = encode_lines([_query(number) for number in range(QUERIES)])
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{int(server.stdout.readline())}/agents"
        best = max(_rate(content, address) for _ in range(TURNS))
    finally:
        server.kill()
        server.wait()
    print(f"{best:,.0f} queries a second of the shipper's CPU")


def _rate(content: bytes, address: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        segment = Path(folder, "2026-03-08", "120000-1-0badcafe.jsonl")
        segment.parent.mkdir()
        segment.write_bytes(content)
        begin = time.process_time()
        shipped = ship(folder, address).records
        taken = time.process_time() - begin
    assert shipped == QUERIES
    return shipped / taken


if __name__ == "__main__":
    main()
