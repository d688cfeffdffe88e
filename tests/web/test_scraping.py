"""`/metrics` read by the real Prometheus: what PromQL says is what the report says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from programs import needs
from store_rows import SERIAL, query, write

from instrument.reading import open_store
from instrument.rows.stored import CallRow
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget

_APPLICATION = """
import sys, time
from instrument import configure, shutdown, track_graphql, track_query, track_tool

configure(directory=sys.argv[1], flush_interval_ms=50)

@track_tool
def find_customers(country):
    if country % 7 == 3:
        raise KeyError(country)

@track_graphql("Bills")
def bills(query):
    return {"data": {}}

@track_query(agent="crewai")
def ask(text, number):
    find_customers(number)
    bills("query Bills { id }")

@track_query(agent="simple")
def answer(text):
    time.sleep(0.001)

for number in range(int(sys.argv[2])):
    try:
        ask("unpaid bills", number)
    except KeyError:
        pass
    answer("plans")
    time.sleep(0.02)
shutdown()
"""

_COUNTERS = '{__name__=~"agent_instrument_.*_total|gen_ai_.*_(count|bucket|sum)"}'


def recorded(store: Path, number: int) -> None:
    """An application asks its agents so many times."""
    subprocess.run([sys.executable, "-c", _APPLICATION, str(store), str(number)], check=True, timeout=60)


class Prometheus:
    """A running Prometheus that scrapes one server every second."""

    def __init__(self, address: str) -> None:
        self.address = address

    def asked(self, path: str, **parameters: Any) -> Any:
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expression: str, *labels: str) -> dict[str, float]:
        """What an expression gives now, by the values of labels."""
        found = self.asked("query", query=expression)["result"]
        return {"/".join(one["metric"].get(each, "") for each in labels): float(one["value"][1]) for one in found}

    def wait_for(self, expression: str, value: float, seconds: float = 30) -> None:
        """Wait until an expression has this value; fail when it never does."""
        until, found = time.monotonic() + seconds, None
        while time.monotonic() < until:
            found = next(iter(self.values(expression).values()), None)
            if found == value:
                return
            time.sleep(0.2)
        pytest.fail(f"{expression} is {found}, and not {value}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def scraping(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Start Prometheus on one server; it is ended with the test."""
    [program] = needs("prometheus")
    running: list[subprocess.Popen[bytes]] = []

    def start(target: str, **job: Any) -> Prometheus:
        port = free_port()
        folder = tmp_path / f"prometheus-{port}"
        folder.mkdir()
        job |= {"job_name": "agents", "static_configs": [{"targets": [target.removeprefix("http://")]}]}
        settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
        running.append(process)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).close()
                return Prometheus(f"http://127.0.0.1:{port}")
            except OSError:
                time.sleep(0.1)
        pytest.fail((folder / "log").read_text())

    yield start
    for process in running:
        process.kill()
        process.wait(10)


def test_promql_says_what_the_report_says_through_kill_compaction_forget_and_retention(
    serve: Callable[..., Any], scraping: Callable[..., Prometheus], tmp_path: Path
) -> None:
    store, port = tmp_path / "monitoring", str(free_port())
    server = serve(store, "--port", port)
    prometheus = scraping(server.address)
    prometheus.wait_for("up", 1)
    recorded(store, 30)
    prometheus.wait_for("sum(agent_instrument_queries_total)", 60)
    server.stop(signal.SIGKILL)
    recorded(store, 30)
    server = serve(store, "--port", port)
    prometheus.wait_for("sum(agent_instrument_queries_total)", 120)

    with open_store(store) as opened:
        report = opened.report()
        ids = {line.query_id for line in opened.queries()}
    risen = "max_over_time({0}[10m]) - min_over_time({0}[10m])"
    ended = prometheus.values(risen.format("agent_instrument_queries_total"), "agent", "outcome")
    agents = {f"{name}/successful": one.queries - one.failed for name, one in report.agents.items()}
    agents |= {f"{name}/failed": one.failed for name, one in report.agents.items()}
    assert {name: value for name, value in ended.items() if value} == {n: v for n, v in agents.items() if v}
    calls = prometheus.values(f"sum by (name) ({risen.format('agent_instrument_calls_total')})", "name")
    assert calls == {name: one.calls for name, one in (report.tools | report.graphql).items()}
    busy = prometheus.values(
        "sum by (gen_ai_agent_name) (gen_ai_invoke_agent_duration_seconds_sum)", "gen_ai_agent_name"
    )
    assert busy == pytest.approx({name: one.busy_ms / 1000 for name, one in report.agents.items()})
    errors = prometheus.values("sum by (error_type) (agent_instrument_query_errors_total)", "error_type")
    assert errors == report.errors
    # increase() extrapolates to the ends of its range.
    [increased] = prometheus.values("sum(increase(agent_instrument_queries_total[10m]))").values()
    assert increased == pytest.approx(report.queries.total, rel=0.2)

    now = datetime.now(UTC)
    exemplars = prometheus.asked(
        "query_exemplars",
        query="gen_ai_invoke_agent_duration_seconds_bucket",
        start=(now - timedelta(minutes=10)).timestamp(),
        end=(now + timedelta(minutes=1)).timestamp(),
    )
    named = {one["labels"]["query_id"] for series in exemplars for one in series["exemplars"]}
    assert named
    assert named <= ids

    compact(store, now=now + timedelta(days=3), retention_days=30)
    forget(store, Wanted([], "plans"))
    recorded(store, 10)
    prometheus.wait_for("sum(agent_instrument_queries_total)", 140)
    compact(store, now=now + timedelta(days=90), retention_days=30)
    recorded(store, 10)
    prometheus.wait_for("sum(agent_instrument_queries_total)", 160)
    names = prometheus.values(f"count by (__name__) ({_COUNTERS})", "__name__")
    assert len(names) > 10
    fallen = {name: prometheus.values(f"resets({name}[10m]) > 0") for name in names}
    assert {name: series for name, series in fallen.items() if series} == {}


def test_ten_thousand_tool_names_do_not_take_the_target_down(
    serve: Callable[..., Any], scraping: Callable[..., Prometheus], tmp_path: Path
) -> None:
    store = tmp_path / "monitoring"
    server = serve(store)
    prometheus = scraping(server.address, sample_limit=20_000)
    prometheus.wait_for("up", 1)
    now = datetime.now(UTC)
    calls = [[CallRow(f"tool {number}-{place}", 0, duration=5) for place in range(10)] for number in range(1000)]
    write(store, [query(now, serial=SERIAL + number, calls=each) for number, each in enumerate(calls)])
    prometheus.wait_for("sum(agent_instrument_calls_total)", 10_000)
    prometheus.wait_for("up", 1)
    [scraped] = prometheus.values("scrape_samples_scraped").values()
    assert 1000 < scraped < 10_000
    assert prometheus.values('agent_instrument_calls_total{name="other",outcome="successful"}') == {"": 9800}


def test_two_servers_on_one_host_both_see_a_new_series_rise_from_0(
    serve: Callable[..., Any], scraping: Callable[..., Prometheus], tmp_path: Path
) -> None:
    store = tmp_path / "monitoring"
    server = serve(store)
    both = [scraping(server.address), scraping(server.address, params={"reader": ["second"]})]
    for prometheus in both:
        prometheus.wait_for("up", 1)
    now = datetime.now(UTC)
    write(store, [query(now, serial=SERIAL + number) for number in range(7)])
    series = 'agent_instrument_queries_total{agent="simple",outcome="successful"}'
    for prometheus in both:
        prometheus.wait_for(series, 7)
        assert list(prometheus.values(f"min_over_time({series}[5m])").values()) == [0]


def test_prometheus_shows_the_token_and_is_refused_without_it(
    serve: Callable[..., Any], scraping: Callable[..., Prometheus], tmp_path: Path
) -> None:
    server = serve(tmp_path / "monitoring", "--token", "a secret")
    allowed = scraping(server.address, authorization={"credentials": "a secret"})
    refused = scraping(server.address, authorization={"credentials": "a guess"})
    allowed.wait_for("up", 1)
    refused.wait_for("up", 0)
