"""The text that Prometheus reads: format 0.0.4, and OpenMetrics 1.0 with exemplars.

The official client writes pages from its own registry of counters. Ours come from the ledger, and most series of a page
have not changed since the last one: these are drawn once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from instrument.exporters.names import Metric
from instrument.exporters.prometheus.families import Distribution, Exemplar, Family, Sum

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LONGEST_ID = 100
"""Characters of an exemplar's id: OpenMetrics allows 128 for its labels together."""

_ZERO = Sum()


def page(families: Iterable[Family], shown: Mapping[str, int] | None, *, open_metrics: bool) -> bytes:
    """A page of all families.

    `shown` says of each metric how many of its series the reader has seen, and further ones are 0 on this page.
    None: all of them.
    """
    pieces: list[str] = []
    for family in families:
        if family.series:
            pieces += _header(family.metric, open_metrics)
            pieces += _drawn(family, None if shown is None else shown.get(family.metric.prometheus, 0), open_metrics)
    if open_metrics:
        pieces.append("# EOF\n")
    return "".join(pieces).encode()


def _header(metric: Metric, open_metrics: bool) -> Iterator[str]:
    name = metric.prometheus
    if open_metrics and metric.type == "counter":
        name = name.removesuffix("_total")
    yield f"# HELP {name} {_escaped(metric.help) if open_metrics else _escaped_help(metric.help)}\n"
    yield f"# TYPE {name} {metric.type}\n"
    if open_metrics and name.endswith("_seconds"):
        yield f"# UNIT {name} seconds\n"


def _drawn(family: Family, shown: int | None, open_metrics: bool) -> Iterator[str]:
    gauge = family.metric.type == "gauge"
    for place, (values, cell) in enumerate(family.series.items()):
        is_new = shown is not None and place >= shown and not gauge
        if isinstance(cell, Distribution):
            yield _distribution(family.metric, values, cell, is_new, open_metrics)
        else:
            cell.head = cell.head or f"{family.metric.prometheus}{_labels(family.metric, values)} "
            yield f"{cell.head}{(_ZERO if is_new else cell).value!r}\n"


def _distribution(metric: Metric, values: tuple[str, ...], cell: Distribution, is_new: bool, open_metrics: bool) -> str:
    count = sum(cell.counts)
    if not is_new and cell.drawn is not None and cell.drawn[:2] == (open_metrics, count):
        return cell.drawn[2]
    heads = cell.heads = cell.heads or _heads(metric, values)
    lines = []
    through: float = 0
    for place, (head, number) in enumerate(zip(heads, cell.counts, strict=False)):
        through += 0 if is_new else number
        exemplar = cell.exemplars[place] if open_metrics and not is_new else None
        note = "" if exemplar is None else cell.notes[place] or _noted(cell, place, exemplar)
        lines.append(f"{head}{_number(through)}{note}\n")
    lines.append(f"{heads[-2]}{0.0 if is_new else cell.sum!r}\n{heads[-1]}{_number(through)}\n")
    text = "".join(lines)
    if not is_new:
        cell.drawn = (open_metrics, count, text)
    return text


def _noted(cell: Distribution, place: int, exemplar: Exemplar) -> str:
    note = cell.notes[place] = _exemplar(exemplar)
    return note


def _heads(metric: Metric, values: tuple[str, ...]) -> list[str]:
    """What stands before the numbers of a histogram: one of each bucket, the sum's and the count's."""
    labels, name = _labels(metric, values), metric.prometheus
    more = f"{labels[:-1]}," if labels else "{"
    bounds = [*map(repr, metric.bounds), "+Inf"]
    return [
        *(f'{name}_bucket{more}le="{bound}"}} ' for bound in bounds),
        f"{name}_sum{labels} ",
        f"{name}_count{labels} ",
    ]


def _labels(metric: Metric, values: tuple[str, ...]) -> str:
    pairs = [f'{label}="{_escaped(value)}"' for label, value in zip(metric.labels, values, strict=True) if value]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return repr(value) if isinstance(value, int) or value != int(value) else repr(int(value))


def _exemplar(exemplar: Exemplar) -> str:
    name, _, started, value = exemplar
    return f' # {{query_id="{_escaped(name)}"}} {value!r} {started / 1e6:.3f}' if len(name) <= _LONGEST_ID else ""
