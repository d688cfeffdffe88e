"""What recording has open, at a flush, at a fork and at the end of the process: what happens to it, in order."""

from __future__ import annotations

from instrument.collecting.collector import collector
from instrument.collecting.open_work import OpenWork
from instrument.recording import calls, queries, recursion, selections


class OpenRecords(OpenWork):
    """Open queries, calls outside any query, and selections that wait for their query."""

    def write_unmet(self) -> None:
        """Before a flush: write selections that never met their query, and end what had no room to end."""
        recursion.report_recursion()
        selections.write_all_unmet()

    def abandon(self) -> None:
        """At the end of the process: end everything as abandoned."""
        queries.abandon()
        calls.abandon()

    def identify(self) -> None:
        """Before a fork: fix the ids of open queries, which parent and child will both name."""
        queries.identify_open()

    def leave_to_parent(self) -> None:
        """In a forked child: leave everything to the parent."""
        selections.disown_waiting()
        queries.disown_open()
        calls.disown_open()


collector.open_work = OpenRecords()
