"""Records arrive in ClickHouse, each exactly once, whatever dies in between."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from clickhouse_server import Server, follow
from clickhouse_soak import Soak
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.errors import StoreError, UsageError
from instrument.exporters.clickhouse import forgetting, shipping
from instrument.rows.stored import CallRow, StandaloneCallRow, id_of
from instrument.store.clickhouse.client import Client
from instrument.store.cursors import Registration
from instrument.store.upkeep.forget_request import Wanted

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")


def test_every_record_arrives_with_all_that_it_says(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    rows = random_rows(3, 500)
    late = query(serial=SERIAL - 5)
    rows += [late, StandaloneCallRow(late.started, "late", 5_000_000, parent=id_of(late))]
    write(store, rows)
    outcome = shipping.ship(store, server.address)
    assert outcome.records == len(rows)
    assert server.count() == server.count("uniqExact(query_id)") == 501
    assert server.count(table="late_calls") + server.count(table="selections") == len(rows) - 501
    from instrument.store.tables import open_store

    with open_store(store) as tables:
        for ours, theirs in (
            ("sum(duration_ns)", "sum(duration_ns)"),
            ("coalesce(sum(input_tokens), 0)", "sum(input_tokens)"),
            ("count(*) FILTER (status = 'error')", "countIf(status = 'error')"),
        ):
            assert server.count(theirs) == tables.rows(f"SELECT {ours} FROM queries")[0][0]
        [(calls,)] = tables.rows("SELECT count(*) FROM calls WHERE query_id IS NOT NULL")
    assert server.count("sum(length(`calls.name`))") + 1 == calls
    assert shipping.ship(store, server.address).records == 0
    assert server.count("sum(queries)", "agents_minute") == server.count("sumIf(weight, parent_id IS NULL)")


def test_a_lost_answer_doubles_nothing(server: Server, tmp_path: Path) -> None:
    server.kill()
    server.start("lose=2")
    store = tmp_path / "monitoring"
    for part in range(4):
        write(store, random_rows(part, 100, start=NOON + timedelta(hours=part), hours=1)[:100])
        for _ in range(10):  # until an answer comes through
            with suppress(StoreError):
                shipping.ship(store, server.address)
                break
    from instrument.store.tables import open_store

    with open_store(store) as tables:
        [(expected,)] = tables.rows("SELECT count(*) FROM queries")
    assert server.count() == server.count("uniqExact(query_id)") == expected
    assert server.count("sum(queries)", "agents_minute") == server.count("sumIf(weight, parent_id IS NULL)")


def test_kills_of_the_shipper_and_of_the_server_lose_and_double_nothing(server: Server, tmp_path: Path) -> None:
    chance, store, written = random.Random(5), tmp_path / "monitoring", 0
    shipper = follow(store, server)
    try:
        for round_ in range(10):
            rows = [
                query(NOON + timedelta(seconds=written + number), serial=SERIAL + written + number)
                for number in range(300)
            ]
            write(store, rows, f"12{round_:02d}00-42-0badcafe.jsonl")
            written += len(rows)
            time.sleep(chance.uniform(0.1, 1.2))
            if chance.random() < 0.7:
                shipper.kill()
                shipper.wait()
                shipper = follow(store, server)
            if chance.random() < 0.4:
                server.kill()
                time.sleep(0.3)
                server.start()
        _until(lambda: server.count("uniqExact(query_id)") == written)
    finally:
        shipper.kill()
        shipper.wait()
    shipping.ship(store, server.address)
    assert server.count() == server.count("uniqExact(query_id)") == written


def test_a_soak_of_kills_and_lost_answers_ends_with_each_query_once(tmp_path: Path) -> None:
    assert Soak(tmp_path, queries=20_000, kills=8, chance=random.Random(3)).run()


@pytest.mark.parametrize("cut_short", ["agents_day", "calls_minute"])
def test_a_roll_up_that_an_interrupted_insert_did_not_reach_is_filled_afterwards(
    server: Server, tmp_path: Path, cut_short: str
) -> None:
    store, calls = tmp_path / "monitoring", [CallRow("find_customers", 0, duration=1000)]
    write(store, [query(NOON + timedelta(hours=hour), serial=SERIAL + hour, calls=calls) for hour in range(24)])
    shipping.ship(store, server.address)
    write(store, [query(NOON + timedelta(hours=hour), serial=SERIAL + hour, calls=calls) for hour in range(24, 48)])
    client = Client(server.address)
    client.run(f"ALTER TABLE {cut_short} ADD CONSTRAINT full CHECK queries < 0")
    with pytest.raises(StoreError, match="full"):
        shipping.ship(store, server.address)
    assert server.count() == 48  # the rows arrived, the roll-up did not
    assert server.count("sum(queries)", cut_short) == 24
    client.run(f"ALTER TABLE {cut_short} DROP CONSTRAINT full")
    client.close()
    shipping.ship(store, server.address)
    assert server.count() == server.count("uniqExact(query_id)") == 48
    for table in ("agents_minute", "agents_day", "calls_minute", "calls_day"):
        assert server.count("sum(queries)", table) == 48


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_day_of_a_batch_that_is_missing_is_sent_again_and_no_other(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(NOON + timedelta(hours=hour), serial=SERIAL + hour) for hour in range(24)])
    with monkeypatch.context() as killed:  # between the server's answer and the cursor's file
        killed.setattr(Registration, "save", _die)
        with pytest.raises(KeyboardInterrupt):
            shipping.ship(store, server.address)
    assert server.count() == 24
    client = Client(server.address)
    client.run("ALTER TABLE queries DROP PARTITION '2026-03-11'")
    assert server.count() == 12
    if forgotten:  # the server remembers no token any more, and the batch is old
        monkeypatch.setattr(shipping, "REMEMBERED_SECONDS", 0.0)
        client.run("ALTER TABLE queries MODIFY SETTING non_replicated_deduplication_window = 0")
    client.close()
    shipping.ship(store, server.address)
    assert server.count() == server.count("uniqExact(query_id)") == 24
    if not forgotten:
        assert server.count("sum(queries)", "agents_minute") == 24


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt


def _until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_following_ends_when_told_to_and_a_dead_server_is_said_once(tmp_path: Path) -> None:
    store, said, stop = tmp_path / "monitoring", [], threading.Event()
    write(store, random_rows(1, 10))
    failed: list[StoreError] = []

    def run() -> None:
        try:
            shipping.ship(store, "http://127.0.0.1:9/default", follow=True, stop=stop, say=said.append)
        except StoreError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(2.5)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(said) == 1
    assert "nothing is lost" in said[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda address: address.replace("//", "//me:wrong@"), "the user or the password is wrong"),
        (lambda address: address.replace("/default", "/nowhere"), "there is no such database"),
        (lambda address: address.replace("http:", "ftp:"), "no address of ClickHouse"),
    ],
)
def test_what_is_wrong_with_an_address_is_one_line_without_its_password(
    server: Server, tmp_path: Path, change: Callable[[str], str], problem: str
) -> None:
    write(tmp_path / "monitoring", random_rows(1, 5))
    with pytest.raises((StoreError, UsageError), match=problem) as raised:
        shipping.ship(tmp_path / "monitoring", change(server.address))
    assert "wrong@" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_exception_in_the_body_of_a_200_is_an_error(server: Server, tmp_path: Path) -> None:
    server.kill()
    server.start("body")
    with pytest.raises(StoreError, match="no such database"):
        shipping.ship(tmp_path, server.address.replace("/default", "/nowhere"))


def test_a_column_that_was_added_since_is_added_and_a_foreign_table_refused(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, random_rows(1, 5))
    shipping.ship(store, server.address)
    client = Client(server.address)
    client.run("ALTER TABLE queries DROP COLUMN reasoning_tokens")
    client.run("ALTER TABLE queries ADD COLUMN theirs String")
    write(store, random_rows(2, 5), "130000-42-0badcafe.jsonl")
    assert shipping.ship(store, server.address).records >= 5
    assert "reasoning_tokens" in client.run("DESCRIBE TABLE queries FORMAT TSV")
    client.run("CREATE DATABASE other")
    client.run("CREATE TABLE other.queries (a Int64) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(StoreError, match="is not ours"):
        shipping.ship(store, server.address.replace("/default", "/other"))
    client.close()


def test_tables_that_are_there_are_not_made_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster each such statement waits for every node, so that a dead one would hold back all shippers."""
    write(tmp_path / "monitoring", random_rows(1, 5))
    shipping.ship(tmp_path / "monitoring", server.address)
    ran, run = list[str](), Client.run
    monkeypatch.setattr(
        Client, "run", lambda self, statement, **more: ran.append(statement) or run(self, statement, **more)
    )
    shipping.ship(tmp_path / "monitoring", server.address)
    assert ran
    assert not [statement for statement in ran if not statement.startswith("SELECT")]


def test_two_shippers_of_one_store_exclude_each_other(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, random_rows(1, 5))
    shipper = follow(store, server)
    try:
        _until(lambda: _count_or_none(server) == 5)
        with pytest.raises(StoreError, match="follows as"):
            shipping.ship(store, server.address)
    finally:
        shipper.send_signal(signal.SIGKILL)
        shipper.wait()


def _count_or_none(server: Server) -> int | None:
    try:
        return server.count()
    except StoreError:
        return None


def test_forgetting_reaches_what_was_shipped_and_what_is_inside_it(server: Server, tmp_path: Path) -> None:
    store, secret = tmp_path / "monitoring", "a question by Asha Rao"
    outer = query(user_input=secret, serial=SERIAL - 1)
    inner = query(user_input="find her bills", serial=SERIAL - 2, parent=id_of(outer))
    write(store, [*random_rows(1, 50), outer, inner])
    shipping.ship(store, server.address)
    before = server.count()
    wanted = Wanted([], "ASHA rao")
    assert forgetting.preview(store, wanted).total == 2
    assert server.count() == before
    assert forgetting.forget(store, Wanted([], "ASHA rao")).total == 2
    assert server.count() == before - 2
    assert server.count("countIf(position(user_input, 'Asha') > 0)") == 0
    server.kill()
    left = forgetting.forget(store, wanted).left
    assert list(left) == [server.address]
    assert "repeat the command" in left[server.address]


def test_forgetting_says_so_where_a_batch_may_still_bring_what_is_forgotten(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, secret = tmp_path / "monitoring", "a question by Asha Rao"
    write(store, [query(user_input=secret, serial=SERIAL - 1)])
    with monkeypatch.context() as killed:
        killed.setattr(Client, "insert", _die)
        with pytest.raises(KeyboardInterrupt):
            shipping.ship(store, server.address)
    monkeypatch.setattr(forgetting, "_ARRIVAL_SECONDS", 0.2)
    forgotten = forgetting.forget(store, Wanted([], "Asha"))
    assert forgotten.total == 0
    assert "still on its way" in forgotten.left[server.address]
    shipping.ship(store, server.address)
    forgotten = forgetting.forget(store, Wanted([], "Asha"))
    assert (forgotten.total, forgotten.left) == (1, {})
    assert server.count() == 0


def test_the_password_is_written_nowhere_and_read_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "monitoring"
    write(store, random_rows(1, 5))
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
    shipping.ship(store, server.address.replace("//", "//me@"))
    assert server.count() == 5
    assert all(b"secret" not in file.read_bytes() for file in store.rglob("*") if file.is_file())
