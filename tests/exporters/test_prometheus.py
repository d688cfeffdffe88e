"""Counters out of the store: what a report says, each record once, and never less than before."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument import outside_counts
from instrument.config import Config
from instrument.exporters.prometheus import counting, exporter
from instrument.exporters.prometheus.exporter import Exporter
from instrument.reading import open_store
from instrument.rows.live import ChoiceRow, ModelFacts
from instrument.rows.stored import CallRow, HealthRow, Origin, QueryRow, Row, SelectionRow, StandaloneCallRow, id_of
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget

SLOW = 10.0
LATER = NOON + timedelta(days=3)

Page = dict[str, float]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "monitoring"


class Scraper:
    """An exporter as Prometheus sees it: `page` reads it, `restart` begins anew, as after a kill."""

    def __init__(self, store: Path, **settings: int) -> None:
        self.store = store
        self.config = Config(directory=str(store), **settings)  # type: ignore[arg-type]
        self.said: list[str] = []
        self.exporter = Exporter(store, self.config, self.said.append)

    def restart(self) -> None:
        self.exporter = Exporter(self.store, self.config, self.said.append)

    def text(self, reader: str = "one", *, open_metrics: bool = False) -> str:
        while not self.exporter.catch_up(SLOW):
            pass
        return self.exporter.page(open_metrics=open_metrics, reader=reader).decode()

    def page(self, reader: str = "one") -> Page:
        samples = (line.rpartition(" ") for line in self.text(reader).splitlines() if not line.startswith("#"))
        return {series: float(value) for series, _, value in samples}


def by(page: Page, metric: str, *labels: str) -> dict[str, float]:
    """A metric's samples added up by the values of labels."""
    found: dict[str, float] = defaultdict(float)
    for series, value in page.items():
        name, _, rest = series.partition("{")
        if name == metric and value:
            pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest))
            found["/".join(pairs.get(label, "") for label in labels)] += value
    return dict(found)


def falls(before: Page, after: Page) -> dict[str, tuple[float, float]]:
    return {name: (value, after.get(name, 0)) for name, value in before.items() if after.get(name, 0) < value}


def named(*names: str, begin: int = 0, **more: object) -> list[Row]:
    return [
        query(NOON + timedelta(seconds=begin + place), name, serial=SERIAL + begin + place, **more)
        for place, name in enumerate(names)
    ]


# -- the figures of a report -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 4.0, 2.5)], ids=["all kept", "sampled"])
@pytest.mark.parametrize("compacts", [False, True], ids=["segments", "compacted"])
def test_counters_are_the_figures_of_the_report(store: Path, weights: tuple[float, ...], compacts: bool) -> None:
    rows = [row for row in random_rows(5, 800, weights=weights) if not _has_open_call(row)]
    write(store, rows)
    if compacts:
        compact(store, now=LATER, retention_days=30)
    page = Scraper(store).page()
    with open_store(store, since=NOON - timedelta(days=2), until=NOON + timedelta(days=2)) as opened:
        report, stats = opened.report(), opened.stats()

    def same(found: dict[str, float], wanted: dict[str, float]) -> None:
        assert found == pytest.approx({name: value for name, value in wanted.items() if value})

    outcomes = {"successful": report.queries.successful, "failed": report.queries.failed}
    same(by(page, "agent_instrument_queries_total", "outcome"), outcomes | {"cancelled": report.queries.cancelled})
    agents = {name: figures.queries for name, figures in report.agents.items()}
    same(by(page, "agent_instrument_queries_total", "agent"), agents)
    same(by(page, "gen_ai_invoke_agent_duration_seconds_count", "gen_ai_agent_name"), agents)
    busy = {name: figures.busy_ms / 1000 for name, figures in report.agents.items()}
    same(by(page, "gen_ai_invoke_agent_duration_seconds_sum", "gen_ai_agent_name"), busy)
    same(by(page, "agent_instrument_query_errors_total", "error_type"), report.errors)
    same(by(page, "agent_instrument_call_errors_total", "error_type"), report.call_errors)
    same(by(page, "agent_instrument_slow_queries_total"), {"": report.response_times.slow})
    same(by(page, "agent_instrument_very_slow_queries_total"), {"": report.response_times.very_slow})
    same(by(page, "agent_instrument_entities_total", "entity"), report.entities)
    same(by(page, "agent_instrument_query_first_chunk_seconds_count"), {"": report.first_chunk.streams})
    calls = {f"tool/{name}": figures.calls for name, figures in report.tools.items()}
    calls |= {f"graphql/{name}": figures.calls for name, figures in report.graphql.items()}
    calls |= {"model/small-1": report.models["small-1"].calls}
    same(by(page, "agent_instrument_calls_total", "kind", "name"), calls)
    failed = {f"tool/{name}/failed": figures.failed for name, figures in report.tools.items()}
    failed |= {f"graphql/{name}/failed": figures.failed for name, figures in report.graphql.items()}
    ended = by(page, "agent_instrument_calls_total", "kind", "name", "outcome")
    same({name: value for name, value in ended.items() if name.endswith("/failed")}, failed)
    timed = by(page, "gen_ai_execute_tool_duration_seconds_count", "gen_ai_tool_name")
    same(timed, {name: figures.calls for name, figures in report.tools.items()})
    tokens = {name: figures.tokens for name, figures in report.agents.items()}
    same(by(page, "agent_instrument_tokens_total", "agent"), tokens)
    cost = {name: figures.cost_usd or 0 for name, figures in report.agents.items()}
    same(by(page, "agent_instrument_cost_usd_total", "agent"), cost)
    model = report.models["small-1"]
    usage = by(page, "gen_ai_client_token_usage_sum", "gen_ai_request_model", "gen_ai_token_type")
    same(usage, {"small-1/input": model.input_tokens, "small-1/output": model.output_tokens})
    same(
        by(page, "agent_instrument_selections_total", "agent"),
        {name: figures.selections for name, figures in stats.selections.items()},
    )
    same(by(page, "agent_instrument_complexity_score_count"), {"": report.complexity.scored})
    high = report.complexity.scored - sum(
        value
        for name, value in page.items()
        if name.startswith("agent_instrument_complexity_score_bucket") and 'le="0.7"' in name
    )
    assert high == pytest.approx(report.complexity.high)
    same(
        by(page, "agent_instrument_metric_values_total", "metric"),
        {name: figures.count for name, figures in report.metrics.items()},
    )
    sums = {name: figures.sum for name, figures in report.metrics.items()}
    same(by(page, "agent_instrument_metric_sum_total", "metric"), {n: v for n, v in sums.items() if v > 0})
    same(by(page, "agent_instrument_metric_negative_sum_total", "metric"), {n: -v for n, v in sums.items() if v < 0})
    nested = sum(figures.nested for figures in stats.agents.values())
    same(by(page, "agent_instrument_nested_queries_total"), {"": nested})


def _has_open_call(row: Row) -> bool:
    return isinstance(row, QueryRow) and any(call.duration is None for call in row.calls)


# -- each record once ------------------------------------------------------------------------------------------------


def test_a_call_that_ends_after_its_query_counts_once_and_as_it_ended(store: Path) -> None:
    late, lost = named("crewai", "simple", calls=[CallRow("search", 0, duration=None)])
    assert isinstance(late, QueryRow)
    write(store, [late, lost])
    scraper = Scraper(store)
    assert by(scraper.page(), "agent_instrument_calls_total", "outcome") == {}
    back = StandaloneCallRow(late.started, "search", 2_000_000_000, parent=id_of(late), place=0, late=True)
    write(store, [back])
    scraper.page()  # on which the new series is 0
    page = scraper.page()
    assert by(page, "agent_instrument_calls_total", "name", "outcome") == {"search/successful": 1}
    timed = by(page, "gen_ai_execute_tool_duration_seconds_sum", "gen_ai_agent_name")
    assert timed == {"crewai": 2}


def test_a_call_that_does_not_come_back_counts_as_failed_and_not_twice_when_it_does(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SETTLED_SECONDS", 0.0)
    [lost] = named("simple", calls=[CallRow("search", 0, duration=None)])
    assert isinstance(lost, QueryRow)
    write(store, [lost])
    scraper = Scraper(store)
    scraper.page()
    assert by(scraper.page(), "agent_instrument_calls_total", "outcome") == {"failed": 1}
    write(store, [StandaloneCallRow(lost.started, "search", 5, parent=id_of(lost), place=0, late=True)])
    assert by(scraper.page(), "agent_instrument_calls_total", "outcome") == {"failed": 1}


def test_tokens_of_a_late_model_call_count_for_the_agent_of_its_query(store: Path) -> None:
    [first] = named("crewai", input_tokens=10)
    assert isinstance(first, QueryRow)
    facts = ModelFacts("small", "local", input_tokens=5, output_tokens=7, cost_usd=0.5)
    write(store, [first])
    scraper = Scraper(store)
    scraper.page()
    write(
        store, [StandaloneCallRow(first.started, "chat", 9, kind="model", parent=id_of(first), late=True, facts=facts)]
    )
    scraper.page()
    page = scraper.page()
    tokens = by(page, "agent_instrument_tokens_total", "agent", "type")
    assert tokens == {"crewai/input": 15, "crewai/output": 7}
    assert by(page, "agent_instrument_cost_usd_total", "agent", "model") == {"crewai/small": 0.5}


def test_a_selection_counts_once_inside_its_query_or_linked_later(store: Path) -> None:
    inside, later = named("crewai", "crewai")
    assert isinstance(inside, QueryRow)
    assert isinstance(later, QueryRow)
    inside.selection = ChoiceRow(inside.started, "crewai", 0.9)
    write(store, [inside, later])
    scraper = Scraper(store)
    scraper.page()
    write(store, [SelectionRow(later.started, "crewai", score=0.2, parent=id_of(later))])
    page = scraper.page()
    assert by(page, "agent_instrument_selections_total", "agent") == {"crewai": 2}


def test_dropped_records_count_once_whether_the_store_or_a_file_beside_it_says_so(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(exporter, "_OUTSIDE_SECONDS", 0.0)
    write(store, named("simple"))
    beside = outside_counts.OutsideCounts(str(store))
    beside.keep(outside_counts.Counts(1, {"failing disk": 3}, {}))
    scraper = Scraper(store)
    scraper.page()
    scraper.page()
    counted = by(scraper.page(), "agent_instrument_records_dropped_total", "reason")
    assert counted == {"failing disk": 3}
    write(store, [HealthRow(micros(NOON), {"failing disk": 3, "full": 2}, {"a fault": 1}, Origin("host", 1))])
    beside.remove()
    scraper.page()
    page = scraper.page()
    assert by(page, "agent_instrument_records_dropped_total", "reason") == {"failing disk": 3, "full": 2}
    assert by(page, "agent_instrument_problems_total", "kind") == {"a fault": 1}


# -- never less than before ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["at once", "after more came"])
def test_counters_after_a_kill_are_those_before_it(store: Path, how: str) -> None:
    write(store, random_rows(1, 200))
    scraper = Scraper(store)
    before = scraper.page()
    if how == "after more came":
        write(store, random_rows(2, 100), "130000-1-0badcafe.jsonl")
        scraper.exporter.catch_up(SLOW)  # counted, and not in the ledger yet
    scraper.restart()
    after = scraper.page()
    assert not falls(before, after)
    if how == "at once":
        assert after == before
    with open_store(store) as opened:
        [(roots,)] = opened.sql("SELECT count(*) FROM queries WHERE parent_id IS NULL").fetchall()
    scraper.page()
    assert sum(by(scraper.page(), "agent_instrument_queries_total").values()) == roots


def test_counters_never_fall_at_compaction_retention_and_forget(store: Path) -> None:
    write(store, random_rows(1, 300))
    scraper = Scraper(store)
    before = scraper.page()
    compact(store, now=LATER, retention_days=30)
    assert scraper.page() == before
    write(store, random_rows(2, 100, start=NOON + timedelta(days=1)), "130000-1-0badcafe.jsonl")
    compact(store, now=LATER, retention_days=30)  # a part of what it takes in has not been read
    scraper.page()
    grown = scraper.page()
    assert not falls(before, grown)
    forget(store, Wanted([], "unpaid"))
    assert scraper.page() == grown
    compact(store, now=NOON + timedelta(days=90), retention_days=30)
    assert scraper.page() == grown
    scraper.restart()
    assert scraper.page() == grown


def test_counters_go_on_in_a_store_that_was_made_anew(store: Path) -> None:
    write(store, named("simple", "simple"))
    scraper = Scraper(store)
    before = scraper.page()
    shutil.move(store, store.with_name("moved"))
    assert not falls(before, scraper.page())
    write(store, named("simple", begin=10))
    page = scraper.page()
    assert by(page, "agent_instrument_queries_total", "agent") == {"simple": 3}
    scraper.restart()
    assert scraper.page() == page


def test_a_ledger_of_another_store_goes_on_with_what_comes(store: Path) -> None:
    write(store, named("simple", "simple"))
    Scraper(store).page()
    (store / ".state" / "store").unlink()
    scraper = Scraper(store)
    assert by(scraper.page(), "agent_instrument_queries_total", "agent") == {"simple": 2}
    assert any("only what comes from now on" in said for said in scraper.said)
    write(store, named("simple", begin=10), "130000-1-0badcafe.jsonl")
    assert by(scraper.page(), "agent_instrument_queries_total", "agent") == {"simple": 3}


def test_a_damaged_ledger_is_set_aside_and_said(store: Path) -> None:
    write(store, named("simple", "simple"))
    Scraper(store).page()
    ledger = store / ".state" / "prometheus.json"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    scraper = Scraper(store)
    assert by(scraper.page(), "agent_instrument_queries_total", "agent") == {"simple": 2}
    assert "damaged" in scraper.said[0]
    assert ledger.with_suffix(".unusable").exists()


def test_of_a_large_store_without_a_ledger_only_what_comes_is_counted(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "LARGEST_HISTORY", 10)
    write(store, named("simple", "simple"))
    scraper = Scraper(store)
    assert by(scraper.page(), "agent_instrument_queries_total") == {}
    write(store, named("crewai", begin=10), "130000-1-0badcafe.jsonl")
    scraper.page()
    assert by(scraper.page(), "agent_instrument_queries_total", "agent") == {"crewai": 1}


# -- the page --------------------------------------------------------------------------------------------------------


def test_a_new_series_is_0_for_one_scrape_of_each_reader(store: Path) -> None:
    write(store, named("simple"))
    scraper = Scraper(store)
    scraper.page("one")
    write(store, named("crewai", begin=10))
    failed = 'agent_instrument_queries_total{agent="crewai",outcome="successful"}'
    assert [scraper.page("one")[failed], scraper.page("one")[failed]] == [0, 1]
    assert [scraper.page("two")[failed], scraper.page("two")[failed]] == [1, 1]  # which "one" has seen
    write(store, named("multi_step", begin=20))
    other = failed.replace("crewai", "multi_step")
    assert [scraper.page("one")[other], scraper.page("two")[other]] == [0, 0]
    scraper.restart()
    assert scraper.page("one")[other] == 1


def test_a_reader_that_missed_a_new_series_sees_it_at_0_after_a_restart_too(store: Path) -> None:
    write(store, named("simple"))
    scraper = Scraper(store)
    scraper.page("one")
    scraper.page("two")
    write(store, named("crewai", begin=10))
    new = 'agent_instrument_queries_total{agent="crewai",outcome="successful"}'
    assert [scraper.page("one")[new], scraper.page("one")[new]] == [0, 1]
    scraper.restart()
    assert [scraper.page("two")[new], scraper.page("two")[new]] == [0, 1]
    scraper.restart()
    assert [scraper.page("one")[new], scraper.page("two")[new]] == [1, 1]


def test_ten_thousand_tool_names_make_a_bounded_page(store: Path) -> None:
    calls = [[CallRow(f"tool {number} {place}", 0, duration=5) for place in range(10)] for number in range(1000)]
    write(store, [query(serial=SERIAL + number, calls=each) for number, each in enumerate(calls)])
    scraper = Scraper(store, max_label_values=50)
    page = scraper.page()
    by_name = by(page, "agent_instrument_calls_total", "name")
    assert len(by_name) == 51
    assert sum(by_name.values()) == 10_000
    assert by_name["other"] == 9_950
    assert len(page) < 2500
    scraper.restart()
    assert scraper.page() == page


def test_ten_thousand_agents_that_each_have_many_errors_make_a_bounded_page(store: Path) -> None:
    rows = [
        query(NOON, f"agent {number % 100}", serial=SERIAL + number, status="error", error=f"Error{number // 100}")
        for number in range(10_000)
    ]
    write(store, rows)
    page = Scraper(store, max_label_values=20).page()
    errors = by(page, "agent_instrument_query_errors_total", "agent", "error_type")
    assert len(errors) <= 201
    assert sum(errors.values()) == 10_000


@pytest.mark.parametrize("open_metrics", [False, True], ids=["plain", "OpenMetrics"])
def test_names_that_anybody_made_up_stand_escaped_on_the_page(store: Path, open_metrics: bool) -> None:
    odd = 'a "quoted"\\ name\nand a\\slash \ud800 Ünï' + "x" * 500
    write(store, [query(agent=odd, calls=[CallRow("", 0, duration=5)], entities=["\x00 \x1b[31m"])])
    text = Scraper(store).text(open_metrics=open_metrics)
    assert r'agent="a \"quoted\"\\ name\nand a\\slash ' in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(len(line) < 500 for line in lines)
    sample = re.compile(r'[a-z_]+(\{(\w+="([^"\\\n]|\\[\\"n])*",?)+\})? \S+( # .*)?')
    assert [line for line in lines if not sample.fullmatch(line)] == []
    assert text.endswith("# EOF\n") == open_metrics


def test_exemplars_name_a_query_that_lies_in_their_bucket(store: Path) -> None:
    rows = named("simple", duration=3_000_000_000)
    write(store, rows)
    assert isinstance(rows[0], QueryRow)
    text = Scraper(store).text(open_metrics=True)
    [line] = [line for line in text.splitlines() if line.startswith("gen_ai_invoke") and "# {" in line]
    sample, _, exemplar = line.partition(" # ")
    assert 'le="3.2"' in sample
    assert exemplar.startswith(f'{{query_id="{id_of(rows[0])}"}} 3.0 ')
    assert "# {" not in Scraper(store).text()


def test_a_call_outside_any_query_counts_and_names_none(store: Path) -> None:
    write(store, [StandaloneCallRow(micros(NOON), "probe", 3_000_000_000)])
    scraper = Scraper(store)
    text = scraper.text(open_metrics=True)
    assert by(scraper.page(), "gen_ai_execute_tool_duration_seconds_count", "gen_ai_tool_name") == {"probe": 1}
    assert "# {" not in text


def test_promtool_finds_no_fault_with_the_page(store: Path) -> None:
    from programs import needs

    [promtool] = needs("promtool")
    write(store, random_rows(4, 300))
    text = Scraper(store).text()
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
