"""The commands of the insight: what they say, what they refuse, and that they say it in a line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_store import Answer

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("analysis", "store")]
import weeks  # noqa: E402
from advice_world import World  # noqa: E402
from instrument_cli.rendering.page import Page  # noqa: E402
from instrument_cli.rendering.trends import draw_trends  # noqa: E402
from store_rows import SERIAL, query  # noqa: E402

from instrument.analysis.learning import renew  # noqa: E402
from instrument.prediction import FILE  # noqa: E402
from instrument.reading import open_store  # noqa: E402
from instrument.sinks.segments import SegmentSink  # noqa: E402

Metrics = Callable[..., Answer]
PERIOD = ("--since", "2026-03-02", "--until", "2026-03-30", "--tz", "UTC")


@pytest.fixture
def four_weeks(tmp_path: Path) -> Path:
    return weeks.store(tmp_path / "monitoring", weeks.Plan(slower_day=18.5, rate=10))


def test_trends_show_figures_a_finding_and_the_command_behind_it(metrics: Metrics, four_weeks: Path) -> None:
    shown = metrics("trends", *PERIOD)
    assert (shown.code, shown.err) == (0, "")
    assert "P95 rose on 20 Mar" in shown.out
    assert "crewai" in shown.out or "north" in shown.out
    command = next(row.strip() for row in shown.out.splitlines() if row.strip().startswith("metrics queries"))
    listed = metrics(*shlex.split(command)[1:])
    assert listed.code == 0
    assert "crewai" in listed.out
    found = json.loads(metrics("trends", "p95", "--format", "json", *PERIOD).out)
    assert [one["figure"] for one in found["figures"]] == ["p95"]


def test_anomalies_show_stretches_and_queries_and_show_says_why(metrics: Metrics, tmp_path: Path) -> None:
    folder = weeks.store(tmp_path / "monitoring", weeks.Plan(failing_day=24))
    slow = query(weeks.START + timedelta(days=20), "simple", serial=SERIAL - 1, duration=900 * 10**9)
    sink = SegmentSink(folder)
    sink.write([slow])
    sink.close()
    shown = metrics("anomalies", *PERIOD)
    assert (shown.code, shown.err) == (0, "")
    assert "failed, expected" in shown.out
    assert "Duration 15 m 00 s, usually" in shown.out
    [one] = json.loads(metrics("anomalies", "--format", "json", *PERIOD).out)["queries"]
    assert "Unusual" in metrics("show", one["query_id"]).out
    assert (
        "Unusual"
        not in metrics("show", json.loads(metrics("queries", "--format", "json", *PERIOD).out)[0]["query_id"]).out
    )


def test_a_finding_s_command_is_whole_in_a_narrow_terminal(metrics: Metrics, four_weeks: Path) -> None:
    [found, *_] = json.loads(metrics("trends", "--format", "json", *PERIOD).out)["findings"]
    with open_store(four_weeks, since=PERIOD[1], until=PERIOD[3], time_zone="UTC") as store:
        drawn = draw_trends(store.trends(), Page(40, True, UTC), 10)
    assert any(found["command"] == one.cut(40).plain.strip() for one in drawn)


def test_a_report_points_at_what_compact_found(metrics: Metrics, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    weeks.store(tmp_path / "monitoring", weeks.Plan(slower_day=24, start=now - timedelta(days=28)))
    assert "metrics trends" not in metrics("report", "--hours", "48").out
    assert metrics("compact").code == 0
    shown = metrics("report", "--hours", "48")
    assert (shown.code, shown.err) == (0, "")
    assert "P95 rose on" in shown.out.replace("\n", " ")
    assert "metrics trends" in shown.out
    found = json.loads(metrics("report", "--hours", "48", "--format", "json", "--no-records").out)
    assert "metrics trends" in found["report"]["notices"][0]


def test_a_forecast_has_a_mean_and_an_interval_for_each_day(metrics: Metrics, four_weeks: Path) -> None:
    shown = metrics("forecast", "--days", "3", *PERIOD)
    assert (shown.code, shown.err) == (0, "")
    assert all(day in shown.out for day in ("Mon 30 Mar", "Tue 31 Mar", "Wed 1 Apr"))
    [found] = json.loads(metrics("forecast", "--days", "9", "--format", "json", *PERIOD).out)
    assert [one["day"] for one in found["days"]][:2] == ["2026-03-30", "2026-03-31"]
    assert len(found["days"]) == 9
    assert all(0 <= one["low"] <= one["mean"] <= one["high"] for one in found["days"])
    groups = json.loads(metrics("forecast", "cost", "--by", "agent", "--format", "json", *PERIOD).out)
    assert {one["group"] for one in groups} == {"crewai", "simple"}


def test_capacity_says_workers_growth_and_what_it_assumes(metrics: Metrics, four_weeks: Path) -> None:
    shown = metrics("capacity", "--workers", "2", "--target-p95", "30s", *PERIOD)
    assert (shown.code, shown.err) == (0, "")
    assert "The target needs 1 worker at today's volume" in shown.out
    assert "counts the waiting twice" in shown.out
    found = json.loads(metrics("capacity", "--workers", "2", "--format", "json", *PERIOD).out)
    assert found["needed_now"] is None  # the queries alone take longer than the target of 5 s
    assert any("No number of workers" in sentence for sentence in found["sentences"])


def test_a_query_is_predicted_from_what_was_learned(metrics: Metrics, four_weeks: Path) -> None:
    untaught = metrics("predict", "unpaid bills", "--agent", "crewai")
    assert (untaught.code, untaught.out) == (1, "")
    assert "metrics predict --renew" in untaught.err
    with open_store(four_weeks) as store:
        renew(four_weeks, store.tables, 0)
    shown = metrics("predict", "unpaid bills", "--agent", "crewai", "--attribute", "tenant=north")
    assert (shown.code, shown.err) == (0, "")
    assert "similar queries" in shown.out
    said = json.loads(metrics("predict", "unpaid bills", "--agent", "crewai", "--format", "json").out)
    assert said["p90_ms"] > said["p50_ms"] > 1000
    judged = json.loads(metrics("predict", "--evaluate", "--format", "json").out)
    assert 0.85 <= judged["covered"] <= 0.95
    assert "Too few similar queries" in metrics("predict", "x", "--agent", "nobody").out


def test_advice_says_what_it_saves_why_and_how_it_misleads(metrics: Metrics, tmp_path: Path) -> None:
    World(["loop", "timeout"]).advice(tmp_path / "monitoring")
    period = ("--since", "2026-03-02", "--until", "2026-03-16", "--tz", "UTC")
    shown = metrics("advise", *period)
    assert (shown.code, shown.err) == (0, "")
    assert "1. End archive after" in shown.out
    assert "Beware: Hard queries may need more calls." in shown.out
    assert "do not add them up" in shown.out
    command = next(row.strip() for row in shown.out.splitlines() if row.strip().startswith("metrics queries"))
    assert metrics(*shlex.split(command)[1:]).code == 0
    found = json.loads(metrics("advise", "--format", "json", *period).out)
    assert [one["kind"] for one in found["advice"]] == ["timeout", "loop"]
    written = metrics("advise", "--format", "markdown", "--top", "1", *period).out
    assert written.startswith("## Advice")
    assert "1. **End archive after" in written
    assert "1 smaller piece of advice not shown" in written


def test_compacting_learns_anew_and_never_fails_of_it(metrics: Metrics, tmp_path: Path, store: Path) -> None:
    assert metrics("compact").code == 0
    assert (store / FILE).is_file()
    (store / FILE).unlink()
    (store / FILE).mkdir()
    done = metrics("compact")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ["trends"],
        ["anomalies"],
        ["advise"],
        ["advise", "--format", "markdown"],
        ["forecast"],
        ["capacity", "--workers", "2"],
        ["predict", "--evaluate"],
        ["predict", "--renew", "text"],
    ],
)
def test_an_almost_empty_store_is_answered_in_sentences(metrics: Metrics, store: Path, command: list[str]) -> None:
    shown = metrics(*command)
    assert shown.code in (0, 1)
    assert len(shown.err.splitlines()) <= 1
    assert "Traceback" not in shown.out + shown.err
    assert "fault of this program" not in shown.err


def test_what_makes_no_sense_is_refused_in_a_line(metrics: Metrics, store: Path) -> None:
    for asked in (
        ["trends", "p96x"],
        ["trends", "--every", "soon"],
        ["trends", "--by", "nothing"],
        ["anomalies", "--by", "nothing"],
        ["anomalies", "--budget", "0"],
        ["anomalies", "--top", "0"],
        ["advise", "--top", "0"],
        ["advise", "--format", "csv"],
        ["advise", "--where", "nothing"],
        ["forecast", "--days", "0"],
        ["forecast", "p96x"],
        ["capacity"],
        ["capacity", "--workers", "0"],
        ["capacity", "--workers", "1", "--target-p95", "soon"],
        ["predict"],
        ["predict", "x", "--attribute", "tenant"],
    ):
        refused = metrics(*asked)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1), asked
