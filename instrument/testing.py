"""What was recorded, as plain lists, for the tests of applications.

with capture() as captured:
    agent.process_query("unpaid bills")
assert captured.queries[0].success
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from instrument.collecting.collector import collector
from instrument.recording.selections import write_all_unmet
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows import as_records, stored, totals
from instrument.rows.live import LiveCall
from instrument.rows.stored import AnyQuery, Row, SelectionRow, StandaloneCallRow


class Captured:
    """The records made so far, as they would have been stored, in the order in which they ended."""

    def __init__(self, rows: list[Row]) -> None:
        self._raw = rows
        self._rows: list[Row] = []

    @property
    def queries(self) -> list[QueryRecord]:
        """Every query that has ended, with its calls."""
        rows = self._prepared()
        late = [row for row in rows if isinstance(row, StandaloneCallRow) and row.parent]
        return [as_records.query_record(_with_late(row, late)) for row in rows if isinstance(row, AnyQuery)]

    @property
    def calls(self) -> list[CallRecord]:
        """Calls that had no query."""
        rows = self._prepared()
        return [
            as_records.loose_call_record(row) for row in rows if isinstance(row, StandaloneCallRow) and not row.parent
        ]

    @property
    def selections(self) -> list[SelectionRecord]:
        """Every selection: those of queries, then those that met none."""
        alone = [as_records.selection_record(row) for row in self._prepared() if isinstance(row, SelectionRow)]
        return [query.selection for query in self.queries if query.selection is not None] + alone

    def _prepared(self) -> list[Row]:
        if self._raw:
            rows = self._raw[:]
            del self._raw[: len(rows)]
            self._rows += collector.prepared(rows)
        return self._rows


def _with_late(row: AnyQuery, late: list[StandaloneCallRow]) -> AnyQuery:
    """The query with the calls that ended after it was taken."""
    query_id = stored.id_of(row)
    calls: list[Any] = row.calls
    for line in late:
        if line.parent != query_id:
            continue
        if line.place is None:
            begin = (line.started - row.started) * 1000
            calls.append(LiveCall(line.name, begin, None, 0, line.kind))
            line.place = len(calls) - 1
        call = calls[line.place]
        call.duration, call.status, call.error, call.late = line.duration, line.status, line.error, line.late
        call.facts, call.variables = line.facts, line.variables or call.variables
        totals.add_late(row, line.facts)
    return row


@contextmanager
def capture() -> Iterator[Captured]:
    """Capture what this process records instead of storing it; nothing is written."""
    rows = collector.capture()
    try:
        yield Captured(rows)
    finally:
        write_all_unmet()
        collector.release(rows)
