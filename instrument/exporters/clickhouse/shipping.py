"""A store's records into ClickHouse, each exactly once, through kills, lost answers and restarts on either side.

A batch is fixed before it is sent: its bytes, its token and the cursor behind it are written to a file of the store.
Only when the server has it is that cursor registered, which also lets compaction go on. So there is never more than one
batch of which it is not known whether it arrived. That one is sent again under the same token, which the server takes
for the same insert; and as a server remembers only so many tokens, it is first asked which rows of it are there.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from instrument.errors import StoreError
from instrument.exporters.clickhouse import forgetting
from instrument.exporters.clickhouse.rows import digest, rows
from instrument.exporters.delivery import Delivery
from instrument.exporters.shipping import Order
from instrument.files import write_file
from instrument.records import Record
from instrument.rows.decoding import decoded
from instrument.store import tail
from instrument.store.clickhouse import schema
from instrument.store.clickhouse.client import Client
from instrument.store.cursors import STATE, Registration

BATCH = 10_000
"""Records that go in one insert a table at most; some 4 MB of JSON, 400 kB gzipped."""


class Batch(Struct):
    """A batch as it is written down: its token, the cursor behind it, and the gzipped rows of each table."""

    token: str
    cursor: str
    records: int
    tables: dict[str, bytes] = field(default_factory=dict[str, bytes])


class Outcome(Struct):
    """How many records were shipped, in how many batches, and how often the server had to be asked again."""

    records: int = 0
    batches: int = 0
    again: int = 0


_heads = msgspec.json.Decoder(dict[str, Any])
_batches = msgspec.msgpack.Decoder(Batch)


def prepare(client: Client, *, cluster: str | None = None) -> None:
    """Make the tables that are missing, and bring older ones up to date. Raises RefusedError, StoreError."""
    on = f" ON CLUSTER '{cluster}'" if cluster else ""
    engine = "ReplicatedReplacingMergeTree" if cluster else "ReplacingMergeTree"
    _check_versions(client)
    for statement in schema.statements(engine, on):
        client.run(statement)
    found: dict[str, dict[str, str]] = {}
    described = "SELECT table, name, type, default_kind FROM system.columns WHERE database = currentDatabase()"
    for row in client.rows(described):
        found.setdefault(row["table"], {})[row["name"]] = row["type"]
    for name, table in schema.TABLES.items():
        for column, kind in table.columns.items():
            if column not in found.get(name, {}):
                client.run(f"ALTER TABLE {name}{on} ADD COLUMN IF NOT EXISTS `{column}` {kind}")
            elif _bare(found[name][column]) != _bare(kind):
                there = found[name][column]
                problem = f"column {column} of table {name} is {there} there, and {_bare(kind)} here; rename that table"
                raise StoreError(client.name, problem)


def _check_versions(client: Client) -> None:
    names = ", ".join(f"'{name}'" for name in schema.TABLES)
    statement = f"SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND name IN ({names})"
    for row in client.rows(statement):
        product, _, version = row["comment"].rpartition(" ")
        if product != "agent-instrument" or not version.isdigit():
            raise StoreError(client.name, f"table {row['name']} is not ours; ship to a database of its own")
        if int(version) > schema.VERSION:
            raise StoreError(client.name, f"a later version made table {row['name']}; update this one")


def _bare(kind: str) -> str:
    return kind.partition(" CODEC")[0].replace(" ", "")


def ship(
    directory: str | Path,
    address: str,
    *,
    follow: bool = False,
    cluster: str | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Ship what the server does not have yet; with `follow` also what comes, until `stop` is set.

    An error that may pass is said once and tried again, as `Delivery.tried` does. Raises StoreError when the server
    cannot be reached or refuses, and while another process ships there.
    """
    store, client, delivery = Path(directory), Client(address), Delivery(stop, say, follow=follow)
    shipper = _Shipper(store, client, delivery)
    with ExitStack() as held:
        held.callback(client.close)
        held.enter_context(shipper.registration.held())
        held.enter_context(delivery.until_stopped())
        delivery.tried(lambda: prepare(client, cluster=cluster))
        forgetting.remember(store, client)
        shipper.send_pending()
        follower = held.enter_context(tail.follow(store, shipper.registration.load(), wait=delivery.wait))
        for records in delivery.batches(follower, BATCH):
            if records:
                shipper.ship(records, follower.cursor.text)
            else:
                shipper.registration.touch()
    shipper.outcome.again = delivery.again
    return shipper.outcome


class _Shipper:
    def __init__(self, store: Path, client: Client, delivery: Delivery) -> None:
        self.client = client
        self.outcome = Outcome()
        self.registration = Registration(store, f"clickhouse-{digest(client.name)}")
        self._pending = store / STATE / "cursors" / f"clickhouse-{digest(client.name)}.batch"
        self._delivery = delivery

    def ship(self, records: list[Record], cursor: str) -> None:
        """Write a batch down, send it, and register the place behind it."""
        token = digest(cursor)
        tables = {
            table: gzip.compress(b"\n".join(lines), compresslevel=1) for table, lines in rows(records, token).items()
        }
        batch = Batch(token, cursor, len(records), tables)
        try:
            write_file(self._pending, [msgspec.msgpack.encode(batch)])
        except OSError as error:
            raise StoreError(self._pending, f"the batch cannot be written down: {error.strerror}") from None
        self._send(batch, known=False)

    def send_pending(self) -> None:
        """Send the batch of which it is not known whether it arrived; one that is behind us already is dropped."""
        try:
            batch = _batches.decode(self._pending.read_bytes())
        except FileNotFoundError:
            return
        except msgspec.DecodeError:
            raise StoreError(self._pending, "it is damaged; remove it, and its records may be shipped twice") from None
        registered = self.registration.load()
        if registered is not None and registered.text == batch.cursor:
            self._pending.unlink()
        else:
            self._send(batch, known=True)

    def _send(self, batch: Batch, *, known: bool) -> None:
        for table, body in batch.tables.items():
            insert = self._insert_missing if known else self._insert
            self._delivery.tried(partial(insert, table, body, batch.token))
        self.registration.save(batch.cursor)
        self._pending.unlink(missing_ok=True)
        self.outcome.records += batch.records
        self.outcome.batches += 1

    def _insert(self, table: str, body: bytes, token: str) -> None:
        self.client.insert(table, body, f"{table}-{token}")

    def _insert_missing(self, table: str, body: bytes, token: str) -> None:
        """Insert the rows of a batch that the server does not have; normally all of them, or none."""
        lines = gzip.decompress(body).split(b"\n")
        known_by, day = ("query_id" if table == "queries" else "record_id"), schema.TABLES[table].day
        heads = [decoded(line, _heads) for line in lines]
        ids = [str(head[known_by]) for head in heads]
        times = sorted(str(head[day]) for head in heads)
        quoted = ", ".join("'" + each.replace("\\", "\\\\").replace("'", "\\'") + "'" for each in ids)
        statement = (
            f"SELECT {known_by} AS id FROM {table} WHERE {known_by} IN ({quoted}) AND {day} BETWEEN"
            f" parseDateTime64BestEffort('{times[0]}', 6) AND parseDateTime64BestEffort('{times[-1]}', 6)"
        )
        there = {row["id"] for row in self.client.rows(statement, max_query_size=1 << 30, max_ast_elements=1 << 30)}
        missing = [line for line, each in zip(lines, ids, strict=True) if each not in there]
        if len(missing) == len(lines):
            self._insert(table, body, token)
        elif missing:
            rest = f"{token}-{digest(' '.join(sorted(there)))}"
            self._insert(table, gzip.compress(b"\n".join(missing), compresslevel=1), rest)


def ship_to(order: Order) -> str:
    """Ship as the order says; a sentence of what was done."""
    done = ship(
        order.directory,
        order.address,
        follow=order.follow,
        cluster=order.options.get("cluster"),
        stop=order.stop,
        say=order.say,
    )
    return f"Shipped {done.records:,} records in {done.batches:,} batches."
