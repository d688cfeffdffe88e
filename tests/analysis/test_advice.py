"""Advice against a simulator in which it is known what each piece of it would save."""

from __future__ import annotations

import shlex
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from advice_world import KINDS, START, World

from instrument.analysis.advice import KINDS as FOUND_KINDS
from instrument.analysis.advice import Advised, records
from instrument.reading import open_store
from instrument.sinks.segments import SegmentSink

WITHIN = 1.5


def check_saving(world: World, kind: str, advised: Advised) -> None:
    assert [one.kind for one in advised.advice] == [kind]
    advice = advised.advice[0]
    true = world.true_saving(advice)
    assert true / WITHIN <= advice.saving <= true * WITHIN
    assert advice.low <= advice.saving <= advice.high
    assert advice.low > 0
    assert advice.queries >= 30
    assert advice.days >= 3
    assert advice.share >= 0.01


def test_the_simulator_has_every_kind_there_is() -> None:
    assert set(KINDS) == set(FOUND_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_with_its_saving_and_no_other_is(tmp_path: Path, kind: str) -> None:
    world = World([kind])
    check_saving(world, kind, world.advice(tmp_path))


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_advised_where_there_is_nothing_to_save(tmp_path: Path, seed: int) -> None:
    advised = World(seed=seed).advice(tmp_path)
    assert advised.advice == []
    assert advised.note == "Nothing to advise, from 2,100 queries over 14 days."


def test_the_examples_and_the_filters_are_of_the_queries_concerned(tmp_path: Path) -> None:
    world = World(["loop"])
    advice = world.advice(tmp_path).advice[0]
    with open_store(tmp_path) as store:
        shown = {one.query_id for one in store.queries(advice.where)}
        assert len(shown) == advice.queries
        assert len(advice.examples) == 3
        assert set(advice.examples) <= shown
        calls = len(store.query(advice.examples[0]).calls)
    assert calls > 60


def test_the_command_lists_them(tmp_path: Path) -> None:
    world = World(["timeout"])
    advice = world.advice(tmp_path).advice[0]
    words = shlex.split(advice.command)
    assert words[0] == "metrics"
    command = [sys.executable, "-m", "instrument_cli", *words[1:], "--limit", "1000", "--directory", str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert all(example[-6:] in shown.stdout or example[:8] in shown.stdout for example in advice.examples)


def test_a_change_is_named_by_the_version_that_came_with_it(tmp_path: Path) -> None:
    advice = World(["slower_since"]).advice(tmp_path).advice[0]
    assert "version=2.0 came then" in advice.evidence
    assert "attribute:version=2.0" in advice.where
    since = START + timedelta(days=7)
    assert (
        f"--since {since:%Y-%m-%d}T" in advice.command
        or f"--since {since - timedelta(days=1):%Y-%m-%d}T" in advice.command
    )


def test_filters_pick_what_advice_is_given_on(tmp_path: Path) -> None:
    world = World(["loop"])
    SegmentSink(tmp_path, now=lambda: START.timestamp()).write(world.rows)
    with open_store(tmp_path) as store:
        assert store.advice("agent=simple").advice == []
        found = store.advice("agent=crewai").advice
    assert [one.kind for one in found] == ["loop"]
    assert found[0].where[0] == "agent=crewai"


def test_few_queries_or_days_are_answered_in_a_sentence(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        assert store.advice().note == "No queries in this period: nothing can be advised."
    few = World(["loop"], days=2).advice(tmp_path / "few")
    assert few.advice == []
    assert few.note == "Advice needs at least 30 queries over 3 days. This period has 300 queries over 2 days."


def test_a_sampled_store_is_weighed(tmp_path: Path) -> None:
    world = World(["loop"])
    for row in world.rows:
        row.weight = 4.0
    advice = world.advice(tmp_path).advice[0]
    true = 4 * world.saved["loop"]
    assert true / WITHIN <= advice.saving <= true * WITHIN


def test_of_very_many_queries_some_hours_stand_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_QUERIES", 1000)
    world = World(["parallel_calls"])
    advised = world.advice(tmp_path)
    [advice] = advised.advice
    assert world.saved["parallel_calls"] / WITHIN <= advice.saving <= world.saved["parallel_calls"] * WITHIN
    assert advised.days == 14
    assert 800 < advised.queries < 1200
    assert advised.note == f"Worked out from a part of the period: {advised.queries:,} of 2,100 queries."


def test_figures_that_cannot_be_are_not_known_and_nothing_breaks(tmp_path: Path) -> None:
    world = World(["loop"])
    for place, row in enumerate(world.rows):
        row.cost_usd, row.input_tokens = 1e308, 10**18
        if row.selection is not None:
            row.selection.score = 1e308
        row.agent = 'a"b=,~' if place % 2 else None
        for call in row.calls[::3]:
            call.name, call.begin = "x\"'=", 10**15
        if place % 7 == 0:
            row.calls[0].duration = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advised = world.advice(tmp_path)
    for advice in advised.advice:
        with open_store(tmp_path) as store:
            assert store.queries(advice.where)


def test_a_mutation_made_again_is_no_repetition(tmp_path: Path) -> None:
    world = World(["repeated_operation"])
    for row in world.rows:
        for call in row.calls:
            call.name = call.name.replace("query", "mutation")
    assert world.advice(tmp_path).advice == []
