"""Tables of any columns as CSV: what a list of queries or an answer in SQL is written as.

Text that a spreadsheet would run as a formula is neutralised, as in metrics.csv; lists of texts are joined with commas;
what has more inside is JSON; nothing is an empty cell; times are RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

_FORMULA = re.compile("'*[=+@\t\r-]")
_RESTORABLE = re.compile("'+[=+@\t\r-]")


def joined(entities: Iterable[str]) -> str:
    """Names as one text with commas between; a comma or backslash within a name has a backslash in front."""
    return ",".join(re.sub(r"([\\,])", r"\\\1", entity) for entity in entities)


def parted(text: str) -> list[str]:
    """The names that `joined` put into one text; others' commas part names, too."""
    if not text:
        return []
    parts = re.findall(r"(?:^|,)((?:\\[\\,]|[^,])*)", text)
    return [re.sub(r"\\([\\,])", r"\1", part) for part in parts]


def neutralised(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe in front of what would be a formula, or already has one there."""
    return "'" + text if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """The text before it was neutralised."""
    return text[1:] if _RESTORABLE.match(text) else text


def document(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """The lines of a CSV file with these columns and rows, the names first."""
    yield _line(map(cell, names))
    for row in rows:
        yield _line(map(_value, row))


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return in_quotes(neutralised(joined(value)))
    return cell(msgspec.json.encode(value, enc_hook=str).decode())


def time_text(time: datetime) -> str:
    """A time as records have it; one without a zone is UTC."""
    moment = time if time.tzinfo is None else time.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def cell(text: str) -> str:
    """A text as a cell, neutralised, in quotes where it needs them."""
    text = neutralised(text)
    quoted = re.search('[",\r\n]', text) or text != text.strip()
    return in_quotes(text) if quoted else text


def in_quotes(text: str) -> str:
    """A text in quotes."""
    return '"' + text.replace('"', '""') + '"'
