"""What this process could not keep, and what went wrong on our side: counted, and said once."""

from __future__ import annotations

import threading

from instrument import clocks
from instrument.redaction.rules import described
from instrument.rows.stored import HealthRow


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

    def take(self) -> HealthRow | None:
        """The counts as a row of the store, which then start from zero; None when there are none."""
        with self._lock:
            if not self:
                return None
            row = HealthRow(clocks.wall_ns() // 1000, self.dropped, self.problems)
            self.dropped, self.problems = {}, {}
            return row
