"""Days that are too old, out of a database: whole partitions, which is quick and rewrites nothing."""

from __future__ import annotations

from datetime import date

from instrument.exporters.shipping import oldest_day
from instrument.store.clickhouse import rollups, schema
from instrument.store.clickhouse.client import Client


def drop_older(client: Client, keep_days: int) -> int:
    """Drop records older than so many days, and roll-ups of months before that; returns how many days of queries went.

    Days are UTC; of this machine's clock and the server's, the earlier one says which day it is. Roll-ups are
    partitioned by month, and have no texts of anybody. Raises RefusedError.
    """
    [row] = client.rows(f"SELECT toString(toDate(now('UTC')) - {min(keep_days, 20_000)}) AS oldest")
    oldest = min(date.fromisoformat(row["oldest"]), oldest_day(keep_days) or date.min)
    return sum(
        _drop(client, table, partition) for table, partition in _parts(client) if partition < _bound(table, oldest)
    )


def _parts(client: Client) -> list[tuple[str, str]]:
    statement = "SELECT DISTINCT table, partition FROM system.parts WHERE active AND database = currentDatabase()"
    return sorted((str(row["table"]), str(row["partition"])) for row in client.rows(statement))


def _bound(table: str, oldest: date) -> str:
    """The first partition of a table that stays; "" for a table that is not ours."""
    if table in schema.TABLES:
        return oldest.isoformat()
    return f"{oldest:%Y%m}" if table in {each.name for each in rollups.ROLL_UPS} else ""


def _drop(client: Client, table: str, partition: str) -> bool:
    client.run(f"ALTER TABLE {table} DROP PARTITION '{partition}'")
    return table == "queries"
