"""`/api/`: what the command prints, errors in one sentence, and a description that holds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from instrument_cli.web import reading
from instrument_cli.web.site import Site
from store_rows import NOON, micros, random_rows, write

from instrument.config import Config
from instrument.errors import NotFoundError
from instrument.reading import open_store
from instrument.rows.stored import derived_id

PERIOD = {"since": "2026-03-10T00:00", "until": "2026-03-11T00:00", "tz": "UTC"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "monitoring"
    write(directory, random_rows(3, 300))
    return directory


def printed(store: Path, command: str, *options: str) -> Any:
    arguments = [sys.executable, "-m", "instrument_cli", command, "--from", str(store), "--format", "json", *options]
    return json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout)


def asked(server: Any, path: str, **parameters: Any) -> Any:
    return json.loads(server.get(f"{path}?{urllib.parse.urlencode(parameters, doseq=True)}"))


def refused(server: Any, path: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.get(path)
    with caught.value as answer:
        return answer.code, json.loads(answer.read())["error"]


def in_options(parameters: dict[str, str]) -> list[str]:
    return [piece for name, value in parameters.items() for piece in (f"--{name}", value)]


def without_moment(figures: Any) -> Any:
    figures["period"].pop("generated_at")
    return figures


def test_the_api_gives_what_the_command_prints(serve: Callable[..., Any], store: Path) -> None:
    server, period = serve(store), in_options(PERIOD)
    report = printed(store, "report", "--no-records", "--by", "entity", "--where", "agent=simple", *period)
    answer = asked(server, "/api/report", by="entity", where="agent=simple", **PERIOD)
    assert without_moment(answer["report"]) == without_moment(report["report"])
    assert answer["report"]["queries"]["total"] > 10
    assert without_moment(asked(server, "/api/stats", **PERIOD)) == without_moment(printed(store, "stats", *period))
    listed = printed(store, "queries", "--limit", "7", "--sort", "duration", "--failed")
    assert asked(server, "/api/queries", limit=7, sort="duration", failed="true") == listed
    assert len(listed) == 7
    one = listed[0]["query_id"]
    assert asked(server, f"/api/queries/{one}") == printed(store, "show", one)


def test_one_query_is_found_without_opening_days_before_it(tmp_path: Path) -> None:
    for days in (0, 1, 2, 3):
        write(tmp_path / "monitoring", random_rows(days, 20, start=NOON - timedelta(days=days), hours=2))
    with open_store(tmp_path / "monitoring") as opened:
        wanted = max(opened.records(), key=lambda one: one.start_time).query_id
    site = Site(tmp_path / "monitoring", Config(directory=str(tmp_path / "monitoring")), frozenset())
    found, [(lines,)] = reading.at_query(
        site, wanted, lambda store: (store.query(wanted), store.tables.rows("SELECT count(*) FROM lines"))
    )
    assert found.query_id == wanted
    assert 0 < lines < 60
    assert site.live._tables is not None
    assert [folder.name for folder in site.live._tables._days] == ["2026-03-10"]
    missing = derived_id(micros(NOON - timedelta(days=1)), 0)
    with pytest.raises(NotFoundError, match=missing):
        reading.at_query(site, missing, lambda store: store.query(missing))
    assert len(site.live._tables._days) == 4, "everything was looked through"
    site.live.close()


def test_a_series_adds_up_to_the_report(serve: Callable[..., Any], store: Path) -> None:
    server = serve(store)
    [series] = asked(server, "/api/series", figure="queries", every="1h", **PERIOD)
    assert len(series["values"]) == 24
    assert sum(series["values"]) == asked(server, "/api/report", **PERIOD)["report"]["queries"]["total"]
    groups = asked(server, "/api/series", figure="queries", by="agent", every="1d", **PERIOD)
    assert sum(group["values"][0] for group in groups) == sum(series["values"])


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/report?hours=x", 400, "hours='x' is wrong; give a number"),
        ("/api/report?hours=-1", 400, "hours='-1' is wrong; give a number above 0"),
        ("/api/report?hour=1", 400, "there is no parameter 'hour' here"),
        ("/api/report?tz=UTC&tz=UTC", 400, "tz is given twice"),
        ("/api/report?since=2026-03-11&until=2026-03-10", 400, "since 2026-03-11 is not before until 2026-03-10"),
        ("/api/report?agent=nobody&since=2026-03-01", 400, "no query of agent 'nobody'"),
        ("/api/queries?limit=1001", 400, "limit='1001' is wrong; give a whole number from 1 to 1000"),
        ("/api/queries?where=duration%3E%3E5", 400, "duration"),
        ("/api/series?figure=p96", 400, "did you mean p9"),
        ("/api/queries/nothing-like-it", 404, "no query has the id 'nothing-like-it'"),
        ("/api/nothing", 404, "Not Found"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_of_json(
    serve: Callable[..., Any], store: Path, path: str, status: int, sentence: str
) -> None:
    code, error = refused(serve(store), path)
    assert (code, sentence in error, "\n" in error) == (status, True, False), error


def test_a_store_that_is_not_there_yet_has_empty_figures(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(tmp_path / "monitoring")
    assert asked(server, "/api/report")["report"]["queries"]["total"] == 0
    assert asked(server, "/api/queries") == []
    assert not (tmp_path / "monitoring").exists()


def test_a_store_that_cannot_be_read_is_said(serve: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "monitoring").write_text("no directory")
    code, error = refused(serve(tmp_path / "monitoring"), "/api/report")
    assert code == 503
    assert "monitoring" in error


def test_a_slow_reader_holds_up_no_other_and_too_many_are_turned_away() -> None:
    import asyncio

    async def ask() -> list[Any]:
        readers = reading.Readers()
        held = threading.Event()
        slow = [asyncio.create_task(readers.run(held.wait)) for _ in range(reading.WORKERS - 1)]
        await asyncio.sleep(0)
        quick = await asyncio.wait_for(readers.run(lambda: "quick"), 10)
        waiting = [asyncio.create_task(readers.run(held.wait)) for _ in range(reading.MOST_WAITING + 5)]
        await asyncio.sleep(0)
        turned_away = [task for task in waiting if task.done() and isinstance(task.exception(), reading.BusyError)]
        held.set()
        await asyncio.gather(*slow, *waiting, return_exceptions=True)
        return [quick, len(turned_away)]

    assert asyncio.run(ask()) == ["quick", 4]


def test_requests_at_once_get_their_own_answers(serve: Callable[..., Any], store: Path) -> None:
    server = serve(store)
    with ThreadPoolExecutor(12) as pool:
        limits = [*range(1, 13)] * 2
        answers = list(pool.map(lambda limit: len(asked(server, "/api/queries", limit=limit)), limits))
    assert answers == limits


def test_schemathesis_finds_no_fault_in_the_description(serve: Callable[..., Any], store: Path) -> None:
    server = serve(store)
    command = Path(sys.executable).with_name("schemathesis")
    # A text that has the right form may still name a zone, an agent or a day that there is not: such a 400 is right.
    options = ["--phases", "coverage,fuzzing", "--max-examples", "8", "--seed", "7"]
    options += ["--exclude-checks", "positive_data_acceptance"]
    found = subprocess.run(
        [
            command,
            "run",
            f"{server.address}/api/openapi.json",
            *options,
            "--exclude-checks",
            "positive_data_acceptance",
        ],
        capture_output=True,
        text=True,
        timeout=270,
        cwd=store.parent,
    )
    assert found.returncode == 0, found.stdout
    assert "5 passed" in found.stdout
