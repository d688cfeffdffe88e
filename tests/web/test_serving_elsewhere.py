"""The dashboard over ClickHouse and over a lake, in a browser: all machines on every page, a host as a filter."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from clickhouse_server import Server as Database
from store_rows import SERIAL, query, random_rows, write

from instrument.exporters import lake
from instrument.exporters.clickhouse import shipping
from instrument.rows.stored import Origin, QueryRow, Row
from instrument.store.upkeep.compaction import compact
from tests.web.browsing import Browser
from tests.web.conftest import Server

PAGES = (
    "/", "/queries", "/queries?sort=duration", "/agents", "/tools", "/graphql", "/models", "/trends", "/alerts", "/sql",
    "/health",
)  # fmt: skip


class Machines(NamedTuple):
    """`metrics serve` over what two machines have shipped, their stores, and how more of one is shipped."""

    address: str
    stores: dict[str, Path]
    ship: Callable[[Path], object]


def _on(host: str, rows: list[Row]) -> list[Row]:
    """The rows as another machine records them."""
    origin = Origin(host, 42)
    return [msgspec.structs.replace(row, origin=origin) if isinstance(row, QueryRow) else row for row in rows]


@pytest.fixture(scope="module", params=["clickhouse", "lake"])
def machines(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    serve_long: Callable[[Path | str, Path], Server],
) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp(request.param)
    start = datetime.now(UTC) - timedelta(hours=20)
    stores = {host: folder / host for host in ("worker-1", "worker-2")}
    for number, (host, store) in enumerate(stores.items()):
        write(store, _on(host, random_rows(number, 150, start=start, hours=18)))
    if request.param == "lake":
        pytest.importorskip("fsspec", reason="needs fsspec")
        yield _shipped(stores, f"file://{folder}/lake", _to_lake, folder, serve_long)
        return
    pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
    database = Database(folder / "clickhouse").start()
    try:
        yield _shipped(stores, database.source, shipping.ship, folder, serve_long)
    finally:
        database.kill()


def _shipped(
    stores: dict[str, Path],
    address: str,
    ship: Callable[[Path, str], object],
    folder: Path,
    serve_long: Callable[[Path | str, Path], Server],
) -> Machines:
    for store in stores.values():
        ship(store, address)
    return Machines(serve_long(address, folder).address, stores, lambda store: ship(store, address))


def _to_lake(store: Path, address: str) -> None:
    compact(store, now=datetime.now(UTC) + timedelta(days=2), retention_days=30)
    lake.ship(store, address)


def _get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _page(browser: Browser) -> Any:
    page = browser.page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    return page


def test_every_page_shows_all_machines_and_one_of_them(machines: Machines, browser: Browser) -> None:
    page = _page(browser)
    for path in PAGES:
        for where in ("", "&where=host%3Dworker-1"):
            joint = "&" if "?" in path else "?"
            answer = page.goto(f"{machines.address}{path}{joint}period=7d&still=1{where}")
            assert answer.status == 200, path
            text = page.inner_text("main")
            assert "cannot be" not in text
            assert "There is nothing to read" not in text, path
    assert browser.said == []


def test_the_list_of_queries_offers_the_hosts_and_keeps_to_one(machines: Machines, browser: Browser) -> None:
    page = _page(browser)
    page.goto(f"{machines.address}/queries?period=7d&still=1")
    page.click("main a:has-text('worker-2')")
    page.wait_for_url("**where=host%3Dworker-2**")
    _, answer = _get(f"{machines.address}/api/report?hours=168&where=host%3Dworker-2")
    one = json.loads(answer)["report"]["queries"]["total"]
    _, answer = _get(f"{machines.address}/api/report?hours=168")
    everything = json.loads(answer)["report"]["queries"]["total"]
    assert 0 < one < everything
    link = page.get_attribute("table.queries tbody tr a", "href")
    assert page.goto(f"{machines.address}{link}").status == 200
    assert "worker-2" in page.inner_text("main")


def test_a_page_that_is_watched_shows_what_is_shipped_meanwhile(machines: Machines, browser: Browser) -> None:
    page = _page(browser)
    page.goto(f"{machines.address}/queries?period=1h")
    asked = "a question that was asked just now"
    assert asked not in page.inner_text("body")
    row = query(datetime.now(UTC), serial=SERIAL - 77, user_input=asked)
    write(machines.stores["worker-1"], _on("worker-1", [row]), "235900-77-0badcafe.jsonl")
    machines.ship(machines.stores["worker-1"])
    page.wait_for_selector(f"text={asked}", timeout=120_000)


def test_what_needs_a_directory_says_so(machines: Machines) -> None:
    status, text = _get(f"{machines.address}/metrics")
    assert status == 404
    assert "serve a store in a directory" in text
    status, text = _get(f"{machines.address}/healthz")
    assert status == 200
    assert json.loads(text)["store"] == "readable"
    status, text = _get(f"{machines.address}/health")
    assert "metrics doctor" in text


@pytest.mark.parametrize(
    ("source", "problem"),
    [("clickhouse://127.0.0.1:9/x", "no answer"), ("file:///nowhere/lake", "there is no such bucket or folder")],
)
def test_a_source_that_is_away_is_one_sentence_on_the_page(
    serve: Callable[..., Server], source: str, problem: str
) -> None:
    address = serve(source).address
    for path in ("/", "/healthz", "/api/report"):
        status, text = _get(address + path)
        assert status == 503, path
        assert problem in text
        assert "Traceback" not in text
