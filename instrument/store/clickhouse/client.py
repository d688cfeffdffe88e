"""ClickHouse's plain HTTP protocol, by the standard library: statements, inserts, and what its answers mean."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from instrument.errors import RefusedError, UsageError

_CODE = re.compile(r"Code: (\d+)")
_EXCEPTION = re.compile(r"^Code: \d+[.,].*DB::Exception", re.MULTILINE)
"""An exception in the body; records may have such words, too, but none of their texts begins a line."""
_SECONDS = 60
_LATER = frozenset({3, 159, 164, 202, 203, 209, 210, 225, 241, 242, 243, 252, 319, 425, 999})
"""Codes of errors that pass by themselves: time-outs, memory, too many parts or queries, no space, no keeper."""
_IN_WORDS = {
    60: "a table is missing",
    81: "there is no such database; create it first: CREATE DATABASE …",
    192: "there is no such user",
    193: "the password is wrong",
    194: "the password is missing",
    497: "the user may not do this; grant CREATE, INSERT and SELECT on the database",
    516: "the user or the password is wrong",
}


class Client:
    """One database of one server: `http(s)://user:password@host:port/database`; `clickhouse://` is the same as http.

    A password that the address lacks is taken from the variable CLICKHOUSE_PASSWORD.
    Raises UsageError for an address that is none.
    """

    def __init__(self, address: str, timeout: float = _SECONDS) -> None:
        parts = urlsplit(address)
        secure = parts.scheme in ("https", "clickhouses")
        try:
            port = parts.port
        except ValueError:
            raise UsageError(f"{address} has a port that is none") from None
        if parts.scheme not in ("http", "https", "clickhouse", "clickhouses") or not parts.hostname:
            raise UsageError(f"{_shown(address)} is no address of ClickHouse; write http://user@host:8123/database")
        self.database = unquote(parts.path.strip("/")) or "default"
        self.name = f"{parts.scheme}://{parts.hostname}:{port or (8443 if secure else 8123)}/{self.database}"
        """The address without user and password, for people."""
        user = f"{parts.username}@" if parts.username else ""
        self.address = self.name.replace("://", f"://{user}", 1)
        """The address without the password, to come back to."""
        self._host, self._port, self._secure = parts.hostname, port or (8443 if secure else 8123), secure
        self._timeout = timeout
        self._headers = {"User-Agent": "agent-instrument"}
        if parts.username is not None:
            password = unquote(parts.password or "") or os.environ.get("CLICKHOUSE_PASSWORD", "")
            pair = f"{unquote(parts.username)}:{password}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._connection: http.client.HTTPConnection | None = None

    def run(self, statement: str, **settings: Any) -> str:
        """Run a statement; returns the body of the answer. Raises RefusedError."""
        return self.content(statement, **settings).decode("utf-8", "replace")

    def content(self, statement: str, **settings: Any) -> bytes:
        """The same, for a format that is no text."""
        return self._post(statement.encode(), {"wait_end_of_query": 1, **settings}, {})

    def rows(self, statement: str, **settings: Any) -> list[dict[str, Any]]:
        """The rows of a SELECT, each a dict."""
        answer = self.run(f"{statement} FORMAT JSON", output_format_json_quote_64bit_integers=0, **settings)
        try:
            found: list[dict[str, Any]] = json.loads(answer)["data"]
        except (ValueError, KeyError, TypeError):
            problem = "it does not answer as ClickHouse does; check host and port"
            raise RefusedError(self.name, problem) from None
        return found

    def insert(self, table: str, body: bytes, token: str) -> None:
        """Insert rows, gzipped JSON lines; the same token again inserts nothing. Raises RefusedError."""
        settings = {
            "query": f"INSERT INTO {table} FORMAT JSONEachRow",
            "insert_deduplication_token": token,
            "deduplicate_blocks_in_dependent_materialized_views": 1,
            "insert_deduplicate": 1,
            "date_time_input_format": "best_effort",
            "input_format_null_as_default": 1,
            "input_format_skip_unknown_fields": 0,
            "max_insert_block_size": 10_000_000,
            "max_partitions_per_insert_block": 0,
            "min_insert_block_size_rows": 0,
            "min_insert_block_size_bytes": 0,
            "input_format_parallel_parsing": 0,
            "async_insert": 0,
            "wait_end_of_query": 1,
        }
        self._post(body, settings, {"Content-Encoding": "gzip"})

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, settings: dict[str, Any], headers: dict[str, str]) -> bytes:
        path = "/?" + urlencode({"database": self.database, **settings})
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request("POST", path, body, {**self._headers, **headers})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise RefusedError(self.name, f"no answer ({_said(error)})", later=True) from None
        self._check(answer, content)
        return content

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def _check(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        """Raise RefusedError unless the answer is a success; an exception may stand in the body of a 200, too."""
        code = int(answer.getheader("X-ClickHouse-Exception-Code") or 0)
        text = content[-65536:].decode("utf-8", "replace")
        page = text.lstrip().startswith("<")
        if answer.status == 200 and not code and not _EXCEPTION.search(text[-4096:]) and not page:
            return
        if not code and (found := _CODE.search(text)):
            code = int(found[1])
        problem = _IN_WORDS.get(code) or _first_line(text) or f"it answered {answer.status}"
        if page:
            problem = f"it answers with a page, not as ClickHouse does (status {answer.status}); check host and port"
        later = code in _LATER or (not code and (answer.status >= 500 or answer.status in (408, 429)))
        raise RefusedError(self.name, problem, code=code, later=later)


def _shown(address: str) -> str:
    """An address without user and password, for messages."""
    return re.sub(r"//[^@/]*@", "//", address)


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return re.sub(r"^Code: \d+\. DB::Exception: ", "", line)[:300]
