"""Two nodes of Debian's ClickHouse (18.16, of 2018) with ZooKeeper, behind fronts that speak its older SQL to them.

It knows no DateTime64, LowCardinality, Bool, Map, codecs, comments or tokens, so each front says our statements with
what it knows; where a batch goes twice, it compares whole blocks instead of tokens. What stays as it is: ON CLUSTER,
the replicated engines, materialised views between them, Distributed.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from instrument.errors import StoreError
from instrument.store.clickhouse import rollups, schema
from instrument.store.clickhouse.client import Client

ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
USERS = Path("/etc/clickhouse-server/users.xml")

_OF_ROLL_UPS = f"agent-instrument {rollups.VERSION}"
_NAMES = ", ".join(f"'{name}'" for name in schema.TABLES)
_COMMENTED = f"if(name IN ({_NAMES}), 'agent-instrument {schema.VERSION}', '{_OF_ROLL_UPS}')"

_TYPES = (
    (re.compile(r" CODEC\((?:[^()]|\([^()]*\))*\)"), ""),
    (re.compile(r"DateTime64\(6, 'UTC'\)"), "DateTime('UTC')"),
    (re.compile(r"Map\(LowCardinality\(String\), \w+\)"), "String"),
    (re.compile(r"LowCardinality\(((?:[^()]|\([^()]*\))*)\)"), r"\1"),
    (re.compile(r"SimpleAggregateFunction\(sum, (Float64|UInt64)\)"), r"\1"),
    (re.compile(r"ReplicatedAggregatingMergeTree"), "ReplicatedSummingMergeTree"),
    (re.compile(r"`?\bBool\b`?"), "UInt8"),
    (re.compile(r" COMMENT '[^']*'"), ""),
    (re.compile(r"SELECT name, comment"), f"SELECT name, {_COMMENTED} AS comment"),
    (re.compile(r"parseDateTime64BestEffort\('([^']*)', 6\)"), r"parseDateTimeBestEffort('\1')"),
)
_REPLICATED = re.compile(r"TABLE IF NOT EXISTS (\w+)(.*ENGINE = Replicated\w+)")
_VIEWS = {
    "agents_minute": "SELECT toStartOfMinute(start_time) AS start, agent_type, host, {counted}, count() AS records"
    " FROM queries WHERE isNull(parent_id) GROUP BY start, agent_type, host",
    "calls_minute": "SELECT toStartOfMinute(start_time) AS start, `calls.kind` AS kind, `calls.name` AS name, host,"
    " {counted} FROM queries ARRAY JOIN `calls.kind`, `calls.name` GROUP BY start, kind, name, host",
}
_COUNTED = (
    "sum(weight) AS queries, sumIf(weight, status = 'error') AS failed,"
    " sumIf(weight, status = 'cancelled') AS cancelled, sum(toFloat64(duration_ns) * weight) AS total_ns,"
    " quantilesTDigestState(0.5, 0.95, 0.99)(toFloat64(duration_ns)) AS durations"
)
"""Simpler roll-ups by minute. The others need what it does not know; it has none."""
_UNKNOWN_THERE = tuple(each.name for each in rollups.ROLL_UPS if each.name not in _VIEWS)

_ABOUT = re.compile(r"(?:CREATE|ALTER|INSERT|DROP) (?:MATERIALIZED VIEW|TABLE|INTO) (?:IF (?:NOT )?EXISTS )?(\w+)")
_NO_COLUMN_OF_IT = ("metrics", "dropped", "problems")


def in_old_words(statement: str) -> str:
    """A statement of ours as the old server takes it."""
    for known, old in _TYPES:
        statement = known.sub(old, statement)
    if found := re.match(r"(CREATE MATERIALIZED VIEW .* TO (\w+)) AS ", statement):
        return f"{found[1]} AS {_VIEWS[found[2]].format(counted=_COUNTED)}"
    return _REPLICATED.sub(r"TABLE IF NOT EXISTS \1\2('/clickhouse/tables/{shard}/\1', '{replica}')", statement)


def _old_row(line: bytes) -> bytes:
    row: dict[str, Any] = json.loads(line)
    for name in _NO_COLUMN_OF_IT:
        row.pop(name, None)
    for name in ("start_time", "timestamp", "selection_time"):
        if row.get(name):
            row[name] = row[name][:19].replace("T", " ")
    return json.dumps({name: value for name, value in row.items() if value is not None}).encode()


class OldFront(BaseHTTPRequestHandler):
    """Takes what the shipper sends, and hands it on in older words."""

    protocol_version = "HTTP/1.1"
    node: Node

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = b"\n".join(map(_old_row, gzip.decompress(body).split(b"\n")))
        else:
            statement = body.decode()
            if (answer := _answered_here(statement)) is not None:
                return self._answer(200, answer)
            body = in_old_words(statement).encode()
        try:
            status, content = self.node.ask(body, given)
            if b"AS comment FROM system.tables" in body and b"agents_minute" in content:
                content = self._with_all(content)
            return self._answer(status, content)
        except OSError:
            self.close_connection = True
            return None

    def _with_all(self, content: bytes) -> bytes:
        names = [name for each in _UNKNOWN_THERE for name in (each, f"{each}_filling")]
        listed = json.loads(content)["data"] + [{"name": name, "comment": _OF_ROLL_UPS} for name in names]
        return json.dumps({"data": listed}).encode()

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def _answered_here(statement: str) -> bytes | None:
    """What the old server cannot be asked: types of columns, and anything about the other roll-ups."""
    if "FROM system.columns" in statement:
        columns = [
            {"table": name, "name": column, "type": kind.partition(" CODEC")[0], "default_kind": ""}
            for name, table in schema.TABLES.items()
            for column, kind in table.columns.items()
        ]
        return json.dumps({"data": columns}).encode()
    about = _ABOUT.match(statement)
    return b"" if about and about[1].removesuffix("_filling") in _UNKNOWN_THERE else None


class Node:
    """One server, which can be killed and started again, and its front."""

    def __init__(self, folder: Path, number: int, ports: dict[str, int], config: str) -> None:
        self.folder, self.ports = folder, ports
        folder.mkdir()
        (folder / "config.xml").write_text(config)
        (folder / "users.xml").write_text(USERS.read_text())
        self._known: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None
        kind = type(f"Front{number}", (OldFront,), {"node": self})
        self.front = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        threading.Thread(target=self.front.serve_forever, daemon=True).start()
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.front.server_address[1]}/default"

    def start(self) -> None:
        with open(self.folder / "out.txt", "ab") as out:
            command = ["clickhouse-server", f"--config-file={self.folder}/config.xml"]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder)
        _await(lambda: self.rows("SELECT 1 AS one") == [{"one": 1}], 60)
        self._known = {row["name"] for row in self.rows("SELECT name FROM system.settings")}

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def ask(self, body: bytes, given: dict[str, str]) -> tuple[int, bytes]:
        """What the server answers, asked with the settings that it knows."""
        known = {name: value for name, value in given.items() if name in self._known or name in ("database", "query")}
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=120)
        try:
            connection.request("POST", "/?" + urlencode(known), body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def rows(self, statement: str) -> list[dict[str, Any]]:
        client = Client(self.address)
        try:
            return client.rows(statement)
        finally:
            client.close()

    def run(self, statement: str) -> None:
        client = Client(self.address, timeout=200)
        try:
            client.run(statement)
        finally:
            client.close()

    def count(self, expression: str = "count()", table: str = "queries") -> int:
        return int(self.rows(f"SELECT {expression} AS n FROM {table}")[0]["n"])


class Cluster:
    """ZooKeeper and two nodes that are the cluster `agents`: replicas of one shard, or a shard each."""

    def __init__(self, folder: Path, *, shards: int) -> None:
        self.folder, self.nodes = folder, list[Node]()
        keeper, *rest = _free_ports(7)
        ports = [dict(zip(("http", "tcp", "between"), rest[first : first + 3], strict=True)) for first in (0, 3)]
        (folder / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={folder}/keeper\nclientPort={keeper}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n"
        )
        with open(folder / "keeper.txt", "wb") as out:
            main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            command = ["java", "-Xmx200m", "-cp", str(ZOOKEEPER), main, str(folder / "zoo.cfg")]
            self._keeper = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
        _await(lambda: _serves(keeper), 60)  # a node that starts before it is killed by its first ON CLUSTER
        replicas = [f"<replica><host>127.0.0.1</host><port>{each['tcp']}</port></replica>" for each in ports]
        grouped = replicas if shards == 2 else ["".join(replicas)]
        members = "".join(f"<shard><internal_replication>true</internal_replication>{each}</shard>" for each in grouped)
        for number, each in enumerate(ports):
            home = folder / f"node-{number}"
            shard = number if shards == 2 else 0
            self.nodes.append(Node(home, number, each, _config(home, each, keeper, members, shard, number)))

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
            node.front.shutdown()
            node.front.server_close()
        self._keeper.kill()
        self._keeper.wait(20)


def _config(home: Path, ports: dict[str, int], keeper: int, members: str, shard: int, replica: int) -> str:
    return f"""<yandex>
<logger><level>warning</level><log>{home}/log.txt</log><errorlog>{home}/errors.txt</errorlog></logger>
<http_port>{ports["http"]}</http_port><tcp_port>{ports["tcp"]}</tcp_port>
<interserver_http_port>{ports["between"]}</interserver_http_port>
<interserver_http_host>127.0.0.1</interserver_http_host><listen_host>127.0.0.1</listen_host>
<path>{home}/data/</path><tmp_path>{home}/tmp/</tmp_path><user_files_path>{home}/files/</user_files_path>
<users_config>users.xml</users_config><default_profile>default</default_profile>
<default_database>default</default_database><mark_cache_size>50000000</mark_cache_size>
<zookeeper><node><host>127.0.0.1</host><port>{keeper}</port></node>
<session_timeout_ms>4000</session_timeout_ms></zookeeper>
<macros><shard>{shard}</shard><replica>{replica}</replica></macros>
<remote_servers><agents>{members}</agents></remote_servers>
<distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
</yandex>
"""


def _serves(keeper: int) -> bool:
    with socket.create_connection(("127.0.0.1", keeper), 5) as connection:
        connection.sendall(b"srvr")
        return b"Mode:" in connection.recv(4096)


def _free_ports(number: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _await(holds: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, StoreError):
            pass
        assert time.monotonic() < end
        time.sleep(0.2)
