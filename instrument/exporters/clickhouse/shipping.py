"""A store's records into ClickHouse, each exactly once, through kills, lost answers and restarts on either side.

A batch is fixed before it is sent: its bytes, its token and the cursor behind it are written to a file of the store.
Only when the server has it is that cursor registered, which also lets compaction go on. So there is never more than one
batch of which it is not known whether it arrived. Before that one is sent again, the server is asked which of its rows
are there. While the server still remembers the token, the whole batch goes again: what is there is not inserted twice,
and roll-ups that an interrupted insert did not reach are filled. Later, only the rows that are missing go.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from instrument.errors import StoreError
from instrument.exporters.clickhouse import forgetting, pending, retention
from instrument.exporters.clickhouse.rows import digest, rows
from instrument.exporters.delivery import Delivery
from instrument.exporters.shipping import Order, oldest_day
from instrument.files import write_file
from instrument.records import Record
from instrument.rows.decoding import decoded
from instrument.store import tail
from instrument.store.clickhouse import rollups, schema
from instrument.store.clickhouse.client import Client
from instrument.store.cursors import Registration

BATCH = 10_000
"""Records that go in one insert a table at most; some 4 MB of JSON, 400 kB gzipped."""

REMEMBERED_SECONDS = 300.0
"""How long a server surely remembers a batch's token; `schema.TOKENS` inserts would have to come meanwhile."""


class Batch(Struct):
    """A batch as it is written down: its token, the cursor behind it, and the gzipped rows of each table.

    `made` is when that was, in seconds since 1970; nothing was sent before.
    """

    token: str
    cursor: str
    records: int
    tables: dict[str, bytes] = field(default_factory=dict[str, bytes])
    made: float = 0.0

    @property
    def remembered(self) -> bool:
        """Whether a server that took the batch still knows its token."""
        return 0 <= time.time() - self.made < REMEMBERED_SECONDS


class Outcome(Struct):
    """How many records were shipped, in how many batches, and how often the server had to be asked again.

    `expired` is how many days were dropped there.
    """

    records: int = 0
    batches: int = 0
    again: int = 0
    expired: int = 0


_MADE = re.compile(r"CREATE (?:TABLE|MATERIALIZED VIEW) IF NOT EXISTS (\w+)")
_heads = msgspec.json.Decoder(dict[str, Any])
_batches = msgspec.msgpack.Decoder(Batch)


def prepare(client: Client, *, cluster: str | None = None) -> None:
    """Make the tables that are missing, and bring older ones up to date. Raises RefusedError, StoreError."""
    on = f" ON CLUSTER '{cluster}'" if cluster else ""
    engine = "ReplicatedReplacingMergeTree" if cluster else "ReplacingMergeTree"
    there = _tables(client)
    missing = rollups.drop_outdated(client, on)
    there -= {name for each in missing for name in (each.name, f"{each.name}_filling")}
    for statement in schema.statements(engine, on):
        made = _MADE.match(statement)
        if made is None or made[1] not in there:  # on a cluster each waits for every node, and one may be dead
            client.run(statement)
    rollups.rebuild(client, roll_ups=missing)
    found: dict[str, dict[str, str]] = {}
    described = "SELECT table, name, type, default_kind FROM system.columns WHERE database = currentDatabase()"
    for row in client.rows(described):
        found.setdefault(row["table"], {})[row["name"]] = row["type"]
    for name, table in schema.TABLES.items():
        for column, kind in table.columns.items():
            if column not in found.get(name, {}):
                client.run(f"ALTER TABLE {name}{on} ADD COLUMN IF NOT EXISTS `{column}` {kind}")
            elif _bare(found[name][column]) != _bare(kind):
                theirs = found[name][column]
                problem = (
                    f"column {column} of table {name} is {theirs} there, and {_bare(kind)} here; rename that table"
                )
                raise StoreError(client.name, problem)


def _tables(client: Client) -> set[str]:
    """The tables and views that are there. Raises StoreError for one of our names that this version cannot fill."""
    there: set[str] = set()
    for row in client.rows("SELECT name, comment FROM system.tables WHERE database = currentDatabase()"):
        there.add(row["name"])
        product, _, version = row["comment"].rpartition(" ")
        if row["name"] not in schema.TABLES:
            continue
        if product != "agent-instrument" or not version.isdigit():
            raise StoreError(client.name, f"table {row['name']} is not ours; ship to a database of its own")
        if int(version) > schema.VERSION:
            raise StoreError(client.name, f"a later version made table {row['name']}; update this one")
    return there


def _bare(kind: str) -> str:
    return kind.partition(" CODEC")[0].replace(" ", "")


def ship(
    directory: str | Path,
    address: str,
    *,
    follow: bool = False,
    cluster: str | None = None,
    keep_days: int | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Ship what the server does not have yet; with `follow` also what comes, until `stop` is set.

    With `keep_days`, older days are dropped there, whoever has shipped them: at the end, and daily while it follows.
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
                shipper.expire(keep_days)
        shipper.expire(keep_days)
    shipper.outcome.again = delivery.again
    return shipper.outcome


class _Shipper:
    def __init__(self, store: Path, client: Client, delivery: Delivery) -> None:
        self.client = client
        self.outcome = Outcome()
        self.registration = Registration(store, pending.name_of(client))
        self._pending = pending.file_of(store, client)
        self._delivery = delivery
        self._expired: date | None = None

    def ship(self, records: list[Record], cursor: str) -> None:
        """Write a batch down, send it, and register the place behind it."""
        token = digest(cursor)
        tables = {
            table: gzip.compress(b"\n".join(lines), compresslevel=1) for table, lines in rows(records, token).items()
        }
        batch = Batch(token, cursor, len(records), tables, time.time())
        self._write_down(batch)
        self._send(batch, known=False)

    def expire(self, keep_days: int | None) -> None:
        """Drop the days there that are older than so many, once a day."""
        oldest = oldest_day(keep_days)
        if keep_days is not None and oldest != self._expired:
            self.outcome.expired += self._delivery.tried(lambda: retention.drop_older(self.client, keep_days))
            self._expired = oldest

    def _write_down(self, batch: Batch) -> None:
        try:
            write_file(self._pending, [msgspec.msgpack.encode(batch)])
        except OSError as error:
            raise StoreError(self._pending, f"the batch cannot be written down: {error.strerror}") from None

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
        for table in list(batch.tables):
            self._delivery.tried(_Insert(self.client, batch, table, known=known))
            if known:  # so that each answer counts, however often the process dies
                del batch.tables[table]
                self._write_down(batch)
        self.registration.save(batch.cursor)
        self._pending.unlink(missing_ok=True)
        self.outcome.records += batch.records
        self.outcome.batches += 1


class _Insert:
    """One table's rows of a batch, sent when called; called again, or with `known`, they may be there already."""

    def __init__(self, client: Client, batch: Batch, table: str, *, known: bool) -> None:
        self._client, self._batch, self._table = client, batch, table
        self._known = known

    def __call__(self) -> None:
        body, token = self._batch.tables[self._table], self._batch.token
        if self._known:
            lines = gzip.decompress(body).split(b"\n")
            missing = self._missing(lines)
            if len(missing) < len(lines) and not self._batch.remembered:
                rest = b"\n".join(missing)
                body, token = gzip.compress(rest, compresslevel=1) if rest else b"", f"{token}-{digest(rest.decode())}"
        self._known = True
        if body:
            self._client.insert(self._table, body, f"{self._table}-{token}")

    def _missing(self, lines: list[bytes]) -> list[bytes]:
        """The rows that the server does not have; normally all of them, or none."""
        known_by, day = ("query_id" if self._table == "queries" else "record_id"), schema.TABLES[self._table].day
        heads = [decoded(line, _heads) for line in lines]
        ids = [str(head[known_by]) for head in heads]
        times = sorted(str(head[day]) for head in heads)
        quoted = ", ".join("'" + each.replace("\\", "\\\\").replace("'", "\\'") + "'" for each in ids)
        statement = (
            f"SELECT {known_by} AS id FROM {self._table} WHERE {known_by} IN ({quoted}) AND {day} BETWEEN"
            f" parseDateTime64BestEffort('{times[0]}', 6) AND parseDateTime64BestEffort('{times[-1]}', 6)"
        )
        there = {row["id"] for row in self._client.rows(statement, max_query_size=1 << 30, max_ast_elements=1 << 30)}
        return [line for line, each in zip(lines, ids, strict=True) if each not in there]


def ship_to(order: Order) -> str:
    """Ship as the order says; a sentence of what was done."""
    done = ship(
        order.directory,
        order.address,
        follow=order.follow,
        cluster=order.options.get("cluster"),
        keep_days=order.keep_days(),
        stop=order.stop,
        say=order.say,
    )
    expired = f" Dropped {done.expired:,} expired days." if done.expired else ""
    return f"Shipped {done.records:,} records in {done.batches:,} batches.{expired}"
