"""The rules written for Prometheus, in the chain that people have: serve, Prometheus, Alertmanager, a webhook."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from programs import needs
from receivers import Hook, hook

_RULES = """
[[alerts]]
name = "failures"
figure = "failure_rate"
above = 0.5
window = "1m"
least_queries = 5
severity = "critical"
"""
_APPLICATION = """
import sys
from instrument import configure, shutdown, track_query

configure(directory=sys.argv[1], flush_interval_ms=50)

@track_query(agent="crewai")
def ask(text, fails):
    if fails:
        raise TimeoutError(text)

for number in range(int(sys.argv[2])):
    try:
        ask("unpaid bills", sys.argv[3] == "fails")
    except TimeoutError:
        pass
shutdown()
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _recorded(store: Path, number: int, outcome: str) -> None:
    command = [sys.executable, "-c", _APPLICATION, str(store), str(number), outcome]
    subprocess.run(command, check=True, timeout=60)


def _until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def _answers(address: str) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            return False
        return True

    return answers


@contextmanager
def _running(command: list[str], folder: Path, ready: str) -> Iterator[None]:
    """A program, until the block ends; its output goes to a file."""
    environment = {"PATH": os.environ["PATH"]}
    with open(folder / f"{Path(command[0]).name}.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        _until(_answers(ready), Path(log.name).read_text())
        yield
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def _chain(folder: Path, store: Path, receiver: Hook) -> Iterator[str]:
    """Serve, Prometheus with our rules, and Alertmanager that tells the receiver; gives Prometheus's address."""
    prometheus, alertmanager = needs("prometheus", "prometheus-alertmanager")
    (folder / "instrument.toml").write_text(_RULES)
    metrics = [sys.executable, "-m", "instrument_cli"]
    written = subprocess.run([*metrics, "alerts", "rules"], cwd=folder, check=True, capture_output=True, text=True)
    (folder / "rules.yml").write_text(written.stdout.replace("interval: 1m", "interval: 1s"))
    served, asked, told = _free_port(), _free_port(), _free_port()
    webhook = {"url": f"http://127.0.0.1:{receiver.port}/", "send_resolved": True}
    routes = {"receiver": "hook", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    told_of = {"route": routes, "receivers": [{"name": "hook", "webhook_configs": [webhook]}]}
    (folder / "alertmanager.yml").write_text(json.dumps(told_of))  # JSON is YAML
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{told}"]}]}]},
        "scrape_configs": [{"job_name": "agents", "static_configs": [{"targets": [f"127.0.0.1:{served}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    with ExitStack() as running:
        serve = [*metrics, "serve", "--port", str(served), "--from", str(store)]
        running.enter_context(_running(serve, folder, f"http://127.0.0.1:{served}/metrics"))
        manager = [
            alertmanager,
            "--config.file=alertmanager.yml",
            "--storage.path=alertmanager",
            f"--web.listen-address=127.0.0.1:{told}",
            "--cluster.listen-address=",
        ]
        running.enter_context(_running(manager, folder, f"http://127.0.0.1:{told}/-/ready"))
        reader = [
            prometheus,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{asked}",
        ]
        running.enter_context(_running(reader, folder, f"http://127.0.0.1:{asked}/-/ready"))
        yield f"http://127.0.0.1:{asked}"


def _value(address: str, expression: str) -> float | None:
    with urllib.request.urlopen(f"{address}/api/v1/query?query={expression}", timeout=10) as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def test_alertmanager_tells_a_webhook_once_that_a_rule_fires_and_once_that_it_is_over(tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    _recorded(store, 1, "succeeds")
    with hook() as receiver, _chain(tmp_path, store, receiver) as address:
        total = "sum(agent_instrument_queries_total)"
        _until(lambda: _value(address, total) == 1, "the first scrape")
        _recorded(store, 30, "fails")
        _until(lambda: bool(receiver.messages), "a message that it fires")
        _recorded(store, 300, "succeeds")
        _until(lambda: receiver.messages[-1]["status"] == "resolved", "a message that it is over")
        states = [message["status"] for message in receiver.messages]
    assert states == ["firing", "resolved"]
    [alert] = receiver.messages[0]["alerts"]
    assert alert["labels"]["severity"] == "critical"
