"""What the shell offers when somebody presses Tab: names out of the store. Whatever goes wrong offers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from instrument.errors import InstrumentError

if TYPE_CHECKING:
    from instrument.store.tables import Tables

_MOST = 200


def agents(context: typer.Context, incomplete: str) -> list[str]:
    """The agents there are."""
    return _offered(
        context, lambda tables: _column(tables, "SELECT DISTINCT agent_type FROM queries ORDER BY ALL"), incomplete
    )


def query_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of the newest queries."""
    newest = "SELECT query_id FROM queries WHERE starts_with(query_id, $begin) ORDER BY started_us DESC LIMIT 50"
    return _offered(context, lambda tables: _column(tables, newest, {"begin": incomplete}), incomplete)


def filters(context: typer.Context, incomplete: str) -> list[str]:
    """The names that a filter may begin with."""
    from instrument.analysis.filters import names

    return _offered(context, lambda tables: (f"{name}=" for name in names(tables)), incomplete)


def zones(incomplete: str) -> list[str]:
    """The time zones there are."""
    from zoneinfo import available_timezones

    return [name for name in ("local", "UTC", *sorted(available_timezones())) if name.startswith(incomplete)][:_MOST]


def integrations(incomplete: str) -> list[str]:
    """The integrations there are, each after those that the list has already."""
    from instrument.integrations import known

    named, comma, begun = incomplete.rpartition(",")
    taken = named.split(",")
    return [f"{named}{comma}{name}" for name in sorted(known(())) if name.startswith(begun) and name not in taken]


def _column(tables: Tables, statement: str, parameters: dict[str, str] | None = None) -> list[str]:
    return [str(value) for (value,) in tables.rows(statement, parameters)]


def _offered(context: typer.Context, found: Callable[[Tables], Iterable[str]], incomplete: str) -> list[str]:
    from instrument.store.tables import open_store
    from instrument_cli.commands.arguments import settings

    source = context.params.get("source") or context.params.get("directory")
    with suppress(InstrumentError, OSError), open_store(settings(source).directory) as tables:
        return [value for value in found(tables) if value.startswith(incomplete)][:_MOST]
    return []
