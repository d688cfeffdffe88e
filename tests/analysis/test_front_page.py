"""The first page's parts, worked out at once, are exactly what their own methods give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store_rows import NOON, SERIAL, model_call, query, random_rows, write

from instrument.analysis import listing
from instrument.analysis.front_page import LATEST
from instrument.analysis.measures import known, measure_together, measures
from instrument.analysis.periods import period as period_of
from instrument.analysis.side_by_side import Kind
from instrument.analysis.timeline import CALLS, ROOTS
from instrument.config import Config
from instrument.live import Live
from instrument.reading import open_store
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, StandaloneCallRow, derived_id
from instrument.store.tables import Tables
from instrument.store.upkeep.compaction import compact

PERIODS: dict[str, dict[str, Any]] = {
    "an hour": {"hours": 1},
    "most of it": {"hours": 30},
    "ten days": {"hours": 240},
    "nothing before it": {"hours": 60},
    "nothing in it": {"since": NOON + timedelta(days=2), "until": NOON + timedelta(days=3)},
}
FILTERS = ("agent=crewai", "tool=find_customers", "status=error", "tenant=a")


def filled(directory: Path, weights: tuple[float, ...], models: bool) -> Path:
    """Queries of every kind over two days, one of them compacted, with calls that ended after their query."""
    rows = random_rows(3, 400, start=NOON - timedelta(hours=47), hours=47, weights=weights)
    if not models:
        for row in rows:
            if isinstance(getattr(row, "calls", None), list):
                row.calls = [call for call in row.calls if call.kind != "model"]  # type: ignore[union-attr]
    late = query(NOON - timedelta(minutes=9), serial=SERIAL - 7, calls=[CallRow("open", 5000, None, None, "tool")])
    ended = StandaloneCallRow(late.started + 5, "open", 5_000_000)
    ended.parent, ended.place = derived_id(late.started, late.serial), 0
    write(directory, [*rows, late, ended])
    if models:
        chat = StandaloneCallRow(
            late.started + 9, "chat", 7_000, kind="model", facts=ModelFacts("small-1", "local", 3, 4)
        )
        chat.parent = ended.parent
        write(directory, [chat, query(NOON - timedelta(minutes=8), serial=SERIAL - 8, calls=[model_call(5, 9)])])
    compact(directory, now=NOON, retention_days=30)
    return directory


@pytest.fixture(scope="module", params=["plain", "sampled", "without models"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = (1.0, 2.5, 10.0) if request.param == "sampled" else (1.0,)
    return filled(tmp_path_factory.mktemp("front") / "monitoring", weights, request.param != "without models")


def rounded(value: Any) -> Any:
    """Plain values; what is added up may differ in its last digits, as several threads add it up in any order."""
    value = msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("period", "where"), [*((each, "") for each in PERIODS), *(("most of it", each) for each in FILTERS)]
)
def test_every_part_is_what_its_own_method_gives(directory: Path, period: str, where: str) -> None:
    given = {"until": NOON, "time_zone": "Europe/Berlin"} | PERIODS[period]
    filters = [where] if where else []
    worse: tuple[Kind, ...] = ("tool", "agent", "operation", "model")
    with open_store(directory, **given) as store, open_store(directory, **given) as other:
        found = store.front_page(filters, columns=88, worse=worse)
        every = max(60.0, other.period.hours * 120)
        alone = {
            "overview": other.overview(filters, columns=88, worse=worse),
            "report": other.report(filters),
            "latest": listing.page(other.picked(filters), "time", LATEST),
            "failures": listing.failures_by_agent(other.picked(filters)),
            "complexities": listing.complexities(other.picked(filters)),
        }
        if found.report.agents:
            alone["agents"] = {one.group: one for one in other.series("p95", every, by="agent", where=filters)}
        for name, part in alone.items():
            shown, expected = rounded(getattr(found, name)), rounded(part)
            if name == "report":
                for one in (shown, expected):
                    del one["period"]["generated_at"]
            assert shown == expected, name
        assert bool(found.report.queries.total) == (period != "nothing in it")


@pytest.fixture
def tables(directory: Path) -> Iterator[Tables]:
    with open_store(directory, hours=40, until=NOON) as store:
        yield store.tables


def test_what_is_measured_together_is_what_is_measured_one_by_one(tables: Tables) -> None:
    groupings = [("status", "agent_type"), (), ("model",), ("agent_type",), ("duration_ns // 1000000000 % 7",)]
    more = ("sum(input_tokens)", "count(metrics)")
    alone = {by: measures(tables, ROOTS, by, (0.5, 0.9, 0.99), {}, more) for by in groupings}
    measure_together(tables, ROOTS, groupings, (0.5, 0.9, 0.99), more)
    for by in groupings:
        together = known(tables, ROOTS, by, (0.5, 0.9, 0.99), more)
        assert rounded(list((together or {}).items())) == rounded(list(alone[by].items())), by
        fewer = known(tables, ROOTS, by, (0.99,), more[1:]) or {}
        for key, one in alone[by].items():
            assert fewer[key].percentiles_ms == pytest.approx(one.percentiles_ms[2:])
            assert fewer[key].more == one.more[1:]
        assert known(tables, ROOTS, by, (0.5, 0.95), more) is None
        assert known(tables, CALLS, by, (0.5,), more) is None


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is asked of any tables inside."""
    asked: list[str] = []
    rows = Tables.rows

    def noted(tables: Tables, statement: str, *parameters: Any) -> Any:
        asked.append(statement)
        return rows(tables, statement, *parameters)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Tables, "rows", noted)
        yield asked


def of_calls(asked: list[str]) -> list[str]:
    """The statements that read the calls."""
    return [each for each in asked if "calls" in each.replace("tool_calls", "").replace("model_calls", "")]


def test_a_first_page_reads_the_calls_of_each_period_once(tmp_path: Path) -> None:
    live = Live(filled(tmp_path / "monitoring", (1.0,), models=False), Config())
    with live.opened(period_of(hours=20, until=NOON, time_zone="UTC")) as store:
        with statements() as asked:
            store.front_page(worse=("tool", "agent"))
        assert len(of_calls(asked)) == 2, of_calls(asked)
        assert len(asked) <= 18, asked
        with statements() as asked:
            rows, before = store.side_by_side("tool")
        assert rows.rows
        assert before
        assert len(of_calls(asked)) == 1, "only how durations are spread was not known"
    live.close()
