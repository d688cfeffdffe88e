"""The metrics that queries recorded with `record_metric`: how many, their mean, percentiles and sum."""

from __future__ import annotations

from typing import Any

from instrument.analysis.measures import Measure, measures
from instrument.analysis.results import MetricFigures
from instrument.store.tables import Tables

_PAIRS = """(
    SELECT key, value, weight, true AS success, 'ok' AS status FROM (
        SELECT key, weight,
            TRY_CAST(metrics ->> ('/' || replace(replace(key, '~', '~0'), '/', '~1')) AS DOUBLE) AS value
        FROM (SELECT metrics, weight, unnest(json_keys(metrics)) AS key FROM {roots} AND json_type(metrics) = 'OBJECT'))
    WHERE isfinite(value))"""


def metric_figures(tables: Tables, roots: str, chosen: dict[str, Any]) -> dict[str, MetricFigures]:
    """The figures of each metric of the queries of `roots`, the most frequent first; what is no number is left out."""
    found = measures(tables, _PAIRS.format(roots=roots), ("key",), (0.5, 0.95), chosen, column="value", unit=1)
    return {name: _figures(one) for (name,), one in found.items()}


def _figures(one: Measure) -> MetricFigures:
    p50, p95 = one.percentiles_ms
    return MetricFigures(one.count, one.average_ms or 0.0, p50, p95, one.total_ms)
