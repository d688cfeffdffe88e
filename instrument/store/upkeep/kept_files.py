"""The files that sinks keep beside the store, metrics.json and metrics.csv: their entries, and some of them out of it.

They are rewritten as the sinks do it: under the same lock, whole, under a new file that takes the name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from instrument.files import write_file
from instrument.interchange import metrics_csv, metrics_json
from instrument.interchange.json_values import DAMAGED, MARK
from instrument.interchange.metrics_json import KeptEntry


class UnreadableError(Exception):
    """The file is no metrics.json."""


def digest(content: bytes) -> str:
    """What an entry is recognised by without being written down."""
    return hashlib.blake2s(content, digest_size=16).hexdigest()


def entries(path: Path) -> Iterator[KeptEntry]:
    """The entries of a metrics.json or metrics.csv; raises UnreadableError, and FileNotFoundError if there is none."""
    if _is_csv(path):
        yield from (KeptEntry(content, query_id, None, True) for content, query_id in metrics_csv.kept_lines(path))
        return
    try:
        yield from metrics_json.kept_entries(path)
    except DAMAGED:
        raise UnreadableError from None


def take_out(path: Path, goes: Callable[[KeptEntry], bool]) -> int:
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
        is_csv = _is_csv(path)
        write_file(
            path, metrics_csv.rewritten(each.content for each in left) if is_csv else metrics_json.rewritten(left)
        )
    return kept.count(False)


def _is_csv(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(1024).removeprefix(MARK).lstrip()[:1] not in (b"{", b"[", b"")


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
