"""From a finished row to one that may be stored: wall time, origin, size, what may be kept of its texts, sampling.

It runs on the writer's side, never in a call of the application, and changes rows in place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from instrument._rows import LooseCallRow, Origin, QueryRow, Row, SelectionRow, succeeded
from instrument.config import Config
from instrument.redaction import hashed, redactor

LARGEST_RESULT = 10_000
"""A result that is a container is measured up to this many items; a longer one has no size."""

_PLAIN = (dict, list, tuple, set, frozenset)


def wall_offset() -> int:
    """Nanoseconds to add to the monotonic clock to have the time since 1970."""
    return time.time_ns() - time.perf_counter_ns()


def measured(value: Any) -> int | None:
    """The length in bytes of a result's JSON, or None for what has none or would take long."""
    if type(value) is int or value is None:
        return value
    if isinstance(value, _Number):
        value = value.value
    try:
        if isinstance(value, _PLAIN) and len(value) > LARGEST_RESULT:
            return None
        return len(msgspec.json.encode(value))
    except Exception:  # noqa: BLE001 - circular, deep or foreign data: it has no size, and that is all
        return None


class _Number:
    """A result that is itself a number, so that it is not taken for its own size."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def size_later(value: Any) -> Any:
    """What to leave in `result_size` until `measured` sees it: plain data itself, None for what has no size."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, (int, float)):
        return _Number(value)
    if isinstance(value, (*_PLAIN, msgspec.Struct)) or hasattr(type(value), "__dataclass_fields__"):
        return value
    return None


class Preparation:
    """The settings applied to rows; made anew when they change, or after a fork."""

    def __init__(self, config: Config, trouble: Callable[[str, BaseException], None]) -> None:
        import socket

        self._config = config
        self._trouble = trouble
        self._origin = Origin(socket.gethostname(), os.getpid())
        self._redactor = redactor(config)
        self._longest = config.max_input_chars
        self._plain = self._redactor is None and config.capture_input == "full"
        self._whole = (
            config.enable_tool_tracking and config.enable_entity_detection and config.enable_complexity_scoring
        )
        self._keep_below = int(config.sample_rate * 2**64)
        self._slow = config.slow_query_threshold_ms * 1_000_000

    def rows(self, batch: Sequence[Row]) -> list[Row]:
        """Prepare a batch in place and return what of it is to be stored."""
        offset = wall_offset()
        kept: list[Row] = []
        for row in batch:
            if type(row) is QueryRow:
                self._query(row, offset)
                if row.weight:
                    kept.append(row)
            elif self._other(row):
                kept.append(row)
        return kept

    def _query(self, row: QueryRow, offset: int) -> None:
        row.started = (row.started + offset) // 1000
        row.origin = self._origin
        if type(row.result_size) is not int:
            row.result_size = measured(row.result_size)
        text = row.user_input
        if not self._plain or len(text) > self._longest:
            row.user_input = self._input(text)
        if row.message or row.attributes or row.selection:
            self._texts(row)
        if self._keep_below < 2**64:
            row.weight = self._weight(row.family or row.serial, succeeded(row.status), row.duration)
        row.family = 0
        if not self._whole:
            self._leave_out(row)

    def _texts(self, row: QueryRow) -> None:
        if row.message:
            row.message = self._text(row.message)
        if row.attributes:
            row.attributes = {
                key: self._text(value) if isinstance(value, str) else value for key, value in row.attributes.items()
            }
        if row.selection is not None:
            if row.selection.user_input is not None:
                row.selection.user_input = self._input(row.selection.user_input)
            if row.selection.why:
                row.selection.why = self._text(row.selection.why)

    def _other(self, row: Row) -> bool:
        row.origin = self._origin
        if isinstance(row, LooseCallRow):
            if not self._config.enable_tool_tracking:
                return False
            if row.message:
                row.message = self._text(row.message)
            if row.parent is None and self._keep_below < 2**64:
                row.weight = self._weight(int.from_bytes(os.urandom(8), "big"), succeeded(row.status), row.duration)
            return row.weight > 0
        if isinstance(row, SelectionRow):
            row.user_input = self._input(row.user_input)
            row.why = self._text(row.why) if row.why else row.why
            if not self._config.enable_complexity_scoring:
                row.score = None
        return True

    def _weight(self, number: int, success: bool, duration: int) -> float:
        """What a row stands for: 1 when it is kept in any case, 1 / rate when it was drawn, 0 when it was not."""
        always = self._config.always_keep
        if ("errors" in always and not success) or ("slow" in always and duration > self._slow):
            return 1
        # Multiplying by 2**64 over the golden ratio spreads consecutive serials evenly (Knuth, TAOCP 3, 6.4).
        drawn = number * 0x9E3779B97F4A7C15 % 2**64 < self._keep_below
        return 1 / self._config.sample_rate if drawn else 0

    def _input(self, text: str) -> str:
        if self._config.capture_input == "none" or not text:
            return ""
        if self._config.capture_input == "hash":
            return hashed(text, self._config.hash_key)
        return self._text(text)

    def _text(self, text: str) -> str:
        if self._redactor is not None:
            try:
                text = str(self._redactor(text))
            except Exception as error:  # noqa: BLE001 - a user's function: whatever it raises, the text is not kept
                self._trouble("redaction", error)
                return ""
        return text if len(text) <= self._longest else text[: self._longest]

    def _leave_out(self, row: QueryRow) -> None:
        if not self._config.enable_tool_tracking:
            row.calls = []
        if not self._config.enable_entity_detection:
            row.entities = None
        if not self._config.enable_complexity_scoring and row.selection is not None:
            row.selection.score = None
