"""Every test begins as a fresh process would: default settings, a store of its own, nothing open, nothing recorded."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from instrument import configure, shutdown
from instrument.collecting import hot
from instrument.collecting.collector import collector
from instrument.recording import failures, queries
from instrument.recording.scope import NOBODY, current
from instrument.recording.selections import _pending

_places = itertools.count()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every test finds an empty one."""
    return tmp_path_factory.mktemp("places")


@pytest.fixture(autouse=True)
def apart(places: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep a test from its neighbours, whatever it or they leave behind."""
    for name in [name for name in os.environ if name.startswith("INSTRUMENT_")]:
        monkeypatch.delenv(name)
    # As in an application without greenlet, which the tests of greenlets have imported: those ask for it themselves.
    monkeypatch.setattr(queries, "watch_greenlet", lambda: None)
    monkeypatch.setattr(hot, "ident", threading.get_ident)
    place = places / str(next(_places))
    place.mkdir()
    monkeypatch.chdir(place)  # no instrument.toml or pyproject.toml above it
    _forget()
    configure(directory=place / "monitoring")
    yield
    shutdown(timeout=5)
    _forget()


def _forget() -> None:
    """Take back what earlier tests left in the process: settings, open spans, waiting selections, counts."""
    current.set(NOBODY)
    _pending.clear()
    failures._recent.clear()
    queries._held.clear()
    buffer, losses = collector.buffer, collector.losses
    for leftover in (collector.opened, buffer.rows, buffer.inherited, buffer.captures):
        leftover.clear()
    for counts in (losses.dropped, losses.problems, losses.said, collector._overrides):
        counts.clear()
