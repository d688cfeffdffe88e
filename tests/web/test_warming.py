"""The overview is ready before anybody opens it; what is live is worked out anew all the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from instrument_cli.web import figures, pages, warming
from instrument_cli.web.figures import Figures, figures_of, used
from instrument_cli.web.live import Channel
from instrument_cli.web.site import Site
from instrument_cli.web.view import View
from store_rows import random_rows, write

from instrument.config import Config
from instrument.reading import Store
from tests.web.watching import record


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write(tmp_path / "monitoring", random_rows(1, 20))
    return Site(tmp_path / "monitoring", Config(directory=str(tmp_path / "monitoring")), frozenset())


def test_a_page_shows_what_is_kept_ready_and_the_live_stream_what_is_new(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_SECONDS", 0.0)  # a result is due again at once
    kept, worked_out = Figures(site), list[str]()

    def work(store: Store) -> int:
        worked_out.append("once more")
        return len(worked_out)

    def asked(view: View) -> object:
        return kept.of(view, "a figure", work)

    assert asked(View("/")) == 1
    record(site.directory)
    assert asked(View("/")) == 2
    kept.show_for(View("/"), 60)
    record(site.directory)
    assert [asked(View("/")), asked(View("/queries"))] == [2, 2]
    assert asked(View("/", "7d")) == 3
    with used():
        assert asked(View("/")) == 4
    kept.close()


def test_a_figure_stands_while_nothing_new_comes_until_the_period_has_moved_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_SECONDS", 0.0)  # a result is due again at once
    kept, worked_out = Figures(site), list[str]()

    def asked() -> int:
        def work(store: Store) -> int:
            worked_out.append("once more")
            return len(worked_out)

        return int(kept.of(View("/"), "a figure", work))

    assert [asked(), asked()] == [1, 1]
    record(site.directory)
    assert [asked(), asked()] == [2, 2]
    monkeypatch.setattr(figures, "UNCHANGED_SECONDS", 0.0)
    assert asked() == 3
    kept.close()


def test_who_begins_to_watch_has_nothing_worked_out_anew_where_nothing_came(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(site.directory)
    pages.draw(site, View("/"))
    monkeypatch.setattr(Figures, "_worked_out", None)  # nothing can be worked out from now on
    channel = Channel(site, View("/"))
    changed, behind, _ = channel._changed()
    assert (len(changed) > 5, behind) == (True, [])
    assert channel._changed()[:2] == ({}, [])
    record(site.directory)
    assert channel._changed()[1], "what came before anybody followed the store is missed"


def test_the_overview_is_worked_out_before_anybody_asks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=warming.run, args=(site, stop))
    thread.start()
    kept, deadline = figures_of(site), time.monotonic() + 60
    while not any(one.shown_until for one in list(kept._results.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    monkeypatch.setattr(Figures, "opened", None)  # nothing can be worked out from now on
    assert pages.draw(site, View("/")).title == "Overview"
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "PAUSE_SECONDS", 0.05)
    directory = tmp_path / "monitoring"
    site = Site(directory, Config(directory=str(directory)), frozenset())
    stop = threading.Event()
    thread = threading.Thread(target=warming.run, args=(site, stop))
    thread.start()
    time.sleep(0.3)
    assert not figures_of(site)._results
    write(directory, random_rows(1, 20))
    deadline = time.monotonic() + 60
    while not figures_of(site)._results and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(10)
    assert figures_of(site)._results
