"""The figures of the store as OTLP's metrics: totals since the first record that was counted.

They are what `/metrics` shows, by the same table of names and the same counting. The totals and the place in the store
up to which they go stand in one file, replaced whole, so that after a kill they fit each other. Totals may be sent
twice: a receiver takes the later ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.clocks import wall_ns
from instrument.config import Config
from instrument.errors import StoreError
from instrument.exporters.names import ATTRIBUTES, Metric
from instrument.exporters.otlp import requests, wire
from instrument.exporters.otlp.ids import query_span, trace_of
from instrument.exporters.prometheus.counting import Counting
from instrument.exporters.prometheus.families import Distribution, Exemplar, Family, Kept, Sum
from instrument.exporters.prometheus.row_facts import Waiting
from instrument.files import make_directory, reason, write_file
from instrument.rows.decoding import UnreadableError, decoded
from instrument.store.cursors import STATE
from instrument.store.stored_records import AnyRow

VERSION = 1
_CUMULATIVE = 2
_DAMAGED = "the totals are damaged; remove the file, and they begin anew with what comes"


class _Saved(Struct):
    """What must outlive the process: when the totals began (ns since 1970), the place they go up to, the series."""

    version: int
    began: int
    cursor: str
    families: dict[str, Kept]
    waiting: dict[str, Waiting] = {}
    said: dict[str, int] = {}


_saved = msgspec.json.Decoder(_Saved)


class Totals:
    """Totals of what goes to one receiver. `cursor` is the place up to which they go; empty before anything."""

    def __init__(self, directory: Path, name: str, config: Config) -> None:
        """Go on from where the totals of that name were saved. Raises StoreError when they cannot be read."""
        self._file = directory / STATE / f"{name}.json"
        self._counting = Counting(config)
        self._began = 0
        self.cursor = ""
        try:
            content = self._file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(self._file, f"the totals cannot be read: {reason(error)}") from None
        self._restore(content)

    def _restore(self, content: bytes) -> None:
        try:
            known = decoded(content, _saved)
        except UnreadableError:
            raise StoreError(self._file, _DAMAGED) from None
        if known.version != VERSION:
            raise StoreError(self._file, f"another version wrote the totals (their format is {known.version})")
        for name, kept in known.families.items():
            if name in self._counting.families:
                self._counting.families[name].restore(kept)
        self._counting.waiting, self._counting.said = known.waiting, known.said
        self._counting.restored()
        self._began, self.cursor = known.began, known.cursor

    def add(self, rows: list[AnyRow], since_us: int) -> None:
        """Count rows, the earliest of which is of that time."""
        self._began = self._began or since_us * 1000
        self._counting.add(rows, wall_ns() / 1e9)

    def save(self, cursor: str) -> None:
        """Write the totals and the place up to which they go, whole or not at all. Raises StoreError."""
        families = {name: family.kept() for name, family in self._counting.families.items() if family.series}
        kept = _Saved(VERSION, self._began, cursor, families, self._counting.waiting, self._counting.said)
        try:
            make_directory(self._file.parent, inside=True)
            write_file(self._file, [msgspec.json.encode(kept)])
        except OSError as error:
            raise StoreError(self._file, f"the totals cannot be saved: {reason(error)}") from None

    def request(self, resource: bytes) -> bytes:
        """The message ExportMetricsServiceRequest with every series as it is now; empty when there is none."""
        now = wall_ns()
        self._counting.settle(now / 1e9)
        found = [_metric(family, self._began, now) for family in self._counting.families.values() if family.series]
        return requests.under(resource, found) if found else b""


def _metric(family: Family, began: int, now: int) -> bytes:
    """The message Metric with a point for each series."""
    metric = family.metric
    head = wire.text(1, metric.otlp) + wire.text(2, metric.help) + wire.text(3, metric.unit)
    points = b"".join(_points(family, began, now))
    if metric.type == "gauge":
        return head + wire.message(5, points)
    if metric.type == "histogram":
        return head + wire.message(9, points + wire.whole(2, _CUMULATIVE))
    return head + wire.message(7, points + wire.whole(2, _CUMULATIVE) + wire.whole(3, True))


def _points(family: Family, began: int, now: int) -> Iterator[bytes]:
    bounds = family.metric.bounds
    for values, cell in family.series.items():
        times = wire.fixed64(2, began) + wire.fixed64(3, now)
        if isinstance(cell, Distribution):
            yield wire.message(1, _attributes(9, family.metric, values) + times + _distribution(cell, bounds))
        elif isinstance(cell, Sum):
            yield wire.message(1, _attributes(7, family.metric, values) + times + wire.double(4, float(cell.value)))


def _distribution(cell: Distribution, bounds: tuple[float, ...]) -> bytes:
    """Count, sum and buckets; those of sampled records are estimates, and OTLP wants whole numbers."""
    counts = [round(count) for count in cell.counts]
    buckets = wire.packed(6, counts, integers=True) + wire.packed(7, bounds, integers=False)
    exemplars = wire.messages(8, [_exemplar(each) for each in cell.exemplars if each is not None])
    return wire.fixed64(4, sum(counts)) + wire.double(5, cell.sum) + buckets + exemplars


def _exemplar(exemplar: Exemplar) -> bytes:
    """The message Exemplar with the trace and the span of a query."""
    query_id, parent, started, value = exemplar
    own = trace_of(query_id)
    ids = wire.message(4, query_span(own)) + wire.message(5, trace_of(parent) if parent else own)
    return wire.fixed64(2, started * 1000) + wire.double(3, value) + ids


def _attributes(number: int, metric: Metric, values: tuple[str, ...]) -> bytes:
    pairs = zip(metric.labels, values, strict=True)
    return wire.attributes(number, [(ATTRIBUTES[label], value) for label, value in pairs if value])
