"""`/healthz` and what the server does where something is broken: it says so and goes on answering."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from full_disk import on_a_full_disk
from store_rows import NOON, SERIAL, query, write


def health(server: Any) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(server.address + "/healthz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def waited(server: Any, status: str) -> tuple[int, dict[str, Any]]:
    until = time.monotonic() + 20
    while (found := health(server))[1]["status"] != status and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_a_server_that_counts_says_so(serve: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query()])
    server = serve(tmp_path / "monitoring")
    server.get("/metrics")
    code, found = health(server)
    assert (code, found["status"], found["store"]) == (200, "ok", "readable")
    assert found["jobs"]["prometheus"] == "running"
    assert found["metrics"]["state"] == "counting"
    assert found["metrics"]["behind_seconds"] < 10


def test_a_store_that_cannot_be_read_is_broken_and_well_again_afterwards(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    store = tmp_path / "monitoring"
    store.write_text("no directory")
    server = serve(store)
    code, found = waited(server, "broken")
    assert code == 503
    assert "monitoring" in found["store"]
    store.unlink()
    write(store, [query()])
    assert waited(server, "ok")[0] == 200


def test_a_full_disk_under_the_ledger_is_said_and_counting_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, [query()])
    command = on_a_full_disk("serve", "--port", "0", "--from", str(store))
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split()[0].rstrip("/")
        assert address.startswith("http://")
        shown = 'agent_instrument_queries_total{agent="simple",outcome="successful"} '
        assert shown + "1\n" in _page(address)
        write(store, [query(NOON, serial=SERIAL + 1)])
        assert shown + "2\n" in _page(address)
        with urllib.request.urlopen(address + "/healthz", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "degraded"
        assert "cannot be saved: File too large" in found["metrics"]["state"]
    finally:
        process.terminate()
        process.wait(10)
    assert "counting goes on in memory" in process.stderr.read()
    process.stderr.close()


def _page(address: str) -> str:
    with urllib.request.urlopen(address + "/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("accept", "open_metrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0, */*", False),
        ("application/json", False),
        ("application/openmetrics-text;q=much", False),
    ],
)
def test_the_format_of_the_metrics_follows_the_accept_header(accept: str, open_metrics: bool) -> None:
    from instrument_cli.web.prometheus import wants_open_metrics

    assert wants_open_metrics(accept) == open_metrics
