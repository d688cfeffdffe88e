"""What may go wrong on the way to ClickHouse: one clear line, and nothing is lost or counted twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from clickhouse_server import Server
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.errors import RefusedError, StoreError
from instrument.exporters.clickhouse import shipping
from instrument.rows.stored import Origin
from instrument.store.clickhouse.client import Client

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
ROLL_UPS = ("agents_minute", "agents_hour")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "clickhouse").start()
    yield started
    started.kill()


def _run(server: Server, *statements: str) -> None:
    client = Client(server.address)
    for statement in statements:
        client.run(statement)
    client.close()


def _hold_each_once(server: Server, queries: int) -> None:
    assert server.count() == server.count("uniqExact(query_id)") == queries
    for table in ROLL_UPS:
        assert server.count("sum(queries)", table) == queries


@pytest.mark.parametrize(
    "faults",
    [
        ("refuse=243",),  # its disk is full
        ("refuse=241",),  # its memory is
        ("refuse=252",),  # too many parts
        ("refuse=242",),  # a replica has lost its keeper
        ("refuse=241", "body"),  # said in the body of a 200
        ("cut",),
        ("lose=2",),
    ],
)
def test_what_passes_is_said_once_and_each_query_arrives_once(
    server: Server, tmp_path: Path, faults: tuple[str, ...]
) -> None:
    server.kill()
    server.start(*faults)
    store, said = tmp_path / "monitoring", list[str]()
    for part in range(3):
        write(store, [query(NOON + timedelta(hours=part), serial=SERIAL + part)], f"12{part}000-42-0badcafe.jsonl")
        outcome = shipping.ship(store, server.address, say=said.append)
        assert outcome.records == 1
    _hold_each_once(server, 3)
    assert len(said) == (1 if faults[0] != "lose=2" else len(said) or 1)
    assert all("nothing is lost" in line and "\n" not in line for line in said)


@pytest.mark.parametrize("code", [243, 252])
def test_a_server_that_stays_full_ends_a_single_run_in_one_line_and_loses_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("instrument.exporters.delivery.TRIES", 1)
    server.kill()
    server.start(f"refuse={code}")
    store = tmp_path / "monitoring"
    write(store, [query(serial=SERIAL + each) for each in range(5)])
    for _ in range(2):
        with pytest.raises(StoreError, match="something is full") as raised:
            shipping.ship(store, server.address)
        assert "\n" not in str(raised.value)
    assert server.count() == 0
    shipping.ship(store, server.address)
    _hold_each_once(server, 5)


def test_a_full_disk_here_ends_the_shipper_in_one_line_and_loses_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(serial=SERIAL + each) for each in range(5)])

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shipping, "write_file", full)
        with pytest.raises(StoreError, match="No space left on device"):
            shipping.ship(store, server.address)
    assert server.count() == 0
    shipping.ship(store, server.address)
    _hold_each_once(server, 5)


def test_one_batch_may_reach_over_more_days_than_the_server_takes_by_default(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(NOON - timedelta(days=day), serial=SERIAL + day) for day in range(250)])
    assert shipping.ship(store, server.address).batches == 1
    _hold_each_once(server, 250)


def test_machines_whose_clocks_differ_arrive_each_with_its_own_times(server: Server, tmp_path: Path) -> None:
    clocks = {"right": NOON, "ahead": NOON + timedelta(days=400), "reset": NOON.replace(year=1970, month=1, day=2)}
    for number, (host, clock) in enumerate(clocks.items()):
        rows = [query(clock, serial=SERIAL + 10 * number + each, origin=Origin(host, 7)) for each in range(5)]
        write(tmp_path / host, rows)
        shipping.ship(tmp_path / host, server.address)
        shipping.ship(tmp_path / host, server.address)
    _hold_each_once(server, 15)
    for host, clock in clocks.items():
        seconds = f"toUnixTimestamp(anyIf(start_time, host = '{host}'))"
        assert server.count(seconds) == int(clock.timestamp())


def test_two_machines_of_one_name_add_up(server: Server, tmp_path: Path) -> None:
    for machine in (1, 2):
        rows = [query(serial=SERIAL + 100 * machine + each, origin=Origin("box", 7)) for each in range(20)]
        write(tmp_path / f"machine-{machine}", rows)
        shipping.ship(tmp_path / f"machine-{machine}", server.address)
    _hold_each_once(server, 40)
    assert server.count("countIf(host = 'box')") == 40


def test_two_ways_to_write_an_address_are_one_target(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, random_rows(1, 20))
    assert shipping.ship(store, server.address).records >= 20
    assert shipping.ship(store, server.address.replace("http:", "clickhouse:")).records == 0
    assert shipping.ship(store, server.address.replace("//", "//default:secret@")).records == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("ALTER TABLE queries MODIFY COMMENT 'agent-instrument 99'", "a later version made table queries"),
        ("ALTER TABLE queries MODIFY COMMENT 'somebody else'", "table queries is not ours"),
        ("ALTER TABLE queries MODIFY COLUMN cost_usd Nullable(Float32)", r"cost_usd of table queries is Nullable"),
    ],
)
def test_a_table_that_this_version_cannot_fill_is_refused_before_anything_is_sent(
    server: Server, tmp_path: Path, change: str, problem: str
) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(serial=SERIAL)])
    shipping.ship(store, server.address)
    _run(server, change)
    write(store, [query(serial=SERIAL + 1)], "130000-42-0badcafe.jsonl")
    with pytest.raises(StoreError, match=problem) as raised:
        shipping.ship(store, server.address)
    assert "\n" not in str(raised.value)
    _hold_each_once(server, 1)


def test_the_words_of_an_exception_in_a_record_are_no_exception(server: Server, tmp_path: Path) -> None:
    """An agent may itself ask ClickHouse, and fail."""
    words = "Code: 241. DB::Exception: Memory limit\nCode: 60. DB::Exception: none"
    write(tmp_path / "monitoring", [query(user_input=words, serial=SERIAL)])
    shipping.ship(tmp_path / "monitoring", server.address)
    client = Client(server.address)
    assert client.rows("SELECT user_input FROM queries") == [{"user_input": words}]
    client.close()


@contextmanager
def answering(status: int, content: bytes, headers: dict[str, str]) -> Iterator[str]:
    """A server that answers everything the same."""

    class Same(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/agents"
        finally:
            server.shutdown()
            thread.join()


_PAGE = b"<!DOCTYPE html>\n<html><body>Sign in to the network</body></html>"


@pytest.mark.parametrize(
    ("status", "content", "headers", "problem", "passes"),
    [
        (200, _PAGE, {"Content-Type": "text/html"}, "answers with a page", False),
        (502, _PAGE, {"Content-Type": "text/html"}, "answers with a page", True),
        (302, b"", {"Location": "https://elsewhere/"}, "answered 302", False),
        (503, b"", {}, "answered 503", True),
        (200, b"Ok.\n", {}, "does not answer as ClickHouse does", False),
        (200, b"Code: 241. DB::Exception: Memory limit exceeded\n", {}, "Memory limit exceeded", True),
        (500, b"Code: 497. DB::Exception: metrics: Not enough privileges", {}, "the user may not do this", False),
        (404, b"Code: 81. DB::Exception: Database agents does not exist", {}, "there is no such database", False),
        (403, b"Code: 516. DB::Exception: Authentication failed", {}, "the user or the password is wrong", False),
    ],
)
def test_an_answer_that_is_no_success_is_one_line_and_says_whether_it_may_pass(
    status: int, content: bytes, headers: dict[str, str], problem: str, passes: bool
) -> None:
    with answering(status, content, headers) as address:
        client = Client(address)
        with pytest.raises(RefusedError, match=problem) as raised:
            client.rows("SELECT 1 AS one")
        client.close()
    assert raised.value.later is passes
    assert "\n" not in str(raised.value)
