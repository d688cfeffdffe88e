from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from programs import needs

from instrument.exporters import names
from instrument.exporters.names import METRICS, Metric

_SUFFIXES = {"s": "_seconds", "1": ""}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.otlp)
def test_a_prometheus_name_follows_from_the_otlp_name_the_unit_and_the_type(metric: Metric) -> None:
    suffix = "" if metric.unit.startswith("{") else _SUFFIXES[metric.unit]
    total = "_total" if metric.type == "counter" else ""
    assert metric.prometheus == metric.otlp.replace(".", "_") + suffix + total
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.prometheus)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.otlp)
def test_every_label_stands_for_an_attribute_and_histograms_alone_have_bounds(metric: Metric) -> None:
    assert set(metric.labels) <= names.ATTRIBUTES.keys()
    assert len({names.ATTRIBUTES[label] for label in metric.labels}) == len(metric.labels)
    assert bool(metric.bounds) == (metric.type == "histogram")
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.help.endswith(".")


def test_the_table_has_every_metric_of_the_module_once() -> None:
    defined = [value for value in vars(names).values() if isinstance(value, Metric)]
    assert sorted(metric.prometheus for metric in defined) == sorted({metric.prometheus for metric in METRICS})
    assert len(METRICS) == len(defined)


def test_buckets_are_those_of_the_genai_conventions() -> None:
    assert names.AGENT_DURATION.bounds[0] == 0.1
    assert names.AGENT_DURATION.bounds[-1] == 409.6
    assert names.TOOL_DURATION.bounds[0] == 0.01
    assert names.TOOL_DURATION.bounds[-1] == 81.92
    assert names.TOKEN_USAGE.bounds[-1] == 67108864


PAGE = (Path(__file__).parents[2] / "docs" / "prometheus.md").read_text("utf-8")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.otlp)
def test_the_page_has_every_metric(metric: Metric) -> None:
    assert f"`{metric.prometheus}`" in PAGE


def test_prometheus_takes_the_settings_that_the_page_shows(tmp_path: Path) -> None:
    [promtool] = needs("promtool")
    [settings] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(settings, "utf-8")
    command = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
