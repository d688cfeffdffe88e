"""A rule shows what counting the queries that ended in its window by hand gives; partial windows are not compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import incidents_day
import pytest
from incidents_day import START, ended
from store_rows import micros, query, write

from instrument.alerting.evaluation import Readings, evaluate
from instrument.alerting.evaluator import evaluated
from instrument.alerting.past import past
from instrument.alerting.rules import Rule, rule_of
from instrument.analysis import windows
from instrument.analysis.periods import period
from instrument.analysis.windows import Moments
from instrument.config import Config
from instrument.live import Live
from instrument.reading import open_store
from instrument.rows.stored import HealthRow, Origin

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("day") / "monitoring"
    write(directory, incidents_day.rows())
    return directory


def read(directory: Path, rule: Rule, moments: Moments, since: datetime | None = None) -> Readings:
    with open_store(directory, since=since, until=moments.at(moments.count - 1), time_zone="UTC") as store:
        return evaluate(rule, store.tables, moments)


def rule(**table: object) -> Rule:
    return rule_of({"name": "r", **table})


def test_a_window_has_the_queries_that_ended_in_it(day: Path) -> None:
    moments = Moments(START + timedelta(hours=1), 600, 120)
    found = read(day, rule(figure="failure_rate", above=0.2, window="20m"), moments)[None]
    for place in range(moments.count):
        now = (moments.at(place) - START).total_seconds()
        own = [one for one in incidents_day.rows() if now - 1200 < ended(one) <= now and one.status != "cancelled"]
        failed = sum(one.status == "error" for one in own)
        assert found[place].value == pytest.approx(failed / len(own))
        assert found[place].verdict == ("beyond" if failed / len(own) > 0.2 else "within")


def test_a_filter_and_a_group_pick_their_queries(day: Path) -> None:
    moments = Moments(START + timedelta(hours=6), 60, 1)
    found = read(day, rule(figure="queries", above=1, window="1h", by="agent", where=["tenant=north"]), moments)
    for agent in ("simple", "crewai"):
        own = [
            one
            for one in incidents_day.rows()
            if one.agent == agent and one.attributes == {"tenant": "north"} and 18000 < ended(one) <= 21600
        ]
        assert found[agent][0].value == len(own)


def test_many_moments_are_worked_out_in_parts_as_one_by_one(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = Moments(START + timedelta(hours=1), 300, 200)
    slow = rule(figure="p95", above=5000, window="30m", by="agent")
    whole = read(day, slow, moments)
    monkeypatch.setattr(windows, "MOST_ROWS", 1000)
    assert read(day, slow, moments) == whole
    for place in (0, 77, 199):
        alone = read(day, slow, moments.part(place, 1))
        assert {name: own[0] for name, own in alone.items()} == {name: own[place] for name, own in whole.items()}


def test_too_few_queries_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, [query(START, serial=1, status="error")])
    moments = Moments(START + 5 * MINUTE)
    assert read(tmp_path, rule(figure="failure_rate", above=0.1), moments)[None][0].verdict == "too few"
    alone = rule(figure="failure_rate", above=0.1, least_queries=1)
    assert read(tmp_path, alone, moments)[None][0].verdict == "beyond"


def test_a_window_in_which_recording_had_only_begun_is_not_called_low(day: Path) -> None:
    quiet = rule(figure="queries", below=100, window="1h")
    assert read(day, quiet, Moments(START + 10 * MINUTE))[None][0].verdict == "no data"
    assert read(day, quiet, Moments(START + 61 * MINUTE))[None][0].verdict == "within"


def test_a_change_compares_whole_windows_alone(day: Path) -> None:
    halved = rule(kind="change", figure="queries", below=0.7, window="1h", against="4h", where=["agent=crewai"])
    found = read(day, halved, Moments(START + timedelta(hours=4, minutes=30), 3600, 10))[None]
    assert found[0].verdict == "no data"  # the earlier window begins before recording does
    assert [one.verdict for one in found].count("beyond") == 3  # 9:30, 10:30, 11:30
    assert all(found[place].verdict == "beyond" for place in (5, 6, 7))


def test_a_burn_rate_needs_both_windows(day: Path) -> None:
    budget = rule(kind="burn_rate", objective=0.95, factor=4, windows=["1h", "10m"])
    found = read(day, budget, Moments(START + timedelta(hours=14), 600, 16))[None]
    verdicts = [one.verdict for one in found]
    assert "beyond" in verdicts
    assert verdicts[0] == verdicts[-1] == "within"  # 16:30: the long window may still burn, the short one does not


def test_a_silent_agent_is_found_and_one_that_is_long_gone_is_forgotten(day: Path) -> None:
    silent = rule(kind="silent", by="agent", window="1h", seen="2h")
    moments = Moments(START + timedelta(hours=9), 600, 24)
    found = read(day, silent, moments)
    assert {one.verdict for one in found["simple"]} == {"within"}
    verdicts = [one.verdict for one in found["crewai"]]
    assert verdicts.index("beyond") in (6, 7)
    assert "no data" in verdicts  # silent for longer than `seen`
    assert verdicts[-1] == "within"


def test_dropped_records_are_counted_where_they_were_said(tmp_path: Path) -> None:
    said = HealthRow(micros(START + MINUTE), {"buffer full": 3}, {}, Origin("box", 1))
    write(tmp_path, [query(START, serial=1), said])
    lost = rule(kind="dropped", window="5m")
    found = read(tmp_path, lost, Moments(START + MINUTE / 2, 60, 8))[None]
    assert [one.verdict for one in found] == ["within", *["beyond"] * 5, "within", "within"]
    assert found[1].detail == "3 records dropped within 5m (3 buffer full)"


def test_a_name_that_no_query_has_is_no_data_and_says_so(day: Path) -> None:
    found = read(day, rule(figure="queries", above=1, where=["tennant=north"]), Moments(START + timedelta(hours=2)))
    assert found[None][0].verdict == "no data"
    assert "did you mean tenant?" in found[None][0].detail


def test_an_anomaly_needs_history_and_depends_on_nothing_that_comes_after(tmp_path: Path) -> None:
    import numpy as np

    chance = np.random.default_rng(3)
    rows = []
    for interval in range(96 * 12):
        failing = 0.6 if 96 * 11 <= interval < 96 * 11 + 8 else 0.02
        for _ in range(int(chance.poisson(12))):
            status = "error" if chance.random() < failing else "ok"
            moment = START + timedelta(seconds=900 * interval + float(chance.uniform(0, 900)))
            rows.append(query(moment, serial=len(rows) + 1, status=status))
    write(tmp_path, rows)
    odd = rule(kind="anomaly", figure="failure_rate")
    young = read(tmp_path, odd, Moments(START + timedelta(days=3)))[None][0]
    assert (young.verdict, young.detail) == ("no data", "needs 7 days of history")
    moments = Moments(START + timedelta(days=11), 900, 20)
    found = read(tmp_path, odd, moments)[None]
    assert "beyond" in [one.verdict for one in found[1:5]]
    assert found[0].verdict == "within"
    early = Moments(moments.first, 900, 5)
    assert [one.verdict for one in read(tmp_path, odd, early)[None]] == [one.verdict for one in found[:5]]


def test_the_past_says_when_it_would_have_fired(day: Path) -> None:
    failures = rule(**{"figure": "failure_rate", "above": 0.2, "window": "15m", "for": "5m", "where": ["agent=simple"]})
    whole = period(since=START, until=START + timedelta(days=1), time_zone="UTC")
    found = past(day, Config(), failures, whole)
    hours = [(one.start - START) / timedelta(hours=1) for one in found.firings]
    assert len([one for one in hours if 5 <= one < 5.5]) == 1
    assert len([one for one in hours if 14 <= one < 15]) == 1
    assert found.beyond + found.within + found.too_few + found.no_data == 24 * 60


def test_rules_find_the_same_in_tables_that_are_kept_current(day: Path) -> None:
    rules = [
        rule(figure="failure_rate", above=0.2, window="20m"),
        rule_of({"name": "by-agent", "figure": "p95", "above": 1000, "window": "2h", "by": "agent"}),
        rule_of({"name": "silent", "kind": "silent", "window": "1h"}),
    ]
    live = Live(day, Config())
    for hours in (2, 6, 10):
        now = START + timedelta(hours=hours)
        assert evaluated(day, Config(), rules, now, live.opened) == evaluated(day, Config(), rules, now)
    live.close()
