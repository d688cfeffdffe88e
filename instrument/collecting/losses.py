"""What this process could not keep, and what went wrong on our side: counted, and said once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from instrument import clocks
from instrument.redaction.rules import described
from instrument.rows.stored import HealthRow

if TYPE_CHECKING:
    from instrument.outside_counts import OutsideCounts

OUTSIDE_SECONDS = 10.0
"""How often counts are written again that a store refuses."""


class Losses:
    """Counts since the store last had them: records dropped by reason, problems by kind."""

    def __init__(self, lock: threading.RLock) -> None:
        self.begin_process(lock)

    def begin_process(self, lock: threading.RLock) -> None:
        """Start from zero, as a forked child does, under its own lock."""
        self._lock = lock
        self.dropped: dict[str, int] = {}
        self.problems: dict[str, int] = {}
        self.said: set[str] = set()
        self._outside: OutsideCounts | None = None
        self._outside_of = ""
        self._kept_at = 0.0

    def __bool__(self) -> bool:
        return bool(self.dropped or self.problems)

    def lose(self, reason: str, count: int) -> None:
        """Count records that could not be kept."""
        with self._lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def trouble(self, kind: str, error: BaseException, count: int = 1) -> None:
        """Count a failure of ours and say it once per kind; never raise."""
        with self._lock:
            first = kind not in self.said
            self.said.add(kind)
            self.problems[kind] = self.problems.get(kind, 0) + count
        if first:
            try:
                self._say(kind, described(error))
            except Exception:  # noqa: BLE001 - a log handler of the application's failed, or the interpreter is going
                return

    def _say(self, kind: str, problem: str) -> None:
        with self._lock:  # a fork waits for it: a child must not find a half-done import
            import logging
        logging.getLogger("instrument").warning(
            "%s: %s (said once; later ones are counted, see `metrics doctor`)", kind, problem
        )

    def keep_outside(self, directory: str, *, now: bool = False) -> str:
        """Keep what was dropped where readers of that store find it, as the store itself refuses it.

        At most every `OUTSIDE_SECONDS` unless `now`. Returns the path of the file, empty where nothing was written.
        """
        with self._lock:
            if not self.dropped or not (now or clocks.seconds() > self._kept_at + OUTSIDE_SECONDS):
                return ""
            from instrument.outside_counts import Counts, OutsideCounts

            self._kept_at = clocks.seconds()
            if self._outside is None or self._outside_of != directory:
                self.remove_outside()
                self._outside, self._outside_of = OutsideCounts(directory), directory
            counts = Counts(clocks.wall_ns() // 1000, self.dropped.copy(), self.problems.copy())
            outside = self._outside
        try:
            return outside.keep(counts)
        except OSError:
            return ""  # where even that fails, the log's line is all there is

    def remove_outside(self) -> None:
        """Take that back: the store has the counts now."""
        if self._outside is not None:
            self._outside.remove()

    def say_lost(self, kept: str) -> None:
        """Say at the end of the process what no store will ever have; `kept` is where the counts are, if anywhere."""
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.dropped.items())
        where = f"counted in {kept}, and so in `metrics doctor`" if kept else "counted nowhere else"
        try:
            import logging

            logging.getLogger("instrument").warning(
                "%d records could not be written (%s); %s", sum(self.dropped.values()), reasons, where
            )
        except Exception:  # noqa: BLE001 - a log handler of the application's failed, or the interpreter is going
            return

    def take(self) -> HealthRow | None:
        """The counts as a row of the store, which then start from zero; None when there are none."""
        with self._lock:
            if not self:
                return None
            row = HealthRow(clocks.wall_ns() // 1000, self.dropped, self.problems)
            self.dropped, self.problems = {}, {}
            return row
