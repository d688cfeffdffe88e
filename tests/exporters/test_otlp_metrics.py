"""Metrics over OTLP: totals that are those of a report, and that nothing counts twice."""

from __future__ import annotations

import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from full_disk import on_a_full_disk
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otlp_receivers import Misbehaving, misbehaving, real_receiver, says
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.config import Config
from instrument.errors import StoreError
from instrument.exporters import delivery, names
from instrument.exporters.otlp import shipping
from instrument.exporters.otlp.shipping import ship
from instrument.exporters.otlp.totals import Totals
from instrument.reading import open_store
from instrument.store.cursors import Registration
from instrument.store.tail import follow_rows


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "monitoring"
    write(directory, random_rows(7, 400, weights=(1.0, 4.0)))
    return directory


def metrics(request: Any) -> dict[str, Any]:
    return {
        metric.name: metric
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def total(request: Any, name: str, **labels: str) -> float:
    """The sum over the points that have these attributes."""
    metric = metrics(request)[name]
    kind = metric.WhichOneof("data")
    found = 0.0
    for point in getattr(metric, kind).data_points:
        own = {each.key: each.value.string_value for each in point.attributes}
        if all(own.get(key.replace("__", ".")) == value for key, value in labels.items()):
            found += point.count if kind == "histogram" else point.as_double
    return found


def queries_of(receiver: Misbehaving) -> float:
    return total(receiver.accepted["metrics"][-1], "agent_instrument.queries")


def test_metrics_are_the_figures_of_a_report_and_follow_the_conventions(store: Path) -> None:
    with misbehaving() as receiver:
        ship(store, receiver.address, signals=("metrics",))
        (request,) = receiver.accepted["metrics"]
    with open_store(store, since=NOON - timedelta(days=1), until=NOON + timedelta(days=1)) as opened:
        report = opened.report()
    assert total(request, "agent_instrument.queries") == pytest.approx(report.queries.total)
    failed = total(request, "agent_instrument.queries", agent_instrument__outcome="failed")
    assert failed == pytest.approx(report.queries.failed)
    assert total(request, "gen_ai.invoke_agent.duration") == pytest.approx(report.queries.total)
    durations = metrics(request)["gen_ai.invoke_agent.duration"]
    assert (durations.unit, durations.histogram.aggregation_temporality) == ("s", 2)
    for point in durations.histogram.data_points:
        assert tuple(point.explicit_bounds) == names.AGENT_SECONDS
        assert sum(point.bucket_counts) == point.count
        assert 0 < point.start_time_unix_nano < point.time_unix_nano
    assert metrics(request)["agent_instrument.queries"].sum.is_monotonic
    assert set(metrics(request)) <= {metric.otlp for metric in names.METRICS}


def test_the_bytes_are_those_that_the_official_classes_write(store: Path) -> None:
    totals = Totals(store, "mine", Config())
    for rows in follow_rows(store).batches():
        totals.add(rows, 1)
    content = totals.request(b"")
    read = ExportMetricsServiceRequest.FromString(content)
    again = read.SerializeToString()
    assert ExportMetricsServiceRequest.FromString(again) == read
    assert len(metrics(read)) > 10


def test_buckets_name_queries_whose_spans_are_there(store: Path) -> None:
    with misbehaving() as receiver:
        ship(store, receiver.address, signals=("traces", "metrics"))
        (request,) = receiver.accepted["metrics"]
        spans = {(span.trace_id, span.span_id): span for span in receiver.spans()}
    points = metrics(request)["gen_ai.invoke_agent.duration"].histogram.data_points
    found = [exemplar for point in points for exemplar in point.exemplars]
    assert len(found) >= len(points)
    for each in found:
        span = spans[each.trace_id, each.span_id]
        taken = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        assert (each.time_unix_nano, each.as_double) == (span.start_time_unix_nano, pytest.approx(taken))
    of_tools = metrics(request)["gen_ai.execute_tool.duration"].histogram.data_points
    named = {(each.trace_id, each.span_id) for point in of_tools for each in point.exemplars}
    assert named
    assert named <= spans.keys()


def test_totals_go_on_after_a_kill_before_or_after_they_were_saved(store: Path) -> None:
    with misbehaving() as receiver:
        ship(store, receiver.address, signals=("metrics",))
        first = queries_of(receiver)
        (named,) = [file.stem for file in (store / ".state" / "cursors").glob("otlp-*.json")]
        before = Registration(store, named).load()
        write(store, [query(NOON + timedelta(hours=1), serial=SERIAL + 9000)])
        ship(store, receiver.address, signals=("metrics",))
        assert before is not None
        Registration(store, named).save(before.text)  # as after a kill between the two files
        ship(store, receiver.address, signals=("metrics",))
        assert queries_of(receiver) == first + 1


def test_a_batch_that_was_not_taken_is_counted_once_it_was(store: Path) -> None:
    with misbehaving(*[says(500)] * delivery.TRIES) as receiver:
        with pytest.raises(StoreError):
            ship(store, receiver.address, signals=("traces", "metrics"))
        ship(store, receiver.address, signals=("traces", "metrics"))
        ship(store, receiver.address, signals=("traces", "metrics"))
        requests = receiver.accepted["metrics"]
        assert total(requests[-1], "agent_instrument.queries") == total(requests[0], "agent_instrument.queries")


def test_a_full_disk_is_one_line_and_nothing_is_lost_or_counted_twice(store: Path) -> None:
    with misbehaving() as receiver:
        ship(store, receiver.address, signals=("traces", "metrics"))
        before, spans = queries_of(receiver), len(receiver.ids())
        write(store, [query(NOON + timedelta(hours=1), serial=SERIAL + 9000)])
        options = ("--signals", "traces,metrics", "-d", str(store))
        command = on_a_full_disk("ship", "--to", "otlp", receiver.address, *options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("the totals cannot be saved: File too large\n")
        assert done.stderr.count("\n") == 1
        ship(store, receiver.address, signals=("traces", "metrics"))
        assert (queries_of(receiver), len(receiver.ids())) == (before + 1, spans + 1)


def test_totals_that_are_damaged_are_one_line(store: Path) -> None:
    (store / ".state").mkdir(exist_ok=True)
    (store / ".state" / "mine.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="damaged"):
        Totals(store, "mine", Config())


def test_a_real_receiver_takes_them_while_it_is_followed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "METRICS_SECONDS", 0.1)
    stop = threading.Event()
    with real_receiver(tmp_path) as real:
        given = {"signals": ("traces", "metrics", "logs"), "follow": True, "stop": stop}
        running = threading.Thread(target=ship, args=(store, real.address), kwargs=given)
        running.start()
        deadline = time.monotonic() + 30
        while len(real.got("metrics")) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        stop.set()
        running.join(20)
        taken = real.got("metrics")
        assert len(taken) >= 2
        found = {each["name"] for each in taken[-1]["resource_metrics"][0]["scope_metrics"][0]["metrics"]}
        assert {"gen_ai.invoke_agent.duration", "agent_instrument.queries"} <= found
        assert real.got("logs")
