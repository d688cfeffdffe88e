"""From a finished row to one that may be stored: wall time, origin, size, what may be kept of its texts, sampling.

It runs on the writer's side, never in a call of the application, and changes rows in place. What may be kept of texts
is `policy.py`'s business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from instrument.clocks import wall_offset
from instrument.config import Config
from instrument.redaction.bounds import is_small_data
from instrument.redaction.policy import Texts
from instrument.redaction.variables import VariablesHash, process_key
from instrument.rows.as_records import hash_of
from instrument.rows.live import LiveCall, LiveQuery, Origin, RareQueryFields
from instrument.rows.stored import AnyQuery, CallRow, QueryRow, Row, SelectionRow, StandaloneCallRow, succeeded
from instrument.rows.totals import total_up

LARGEST_RESULT = 10_000
"""A result that is a container is measured up to this many items, all levels together; a larger one has no size."""

LARGEST_TEXT = 1_000_000
"""The same up to this many characters; and a text up to this many is encoded at once for its length."""

_PLAIN = (dict, list, tuple, set, frozenset)


def measured(value: Any) -> int | None:
    """The length in bytes of a result's JSON, or None for what has none or would take long."""
    if type(value) is int or value is None:
        return value
    if isinstance(value, _Number):
        value = value.value
    try:
        if type(value) is str:
            return _utf8_length(value)
        return len(msgspec.json.encode(value)) if is_small_data(value, LARGEST_RESULT, LARGEST_TEXT) else None
    except Exception:  # noqa: BLE001 - circular, deep or foreign data: it has no size, and that is all
        return None


def _utf8_length(text: str) -> int:
    """The length of a text in UTF-8, encoded in pieces, so that no other thread waits long."""
    pieces = range(0, len(text), LARGEST_TEXT)
    return sum(len(text[at : at + LARGEST_TEXT].encode("utf-8", "surrogatepass")) for at in pieces)


class _Number:
    """A result that is itself a number, so that it is not taken for its own size."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def size_later(value: Any) -> Any:
    """What to leave in `result_size` until `measured` sees it: plain data itself, None for what has no size.

    The type is asked, not the object: a lazy one would load what it stands for.
    """
    kind = type(value)
    if issubclass(kind, bytes):
        return bytes.__len__(value)
    if issubclass(kind, bytearray):
        return bytearray.__len__(value)
    if value is None:
        return 0
    if issubclass(kind, str):
        text = str.__str__(value)
        return len(text) if text.isascii() else text if len(text) > LARGEST_TEXT // 10 else _utf8_length(text)
    if issubclass(kind, (int, float)):
        return _Number(value)
    if issubclass(kind, (*_PLAIN, msgspec.Struct)) or hasattr(kind, "__dataclass_fields__"):
        return value
    return None


class Preparation:
    """One set of settings, applied to rows; made anew when they change, or after a fork.

    Rows are first claimed, under the collector's lock, and then finished, outside it: texts go through the
    application's own functions, which may take as long as they like, and take locks.
    """

    def __init__(
        self,
        config: Config,
        trouble: Callable[[str, BaseException], None],
        lose: Callable[[str, int], None],
        key: Callable[[], bytes] = process_key,
    ) -> None:
        self._config = config
        self._trouble = trouble
        self._lose = lose
        self._origin = Origin(_host(), os.getpid())
        self._texts = Texts(config, trouble)
        self._variables = VariablesHash(_key(config, key)) if config.hash_variables else None
        self._as_is, self._longest = self._texts.as_is, config.max_input_chars
        self._whole = (
            config.enable_tool_tracking and config.enable_entity_detection and config.enable_complexity_scoring
        )
        self._keep_below = int(config.sample_rate * 2**64)
        self._sampling = self._keep_below < 2**64
        self._slow = config.slow_query_threshold_ms * 1_000_000

    def claim(self, batch: Sequence[Row]) -> list[Row]:
        """Make rows the writer's own, each once; returns those that are to be stored, with their weights.

        A call that ends from now on finds its query written and gets a line of its own.
        """
        offset, origin, sampling = wall_offset(), self._origin, self._sampling
        kept: list[Row] = []
        for row in batch:
            if row.origin is not None:
                continue  # two threads ended it at once: one of them as abandoned, at the end of the process
            row.origin = origin
            if type(row) is LiveQuery:
                row.started = (row.started + offset) // 1000
                if sampling:
                    row.weight = self._weight(row.family or row.serial, row.status, row.duration)
                if row.more is None:
                    kept.append(row)
                elif row.weight:
                    kept.append(row if row.status != "abandoned" else _stored(row))
            elif self._stays(row):
                kept.append(row)
        return kept

    def finish(self, claimed: list[Row]) -> list[Row]:
        """Bring claimed rows into the shape in which they are stored; returns those where that worked."""
        finished: list[Row] = []
        as_is, longest = self._as_is and self._whole, self._longest
        known = {} if self._variables is None else self._variables.known
        for row in claimed:
            try:
                if type(row) is LiveQuery:
                    is_plain = (  # in line, for the many that are finished as they are
                        row.more is None and as_is and type(row.result_size) is int and len(row.user_input) <= longest
                    )
                    if is_plain:
                        for call in row.calls:
                            if call.more is not None:
                                is_plain = False
                                break
                            if (given := call.variables) is not None:
                                call.variables = known.get(given) or self._hash(given)
                    if not is_plain:
                        row = self._finish_query(row)
                elif type(row) is QueryRow:
                    row = self._finish_query(row)
                else:
                    self._finish_other(row)
                finished.append(row)
            except Exception as error:  # noqa: BLE001 - one odd row must not take its batch with it
                self._trouble("record", error)
                self._lose("unwritable", 1)
        return finished

    def _finish_query(self, row: AnyQuery) -> AnyQuery:
        if isinstance(row, LiveQuery) and (row.more is not None or any(call.more is not None for call in row.calls)):
            row = _stored(row)
        for call in row.calls:
            if call.variables is not None:
                call.variables = self._hash(call.variables)
        if type(row.result_size) is not int:
            row.result_size = measured(row.result_size)
        self._texts.of_query(row)
        if not self._whole:
            self._leave_out(row)
        return row

    def _finish_other(self, row: Row) -> None:
        if isinstance(row, StandaloneCallRow):
            row.message = self._texts.message(row.message)
            row.variables = self._hash(row.variables)
            self._texts.of_facts(row.facts)
        elif isinstance(row, SelectionRow):
            row.user_input, row.why = self._texts.input(row.user_input), self._texts.message(row.why, row.user_input)
            if not self._config.enable_complexity_scoring:
                row.score = None

    def _hash(self, variables: bytes | str | None) -> str | None:
        """What is stored of a call's variables; a hash, which an imported call has already, stays as it is."""
        if type(variables) is bytes:
            return None if self._variables is None else self._variables.of(variables)
        return hash_of(variables)

    def _stays(self, row: Row) -> bool:
        if not isinstance(row, StandaloneCallRow):
            return True
        if row.parent is None and self._sampling:
            row.weight = self._weight(int.from_bytes(os.urandom(8), "big"), row.status, row.duration)
        return self._config.enable_tool_tracking and row.weight > 0

    def _weight(self, number: int, status: str, duration: int) -> float:
        """What a row stands for: 1 when it is kept in any case, 1 / rate when it was drawn, 0 when it was not."""
        always = self._config.always_keep
        if ("errors" in always and not succeeded(status)) or ("slow" in always and duration > self._slow):
            return 1
        # Multiplying by 2**64 over the golden ratio spreads consecutive serials evenly (Knuth, TAOCP 3, 6.4).
        drawn = number * 0x9E3779B97F4A7C15 % 2**64 < self._keep_below
        return 1 / self._config.sample_rate if drawn else 0

    def _leave_out(self, row: AnyQuery) -> None:
        if not self._config.enable_tool_tracking:
            row.calls = []
        if not self._config.enable_entity_detection:
            row.entities = None
        if not self._config.enable_complexity_scoring and row.selection is not None:
            row.selection.score = None


def _stored(row: LiveQuery) -> QueryRow:
    """A query in its stored shape: a copy, of which the threads that ran it know nothing."""
    made = QueryRow(
        row.started, row.serial, row.agent, row.user_input, row.name, [_stored_call(call) for call in row.calls]
    )
    made.duration, made.result_size, made.origin = row.duration, row.result_size, row.origin
    if row.more is not None:
        for field in _SHARED:
            setattr(made, field, getattr(row.more, field))
    total_up(made, row.beside)
    return made


_SHARED = tuple(field for field in RareQueryFields.__struct_fields__ if field not in ("family", "beside"))


def _stored_call(call: LiveCall) -> CallRow:
    made = CallRow(call.name, call.begin, call.parent, call.duration, call.kind)
    made.variables = call.variables  # type: ignore[assignment]  # encoded, until `_finish_query` has hashed them
    if (more := call.more) is not None:
        made.status, made.error, made.passed_on = more.status, more.error, more.passed_on
        made.late, made.result_size = more.late, more.result_size
        made.facts = None if more.facts is None else more.facts.kept()
    return made


def _key(config: Config, of_store: Callable[[], bytes]) -> Callable[[], bytes]:
    """The key of the settings, which stores on several machines may share, else the store's own."""
    own = config.hash_key.encode("utf-8", "surrogatepass")
    return (lambda: own) if own else of_store


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
