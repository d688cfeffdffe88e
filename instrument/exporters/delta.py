"""A lake as a Delta table, too: a log beside the files says which of them belong to it.

No file is written twice: the log names the same files that the lake has, partitioned by day and host. What the log
lacks, or says with another size, is added again; what is gone is removed. So repeating is harmless, a shipper may be
killed between a file and the log, and machines that commit at once do not disturb each other.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Collection
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from instrument.errors import UsageError
from instrument.rows import columns
from instrument.store.lake import Lake, reached

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field
    from deltalake.transaction import AddAction

PARTITIONS = ["day", "host"]

TRIES = 8
"""How often a change is worked out anew and committed where other machines commit at the same time."""

_EXTRA = "a Delta table needs the delta extra: pip install 'agent-instrument[delta]'"


def check() -> None:
    """Raise UsageError unless the package that writes Delta's log is there."""
    try:
        import deltalake  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(_EXTRA) from None


def bring_up_to_date(lake: Lake, own: Collection[str]) -> int:
    """Make the table say what the lake has of the keys in `own`; returns how many files were added or removed.

    A file that is gone from the lake leaves the table, whoever had shipped it. Raises UsageError without the extra,
    StoreError when the lake cannot be reached.
    """
    check()
    from deltalake.exceptions import DeltaError

    with reached(lake.address):
        for _ in range(TRIES - 1):
            with suppress(DeltaError):  # another machine has committed meanwhile
                return _reconcile(lake, own)
            time.sleep(random.uniform(0.1, 1))
        return _reconcile(lake, own)


def _reconcile(lake: Lake, own: Collection[str]) -> int:
    from deltalake import DeltaTable
    from deltalake.transaction import RemoveAction

    options = _storage_options(lake)
    shipped = sorted(key for key in lake.files() if key in own)
    if shipped:
        table = _opened(lake, shipped[-1], options)
    elif DeltaTable.is_deltatable(lake.address, storage_options=options):
        table = DeltaTable(lake.address, storage_options=options)
    else:
        return 0
    known = _known(table)
    sizes, now = _sizes(lake), int(time.time() * 1000)  # after the table, so that what it names was there to be listed
    actions: list[Any] = [_added(lake, key, sizes[key]) for key in shipped if known.get(key) != sizes.get(key)]
    actions += [RemoveAction(key, True, now) for key in known if key not in sizes]
    if actions:
        table.create_write_transaction(actions, "append", table.schema(), PARTITIONS)
    return len(actions)


def _sizes(lake: Lake) -> dict[str, int]:
    """The size of each file below the lake's address, by its key."""
    lake.filesystem.invalidate_cache()
    depth = len(lake.root) + 1
    found: dict[str, Any] = dict(lake.filesystem.find(lake.root, detail=True))
    return {path[depth:]: int(facts["size"]) for path, facts in found.items()}


def _opened(lake: Lake, key: str, options: dict[str, str]) -> DeltaTable:
    """The table, made where there is none; with the columns that a file has, and an earlier version had not."""
    from deltalake import DeltaTable, Field, Schema
    from deltalake.schema import PrimitiveType

    fields = [*_fields(lake, key), Field("day", PrimitiveType("date")), Field("host", PrimitiveType("string"))]
    table = DeltaTable.create(
        lake.address, Schema(fields), mode="ignore", partition_by=PARTITIONS, storage_options=options
    )
    there = {field.name for field in table.schema().fields}
    if new := [field for field in fields if field.name not in there]:
        table.alter.add_columns(new)
    return table


def _fields(lake: Lake, key: str) -> list[Field]:
    import duckdb as whole_package  # noqa: F401  # gives connections their relations
    from arro3.core import RecordBatchReader
    from deltalake import Schema

    with closing(lake.connection()) as connection:
        statement = f"SELECT * FROM {columns.read_compacted([lake.url(key)])} LIMIT 0"
        return list(Schema.from_arrow(RecordBatchReader.from_stream(connection.sql(statement)).schema).fields)


def _known(table: DeltaTable) -> dict[str, int]:
    """The size that the table says of each of its files."""
    from arro3.core import Table

    actions = Table.from_arrow(table.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))


def _added(lake: Lake, key: str, size: int) -> AddAction:
    from deltalake.transaction import AddAction

    with closing(lake.connection()) as connection:
        statement = f"SELECT sum(num_rows) FROM parquet_file_metadata({columns.paths([lake.url(key)])})"
        [(rows,)] = connection.execute(statement).fetchall()
    day, host, _ = key.split("/", 2)
    values = {"day": day.partition("=")[2], "host": host.partition("=")[2]}
    stats = {"numRecords": int(rows)}
    return AddAction(key, size, values, 0, True, json.dumps(stats))


def _storage_options(lake: Lake) -> dict[str, str]:
    """What Delta's package does not find out by itself of an S3 server of one's own."""
    options: dict[str, str] = {}
    if lake.address.startswith("s3:"):
        if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            options["AWS_ALLOW_HTTP"] = "true"
        if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            options["AWS_REGION"] = "us-east-1"
    return options
