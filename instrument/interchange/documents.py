"""The files that sinks keep beside the store, metrics.json and metrics.csv: their entries, and some of them out of it.

They are rewritten as the sinks do it: under the same lock, whole, under a new file that takes the name.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec import Raw, Struct

from instrument.files import write_file
from instrument.interchange.formats import CSV_HEADER, JSON_CLOSING, JSON_MIDDLE, JSON_OPENING, restored


class Entry(NamedTuple):
    """An entry of such a file: its bytes, the query it is or belongs to, that one's parent, whether it is a query."""

    content: bytes
    query_id: str | None
    parent_id: str | None
    is_query: bool


class UnreadableError(Exception):
    """The file is no metrics.json."""


class _Ids(Struct):
    query_id: str | None = None
    parent_id: str | None = None


class _Document(Struct):
    queries: list[Raw]
    agent_selections: list[Raw] = []


_ids = msgspec.json.Decoder(_Ids)


def digest(content: bytes) -> str:
    """What an entry is recognised by without being written down."""
    return hashlib.blake2s(content, digest_size=16).hexdigest()


def entries(path: Path) -> Iterator[Entry]:
    """The entries of a metrics.json or metrics.csv; raises UnreadableError, and FileNotFoundError if there is none."""
    return _csv_entries(path) if _is_csv(path) else _json_entries(path)


def take_out(path: Path, goes: Callable[[Entry], bool]) -> int:
    """Take entries out of such a file beside its sinks, all of them or none; returns how many."""
    if not path.exists():
        return 0
    with _locked(path):
        try:
            kept = [not goes(entry) for entry in entries(path)]
        except UnreadableError:
            return 0
        if all(kept):
            return 0
        left = (entry for entry, stays in zip(entries(path), kept, strict=True) if stays)
        write_file(path, _csv_file(left) if _is_csv(path) else _json_file(left))
    return kept.count(False)


def _is_csv(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"[", b"")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep sinks out: a metrics.csv is locked itself, a metrics.json by a file beside it."""
    is_csv = _is_csv(path)
    while True:
        lock = path if is_csv else path.with_name(f".{path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not is_csv or os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield
                return
        finally:
            os.close(descriptor)


# -- metrics.json ----------------------------------------------------------------------------------------------------


def _json_entries(path: Path) -> Iterator[Entry]:
    with open(path, "rb") as stream:
        listed = _listed_by_line(stream) if _is_by_line(stream) else _listed_at_once(path)
        for content, is_query in listed:
            try:
                found = _ids.decode(content)
            except msgspec.DecodeError:
                found = _Ids()
            yield Entry(content, found.query_id, found.parent_id, is_query)


def _is_by_line(stream: BinaryIO) -> bool:
    """Whether an entry stands on a line of its own, as our sinks and exports write it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(JSON_CLOSING)))
    ours = stream.read() == JSON_CLOSING
    stream.seek(0)
    return stream.read(len(JSON_OPENING)) == JSON_OPENING and ours and stream.read(1) == b"\n"


def _listed_by_line(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    is_query = True
    ends = [each.strip() for each in JSON_MIDDLE.splitlines() if each]
    for line in stream:
        content = line.strip().removesuffix(b",")
        if content == ends[-1]:
            is_query = False
        elif content.startswith(b"{"):
            yield content, is_query


def _listed_at_once(path: Path) -> Iterator[tuple[bytes, bool]]:
    try:
        document = msgspec.json.decode(path.read_bytes() or b'{"queries": []}', type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableError from None
    for is_query, found in ((True, document.queries), (False, document.agent_selections)):
        for each in found:
            yield msgspec.json.format(bytes(each), indent=-1), is_query


def _json_file(left: Iterable[Entry]) -> Iterator[bytes]:
    yield JSON_OPENING
    separator, in_queries = b"\n", True
    for entry in left:
        if in_queries and not entry.is_query:
            yield JSON_MIDDLE
            separator, in_queries = b"\n", False
        yield separator + entry.content
        separator = b",\n"
    if in_queries:
        yield JSON_MIDDLE
    yield JSON_CLOSING


# -- metrics.csv -----------------------------------------------------------------------------------------------------


def _csv_entries(path: Path) -> Iterator[Entry]:
    with open(path, "rb") as stream:
        for content in _csv_records(stream):
            if content.strip() and not content.startswith(CSV_HEADER.split(b",")[0] + b","):
                cells = next(csv.reader([content.decode("utf-8", "replace")]), [])
                yield Entry(content, restored(cells[1]) if len(cells) > 1 else None, None, True)


def _csv_records(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, those joined that a quoted cell spans."""
    record = b""
    for line in stream:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record


def _csv_file(left: Iterable[Entry]) -> Iterator[bytes]:
    yield CSV_HEADER
    for entry in left:
        yield entry.content if entry.content.endswith(b"\n") else entry.content + b"\n"
