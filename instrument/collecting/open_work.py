"""What is still open when records are flushed, when the process forks and when it ends."""

from __future__ import annotations


class OpenWork:
    """Queries, calls and selections that have not ended. Here: none; the recording room knows its own."""

    def write_unmet(self) -> None:
        """Before a flush: write selections that never met their query."""

    def abandon(self) -> None:
        """At the end of the process: end everything as abandoned."""

    def identify(self) -> None:
        """Before a fork: fix the ids of open queries, which parent and child will both name."""

    def leave_to_parent(self) -> None:
        """In a forked child: leave everything to the parent."""
