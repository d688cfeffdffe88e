"""Live: a page keeps its place and its figures whatever becomes of the store, and every watcher is sent everything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instrument.sinks.segments import SegmentSink
from tests.web.browsing import Browser
from tests.web.watching import Watchers, record

OLD = 40 * 86_400
TYPED = "tenant=nor"


def metrics(store: Path, *arguments: str, **settings: str) -> None:
    command = [sys.executable, "-m", "instrument_cli", *arguments, "--directory", str(store)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def compact(store: Path) -> None:
    metrics(store, "compact", INSTRUMENT_RETENTION_DAYS="3650")
    assert list(store.rglob("*.parquet")), "nothing was compacted"


def retention(store: Path) -> None:
    days = len(list(store.glob("2*")))
    metrics(store, "compact", INSTRUMENT_RETENTION_DAYS="30")
    assert len(list(store.glob("2*"))) < days, "nothing was dropped"


def forget(store: Path) -> None:
    metrics(store, "forget", "--containing", "a secret", "--yes")


def move(store: Path) -> None:
    away = store.with_name("away")
    store.rename(away)
    time.sleep(2)
    away.rename(store)


@pytest.fixture
def old_and_new(tmp_path: Path) -> Path:
    """A store with a day to compact and one to drop, a query to forget, and 60 queries of today."""
    store = tmp_path / "monitoring"
    for ago in (OLD, 3 * 86_400):
        sink = SegmentSink(store, now=lambda ago=ago: time.time() - ago)
        rows = record(tmp_path / "other", 5)
        for row in rows:
            row.started -= ago * 1_000_000
        sink.write(rows)
        sink.close()
    record(store, 59)
    record(store, user_input="a secret")
    return store


@pytest.mark.parametrize(
    ("change", "left"),
    [(compact, 61), (retention, 61), (forget, 60), (move, 61)],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_page_goes_on_and_keeps_its_place_whatever_becomes_of_the_store(
    change: Callable[[Path], None], left: int, serve: Callable[..., Any], old_and_new: Path, browser: Browser
) -> None:
    server = serve(old_and_new)
    page = browser.page(expected=("ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION"), viewport={"width": 1280, "height": 500})
    page.goto(server.address + "/?where=agent%3Dbilling")
    page.wait_for_selector("#live.on")
    page.focus(".filter .add")
    page.keyboard.type(TYPED)
    page.evaluate("scrollTo(0, 150)")
    page.wait_for_timeout(1200)  # the stream has begun, and the first figures have come
    change(old_and_new)
    record(old_and_new, user_input="afterwards")
    page.wait_for_selector("table.latest >> text=afterwards", timeout=20_000)
    page.wait_for_selector(f'.figure:first-child .value:text-is("{left}")', timeout=40_000)
    assert page.evaluate("scrollY") == 150
    assert page.evaluate("document.activeElement.value") == TYPED
    assert page.locator(".filters a.chip").inner_text().startswith("agent=billing")
    page.context.close()


def test_a_list_that_was_scrolled_says_what_is_new_and_does_not_move(
    serve: Callable[..., Any], old_and_new: Path, browser: Browser
) -> None:
    page = browser.page(viewport={"width": 1280, "height": 500})
    page.goto(serve(old_and_new).address + "/queries?where=agent%3Dbilling")
    page.wait_for_timeout(1200)
    page.evaluate("scrollTo(0, 600)")
    rows = page.locator("tr.query a.open")
    first, place = rows.first.get_attribute("href"), rows.nth(20).bounding_box()["y"]
    record(old_and_new, 2, user_input="while scrolled")
    page.wait_for_selector('#new:text-is("2 new")', timeout=20_000)
    record(old_and_new, agent="other", user_input="of another agent")
    record(old_and_new, user_input="one more")
    page.wait_for_selector('#new:text-is("3 new")', timeout=20_000)
    assert abs(rows.nth(20).bounding_box()["y"] - place) < 1
    assert rows.first.get_attribute("href") == first
    page.click("#new")
    page.wait_for_selector("table.queries >> text=one more", timeout=20_000)
    assert page.locator("table.queries >> text=of another agent").count() == 0
    page.context.close()


def test_a_hundred_watchers_are_sent_every_query(serve: Callable[..., Any], tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    record(store)
    server = serve(store)
    watchers = Watchers(server.address, 100)
    assert watchers.read_until("retry: 1000") == 100
    watchers.read(1.0)  # the follower has begun
    for number in range(5):
        words = f"question {number} of five"
        record(store, user_input=words)
        assert watchers.read_until(words) == 100
    watchers.close()
    assert server.stop() == 0
