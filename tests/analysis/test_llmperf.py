from __future__ import annotations

from pathlib import Path

import llmperf
import pytest
from store_rows import write
from test_report import reported

ONE_NS_IN_MS = 1e-6

pytestmark = pytest.mark.skipif(not llmperf.FOLDER.exists(), reason="the shared data is not here")


@pytest.mark.parametrize("name", llmperf.names())
def test_response_times_are_the_published_ones_to_the_nanosecond(tmp_path: Path, name: str) -> None:
    write(tmp_path, llmperf.rows(name, failed=False))
    found, published = reported(tmp_path).response_times, llmperf.summary(name)
    for ours, theirs in {
        "p50_ms": "quantiles_p50",
        "p95_ms": "quantiles_p95",
        "p99_ms": "quantiles_p99",
        "average_ms": "mean",
        "min_ms": "min",
        "max_ms": "max",
    }.items():
        expected = float(published[f"results_end_to_end_latency_s_{theirs}"]) * 1000
        assert getattr(found, ours) == pytest.approx(expected, rel=0, abs=ONE_NS_IN_MS), ours


@pytest.mark.parametrize("name", llmperf.names())
def test_error_rates_are_the_published_ones(tmp_path: Path, name: str) -> None:
    write(tmp_path, llmperf.rows(name, failed=True))
    found, published = reported(tmp_path), llmperf.summary(name)
    assert found.queries.failed / found.queries.total == published["results_error_rate"]
    assert sum(found.errors.values()) == published["results_number_errors"]
