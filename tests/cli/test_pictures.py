"""What report, queries, show and stats draw, held against texts that were looked at.

`UPDATE_EXPECTED=1 pytest tests/cli/test_pictures.py` writes them anew: look at each before it is committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import big_store
import pytest
from instrument_cli.rendering.compare import draw_comparison
from instrument_cli.rendering.empty import draw_empty
from instrument_cli.rendering.line import Command, Line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.queries import draw_queries
from instrument_cli.rendering.query import draw_query
from instrument_cli.rendering.report import FEW_QUERIES, draw_report
from instrument_cli.rendering.stats import Ranking, draw_stats

from instrument.analysis.results import Limits
from instrument.config import Config
from instrument.reading import Store, open_store
from instrument.rows.live import Origin
from instrument.rows.stored import CallRow, QueryRow, encode_lines

EXPECTED = Path(__file__).with_name("expected")
WIDTHS = (40, 60, 80, 120)
LIMITS = Limits(5000, 30000)
CONFIG = Config(directory="store")
PLACE = "store"
END = big_store.END


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, one of a single query, and one of 200,000."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "empty").mkdir()
    moment = END - timedelta(minutes=20)
    calls = [CallRow("find_customers", 10_000_000, duration=210_000_000), CallRow("query Bills", 20_000_000, 0, 90_000)]
    calls[1].kind = "graphql"
    only = QueryRow(int(moment.timestamp() * 1e6), 7, "simple", "unpaid bills in India", "Agent.answer", calls)
    only.duration, only.result_size, only.origin, only.entities = 640_000_000, 2048, Origin("box", 4711), ["bills"]
    day = folder / "one" / f"{moment:%Y-%m-%d}"
    day.mkdir(parents=True)
    (day / "000000-4711-aabbccdd.jsonl").write_bytes(bytes(encode_lines([only])))
    big_store.fill(folder / "big")
    return folder


def report(store: Store, page: Page) -> list[Line]:
    found = store.report(by="tenant" if "big" in store.directory.name else None)
    if not found.queries.total:
        return draw_empty("report", found.period, found.data, PLACE, CONFIG, None, page)
    few = queries(store, page) if found.queries.total <= FEW_QUERIES else []
    return draw_report(found, LIMITS, page, few)


def queries(store: Store, page: Page) -> list[Line]:
    return draw_queries(store.queries("status!=ok" if store.directory.name == "big" else (), limit=8), LIMITS, page)


def show(store: Store, page: Page) -> list[Line]:
    wanted = store.queries("status=error" if store.directory.name == "big" else (), sort="duration", limit=1)
    return draw_query(store.query(wanted[0].query_id), LIMITS, page) if wanted else []


def stats(store: Store, page: Page) -> list[Line]:
    found = store.stats()
    if not found.queries.total:
        return draw_empty("stats", found.period, found.data, PLACE, CONFIG, None, page)
    return draw_stats(found, LIMITS, page, Ranking("failures", 2))


def compare(store: Store, page: Page) -> list[Line]:
    return draw_comparison(store.compare("2026-11-20..2026-11-21"), page) if store.directory.name == "big" else []


@pytest.mark.parametrize("name", ["empty", "one", "big"])
@pytest.mark.parametrize("draw", [report, queries, show, stats, compare], ids=lambda draw: draw.__name__)
def test_what_is_drawn_is_what_was_looked_at(
    draw: Callable[[Store, Page], list[Line]], name: str, stores: Path
) -> None:
    since = "2026-11-21" if draw is compare else "2026-11-15"
    with open_store(stores / name, since=since, until="2026-11-22", time_zone="UTC") as store:
        drawn = {width: draw(store, Page(width, bounded=True)) for width in WIDTHS}
    for width, lines in drawn.items():
        assert [each.plain for each in lines if each.width > width and not isinstance(each, Command)] == []
    text = "".join(
        f"{'=' * width} {width}\n" + "".join(f"{each.plain.rstrip()}\n" for each in lines)
        for width, lines in drawn.items()
    )
    file = EXPECTED / f"{draw.__name__}_{name}.txt"
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")
