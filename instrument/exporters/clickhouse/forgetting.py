"""A person's records out of the databases that a store has shipped to, by mutations that are waited for.

The roll-ups of the days concerned are worked out anew. Until that is done, reports read these days' records.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct, field

from instrument.errors import InstrumentError, StoreError
from instrument.exporters.clickhouse import pending
from instrument.files import make_directory, write_file
from instrument.rows.decoding import UnreadableError, decoded
from instrument.store.clickhouse import rollups
from instrument.store.clickhouse.client import Client
from instrument.store.cursors import STATE
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import Forgotten

_FILE = "databases.json"
_ARRIVAL_SECONDS = 3.0
"""How long forgetting waits for a batch that was read from the store before the records were taken out of it."""

_TEXTS = {
    "queries": (
        "user_input",
        "ifNull(error_message, '')",
        "attributes",
        "name",
        "ifNull(selection_reason, '')",
        "arrayStringConcat(entities_detected, '\\n')",
        "arrayStringConcat(arrayMap(each -> ifNull(each, ''), `calls.error_message`), '\\n')",
        "arrayStringConcat(arrayMap(each -> ifNull(each, ''), `calls.input`), '\\n')",
        "arrayStringConcat(arrayMap(each -> ifNull(each, ''), `calls.output`), '\\n')",
        "arrayStringConcat(`calls.name`, '\\n')",
    ),
    "late_calls": ("name", "ifNull(error_message, '')", "ifNull(input, '')", "ifNull(output, '')"),
    "selections": ("user_input", "ifNull(selection_reason, '')"),
}
"""The expressions over each table in which a text of somebody's may stand."""

_WHOLE = {"max_query_size": 1 << 30, "max_ast_elements": 1 << 30, "max_expanded_ast_elements": 1 << 30}


class Databases(Struct):
    """The addresses, without passwords, that a store has shipped to."""

    addresses: list[str] = field(default_factory=list[str])


_databases = msgspec.json.Decoder(Databases)


def remember(store: Path, client: Client) -> None:
    """Write down that a store ships there, so that forgetting finds the way."""
    known = _known(store)
    if client.address not in known.addresses:
        make_directory(store / STATE, inside=True)
        known.addresses.append(client.address)
        write_file(store / STATE / _FILE, [msgspec.json.encode(known)])


def _known(store: Path) -> Databases:
    try:
        return decoded((store / STATE / _FILE).read_bytes(), _databases)
    except FileNotFoundError:
        return Databases()
    except UnreadableError:
        raise StoreError(
            store / STATE / _FILE, "it is damaged; remove it, and ship once more to write it anew"
        ) from None


def preview(directory: str | Path, wanted: Wanted) -> Forgotten:
    """Count what `forget` would take out of the databases, and change nothing."""
    return _through(Path(directory), wanted, change=False)


def forget(directory: str | Path, wanted: Wanted) -> Forgotten:
    """Take what is wanted out of every database that the store has shipped to; `left` names what was not reached."""
    return _through(Path(directory), wanted, change=True)


def _through(store: Path, wanted: Wanted, *, change: bool) -> Forgotten:
    done = Forgotten()
    for address in _known(store).addresses:
        client = Client(address)
        try:
            on_its_way = change and not pending.arrived(store, client, _ARRIVAL_SECONDS)
            if found := _take(client, wanted, change=change):
                done.entries[client.name] = found
            if on_its_way:
                done.left[client.name] = "a batch of records is still on its way there; ship, then repeat the command"
        except InstrumentError as error:
            done.left[client.name] = f"it could not be looked into ({error}); repeat the command when it can be"
        finally:
            client.close()
    return done


def _take(client: Client, wanted: Wanted, *, change: bool) -> int:
    """Look again until no query is added by what is inside another, then delete; returns how many rows."""
    while True:
        known = len(wanted.ids)
        condition = _condition("queries", wanted)
        statement = f"SELECT query_id FROM queries WHERE {condition} OR {_among('parent_id', wanted)}"
        wanted.ids |= {row["query_id"] for row in client.rows(statement, **_WHOLE)}
        if len(wanted.ids) == known:
            break
    total = 0
    for table in _TEXTS:
        condition = _condition(table, wanted)
        total += int(client.rows(f"SELECT count() AS n FROM {table} WHERE {condition}", **_WHOLE)[0]["n"])
        if change:
            client.run(f"ALTER TABLE {table} DELETE WHERE {condition}", mutations_sync=2, **_WHOLE)
    if change:
        rollups.rebuild(client, [day.name for day in rollups.days(client) if not day.is_right])
    return total


def _condition(table: str, wanted: Wanted) -> str:
    conditions = [_among("query_id", wanted)]
    if wanted.text:
        text = _quoted(wanted.text)
        conditions += [f"positionCaseInsensitiveUTF8({each}, {text}) > 0" for each in _TEXTS[table]]
    return f"({' OR '.join(conditions)})"


def _among(column: str, wanted: Wanted) -> str:
    return f"ifNull({column}, '') IN ({', '.join(map(_quoted, sorted(wanted.ids)))})" if wanted.ids else "false"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
