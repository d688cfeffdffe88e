"""The tables of a store with only the records that somebody asked for, so that no figure needs to know of filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.store.tables import Tables


class PickedTables(Tables):
    """The queries for which a condition holds, their calls and their selections; `health` is that of the whole store.

    `queries` is an SQL condition over `queries`. `inside` is one over `calls` and `selections` alike; without one, they
    are looked up by their query's id. Calls and selections outside any query are left out.
    """

    is_picked = True

    def __init__(self, whole: Tables, queries: str, parameters: dict[str, Any], inside: str | None = None) -> None:
        self._whole, self._condition, self._parameters = whole, queries, parameters
        self.whole = whole.whole
        self.connection = whole.cursor()
        self.skipped_files, self.skipped = whole.skipped_files, whole.skipped
        self.compacted = whole.compacted
        self.weighted, self.kinds = whole.weighted, whole.kinds
        # A view takes no parameters, but it reads variables, which only this cursor has.
        for name, value in parameters.items():
            self.rows(f"SET VARIABLE {name} = $value", {"value": value})
            variable = f"getvariable('{name}')"
            queries = queries.replace(f"${name}", variable)
            inside = None if inside is None else inside.replace(f"${name}", variable)
        if inside is None:
            self.rows(f"CREATE TEMP TABLE picked AS SELECT query_id FROM {self.whole}.queries WHERE {queries}")
            inside = "query_id IN (SELECT query_id FROM picked)"
        for table, condition in (("queries", queries), ("calls", inside), ("selections", inside)):
            self.rows(f"CREATE TEMP VIEW {table} AS SELECT * FROM {self.whole}.{table} WHERE {condition}")

    def keep(self) -> str:
        """Keep the ids of these queries in a table that every cursor of the store sees; returns its name."""
        name = f"picked_{id(self)}"
        self.rows(f"CREATE OR REPLACE TABLE {self.whole}.{name} AS SELECT query_id FROM queries")
        return f"{self.whole}.{name}"

    def records(self, condition: str = "true", parameters: dict[str, Any] | None = None) -> Iterator[QueryRecord]:
        """The queries among these that a further condition picks, by start."""
        return self._whole.records(f"({self._condition}) AND ({condition})", self._parameters | (parameters or {}))

    def loose_selections(self) -> Iterator[SelectionRecord]:
        """None: what belongs to no query is not picked."""
        return iter(())

    def loose_calls(self) -> Iterator[CallRecord]:
        """None, likewise."""
        return iter(())
