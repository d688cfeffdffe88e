"""ClickHouse's HTTP protocol over the engine in process: `python clickhouse_front.py FOLDER PORT [FAULT …]`.

Faults, for tests: `lose=N` answers nothing to every Nth insert, though it is done; `body` reports errors in a 200;
`refuse=CODE` refuses the first two inserts with that error; `cut` breaks the connection in the middle of the first two;
`unread=CODE` refuses what groups, as a server does whose disk or memory is full while it reads.
"""

from __future__ import annotations

import base64
import gzip
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

PASSWORD = "secret"
_OURS = ("database", "query", "wait_end_of_query")


_one_at_a_time = threading.Lock()


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    session: Any
    faults: dict[str, str]
    inserts = 0

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query))
        insert, length = given.get("query", "").startswith("INSERT"), int(self.headers.get("Content-Length", 0))
        Front.inserts += insert
        if insert and "cut" in self.faults and Front.inserts <= 2:
            self.rfile.read(length // 2)
            self.close_connection = True
            return None
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        user = self.headers.get("Authorization", "").removeprefix("Basic ")
        if user and base64.b64decode(user).decode().partition(":")[2] != PASSWORD:
            return self._answer(403, b"Code: 516. DB::Exception: default: Authentication failed", 516)
        if insert and (refused := self.faults.get("refuse")) and Front.inserts <= 2:
            said = f"Code: {refused}. DB::Exception: Cannot go on: something is full. (FULL) (version 26.9.2.1)"
            return self._answer(200 if "body" in self.faults else 500, said.encode(), int(refused))
        if (refused := self.faults.get("unread")) and b"GROUP BY" in body:
            said = f"Code: {refused}. DB::Exception: Cannot reserve 1.00 MiB in file cache: not enough space. (FULL)"
            return self._answer(200 if "body" in self.faults else 500, said.encode(), int(refused))
        try:
            with _one_at_a_time:
                content = self._run(given, body)
        except Exception as error:
            code = int(found[1]) if (found := re.search(r"Code: (\d+)", str(error))) else 1
            return self._answer(200 if "body" in self.faults else 500, str(error).encode(), code)
        if insert and (every := int(self.faults.get("lose", 0))) and Front.inserts % every == 0:
            self.close_connection = True
            return None
        return self._answer(200, content, 0)

    def _run(self, given: dict[str, str], body: bytes) -> bytes:
        self.session.query(f"USE {given.get('database', 'default')}")
        settings = {name: value for name, value in given.items() if name not in _OURS}
        if statement := given.get("query"):
            chosen = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
            statement = statement.replace(" FORMAT ", f" SETTINGS {chosen} FORMAT ") if chosen else statement
            return bytes(self.session.query(f"{statement}\n{body.decode()}").bytes() or b"")
        for name, value in settings.items():
            self.session.query(f"SET {name} = '{value}'")
        return bytes(self.session.query(body.decode()).bytes() or b"")

    def _answer(self, status: int, content: bytes, code: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-ClickHouse-Query-Id", "front")
        if code and "body" not in self.faults:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""


def main() -> None:
    folder, port, *faults = sys.argv[1:]
    Front.session = Session(folder)
    Front.faults = dict(each.partition("=")[::2] for each in faults)
    server = Server(("127.0.0.1", int(port)), Front)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
