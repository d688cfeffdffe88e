"""The dashboard over ClickHouse, in a real browser: all machines on every page, a host as a filter, kept up to date."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from store_rows import SERIAL, query, random_rows, write
from test_clickhouse import Server

from instrument.exporters.clickhouse import shipping
from instrument.rows.stored import Origin, QueryRow, Row
from tests.programs import needs
from tests.web.browsing import ARGUMENTS, Browser

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
_PAGES = ("/", "/queries", "/agents", "/tools", "/graphql", "/models", "/trends", "/alerts", "/sql", "/health")


class Served(NamedTuple):
    """`metrics serve` over a database that two machines ship to, and their stores."""

    address: str
    stores: dict[str, Path]
    database: Server


def _on(host: str, rows: list[Row]) -> list[Row]:
    """The rows as another machine records them."""
    origin = Origin(host, 42)
    return [msgspec.structs.replace(row, origin=origin) if isinstance(row, QueryRow) else row for row in rows]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    database = Server(folder / "clickhouse").start()
    start = datetime.now(UTC) - timedelta(hours=20)
    stores = {host: folder / host for host in ("worker-1", "worker-2")}
    for number, (host, store) in enumerate(stores.items()):
        write(store, _on(host, random_rows(number, 150, start=start, hours=18)))
        shipping.ship(store, database.address)
    command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0"]
    serving = subprocess.Popen(
        [*command, "--from", database.address.replace("http:", "clickhouse:")],
        cwd=folder,
        env=os.environ | {"INSTRUMENT_DIRECTORY": str(folder / "here")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    try:
        yield Served(serving.stderr.readline().split()[0].rstrip("/"), stores, database)
    finally:
        serving.terminate()
        serving.wait(20)
        serving.stderr.close()
        database.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    [path] = needs("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield Browser(chromium)
        chromium.close()


def _get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_every_page_shows_all_machines_and_one_of_them(served: Served, browser: Browser) -> None:
    page = browser.page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    for path in _PAGES:
        for where in ("", "&where=host%3Dworker-1"):
            answer = page.goto(f"{served.address}{path}?period=7d&still=1{where}")
            assert answer.status == 200, path
            text = page.inner_text("main")
            assert "cannot be" not in text
            assert "There is nothing to read" not in text, path
    assert browser.said == []


def test_the_list_of_queries_offers_the_hosts_and_keeps_to_one(served: Served, browser: Browser) -> None:
    page = browser.page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(f"{served.address}/queries?period=7d&still=1")
    page.click("main a:has-text('worker-2')")
    page.wait_for_url("**where=host%3Dworker-2**")
    _, answer = _get(f"{served.address}/api/report?hours=168&where=host%3Dworker-2")
    one = json.loads(answer)["report"]["queries"]["total"]
    _, answer = _get(f"{served.address}/api/report?hours=168")
    everything = json.loads(answer)["report"]["queries"]["total"]
    assert 0 < one < everything
    link = page.get_attribute("table.queries tbody tr a", "href")
    assert page.goto(f"{served.address}{link}").status == 200
    assert "worker-2" in page.inner_text("main")


def test_a_page_that_is_watched_shows_what_is_shipped_meanwhile(served: Served, browser: Browser) -> None:
    page = browser.page(viewport={"width": 1280, "height": 900})
    page.goto(f"{served.address}/queries?period=1h")
    asked = "a question that was asked just now"
    assert asked not in page.inner_text("body")
    row = query(datetime.now(UTC), serial=SERIAL - 77, user_input=asked)
    write(served.stores["worker-1"], _on("worker-1", [row]), "235900-77-0badcafe.jsonl")
    shipping.ship(served.stores["worker-1"], served.database.address)
    page.wait_for_selector(f"text={asked}", timeout=120_000)


def test_what_needs_a_directory_says_so(served: Served) -> None:
    status, text = _get(f"{served.address}/metrics")
    assert status == 404
    assert "serve a store in a directory" in text
    status, text = _get(f"{served.address}/healthz")
    assert status == 200
    assert json.loads(text)["store"] == "readable"
    status, text = _get(f"{served.address}/health")
    assert "metrics doctor" in text


def test_a_database_that_went_away_is_one_sentence_on_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", "clickhouse://127.0.0.1:9/x"]
    serving = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert serving.stderr is not None
    try:
        address = serving.stderr.readline().split()[0].rstrip("/")
        answers: dict[str, Any] = {path: _get(address + path) for path in ("/", "/healthz", "/api/report")}
    finally:
        serving.terminate()
        serving.wait(20)
        serving.stderr.close()
    for path, (status, text) in answers.items():
        assert status == 503, path
        assert "no answer" in text
        assert "Traceback" not in text
