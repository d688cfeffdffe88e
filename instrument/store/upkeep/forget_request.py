"""What is to be forgotten, and whether a line of the store or an entry of metrics.json belongs to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from instrument.interchange.metrics_json import KeptEntry
from instrument.rows.decoding import UnreadableError, decoded, decoded_freely
from instrument.rows.stored import derived_id

_NO_TEXT = frozenset(
    ("type", "s", "k", "o", "status", "kind", "start_time", "end_time", "timestamp", "host", "success", "process")
)
_FREE = frozenset(("attributes", "metrics", "more"))
_IDS = frozenset(("id", "parent", "query_id", "parent_id"))
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TORN = re.compile(rb'\{"t":(\d{1,18}),"i":(\d{1,19})\b')


class Head(Struct):
    """What of a line says which record it is, and where it belongs."""

    t: int | None = None
    d: int | None = None
    i: int | None = None
    id: str | None = None
    parent: str | None = None
    type: str | None = None

    @property
    def query_id(self) -> str | None:
        """The id of the query that the line is, None for any other line."""
        if self.type is not None or self.t is None:
            return None
        return self.id or derived_id(self.t, self.i or 0)


_heads = msgspec.json.Decoder(Head)


class Wanted:
    """Queries by their ids, and records by a text in them; what is inside such a query belongs to it.

    `ids` grow with every query that is found, so it takes as many looks at everything as queries are nested; `newest`
    is when the last record found ended, in µs since 1970.
    """

    def __init__(self, query_ids: Iterable[str], text: str | None) -> None:
        self.ids = set(query_ids)
        self.text = folded(text) if text else ""
        self.escaped = folded(msgspec.json.encode(text or "").decode()[1:-1])
        self.newest = 0

    def takes_line(self, line: bytes) -> Head | None:
        """The head of a line if it goes, an empty one if it is no record; None if it stays."""
        try:
            head = decoded(line, _heads)
        except UnreadableError:
            return Head() if self._takes_torn(line) else None
        own = head.query_id
        if not (own in self.ids or head.parent in self.ids or self._says(line)):
            return None
        if own is not None:
            self.ids.add(own)
        self.newest = max(self.newest, (head.t or 0) + (head.d or 0) // 1000)
        return head

    def takes_entry(self, entry: KeptEntry) -> bool:
        """Whether an entry of a file beside the store goes."""
        known = entry.query_id in self.ids or entry.parent_id in self.ids
        if not (known or self._says_entry(entry)):
            return False
        if entry.is_query and entry.query_id:
            self.ids.add(entry.query_id)
        return True

    def _says_entry(self, entry: KeptEntry) -> bool:
        if entry.content.startswith(b"{"):
            return self._says(entry.content)
        return bool(self.text) and self.text in folded(entry.content.decode("utf-8", "replace"))

    def _takes_torn(self, line: bytes) -> bool:
        begun = _TORN.match(line)
        if begun and derived_id(int(begun[1]), int(begun[2])) in self.ids:
            return True
        shown = folded(line.decode("utf-8", "replace"))
        return bool(self.text) and (self.text in shown or self.escaped in shown)

    def _says(self, line: bytes) -> bool:
        if not self.text:
            return False
        shown = folded(line.decode("utf-8", "replace"))
        if self.escaped not in shown and "\\u" not in shown and "\\/" not in shown:
            return False  # most lines: not worth taking apart
        try:
            return any(self.text in folded(text) for text in _texts(decoded_freely(line)))
        except UnreadableError:
            return True


def folded(text: str) -> str:
    """A text as it is compared: in small letters, composed."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def _texts(value: Any, free: bool = False) -> Iterator[str]:
    """Every text in a record that may be somebody's: all but ids of ours, states, hosts and the names of our fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, free)
    elif isinstance(value, dict):
        for key, item in value.items():
            if free:
                yield key
            if free or not (key in _NO_TEXT or (key in _IDS and isinstance(item, str) and _UUID.fullmatch(item))):
                yield from _texts(item, free or key in _FREE)
