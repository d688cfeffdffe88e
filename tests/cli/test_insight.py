"""The commands of the insight: what they say, what they refuse, and that they say it in a line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("analysis", "store")]
import weeks  # noqa: E402

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


@pytest.mark.parametrize("command", [["trends"]])
def test_an_almost_empty_store_is_answered_in_sentences(metrics: Metrics, store: Path, command: list[str]) -> None:
    shown = metrics(*command)
    assert shown.code in (0, 1)
    assert len(shown.err.splitlines()) <= 1
    assert "Traceback" not in shown.out + shown.err
    assert "fault of this program" not in shown.err


def test_what_makes_no_sense_is_refused_in_a_line(metrics: Metrics, store: Path) -> None:
    for asked in (["trends", "p96x"], ["trends", "--every", "soon"], ["trends", "--by", "nothing"]):
        refused = metrics(*asked)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1), asked
