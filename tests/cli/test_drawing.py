from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from instrument_cli.rendering import charts
from instrument_cli.rendering.line import Command, Line
from instrument_cli.rendering.page import Page, show
from instrument_cli.rendering.queries import draw_queries, short_ids
from instrument_cli.rendering.query import draw_query
from instrument_cli.rendering.report import draw_report
from instrument_cli.rendering.stats import draw_stats

from instrument.analysis.results import (
    Activity,
    AgentDetail,
    AgentFigures,
    CallDetail,
    CallFigures,
    Complexity,
    DataFigures,
    FirstChunk,
    Histogram,
    HourFigures,
    Limits,
    MetricFigures,
    ModelFigures,
    Period,
    QueryFigures,
    QueryLine,
    Report,
    ResponseTimes,
    SelectionFigures,
    Stats,
)
from instrument.records import CallRecord, QueryRecord, SelectionRecord

LIMITS = Limits(5000, 30000)
START, END = "2026-11-21T06:30:00.000000Z", datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
PERIOD = Period(24, END - timedelta(hours=24), END, END)
LONG = "a_tool_whose_name_says_everything_about_it_" * 3
HOSTILE = "\x1b[31mred\x1b[0m\nsecond [bold]line[/bold] \u202e"


def agent(
    queries: int, failed: int, average: float, p95: float, tokens: int = 0, cost: float | None = None
) -> AgentFigures:
    return AgentFigures(
        queries=queries,
        share=queries / 1284,
        failed=failed,
        cancelled=3,
        success_rate=1 - failed / max(queries - 3, 1),
        average_ms=average,
        p95_ms=p95,
        busy_ms=queries * average,
        input_tokens=tokens * 0.75,
        output_tokens=tokens * 0.25,
        tokens=tokens,
        cost_usd=cost,
    )


def call(calls: int, failed: int, average: float | None, p95: float | None) -> CallFigures:
    return CallFigures(
        calls=calls, failed=failed, cancelled=0, average_ms=average, p95_ms=p95, busy_ms=calls * (average or 0)
    )


MODEL = ModelFigures(
    calls=383,
    failed=2,
    cancelled=0,
    average_ms=2100,
    p95_ms=6400,
    busy_ms=383 * 2100,
    first_chunk_p95_ms=820,
    input_tokens=963_000,
    output_tokens=321_000,
    tokens_per_second=399.1,
    cost_usd=4.21,
)


def example() -> Report:
    hours = [round(28 + 26 * math.sin((hour - 3) / 25 * 6.283)) for hour in range(25)]
    return Report(
        period=PERIOD,
        queries=QueryFigures(1284, 1245, 33, 6, 1245 / 1278),
        agents={"simple": agent(901, 10, 1400, 4100), "crewai": agent(383, 23, 18000, 44900, 1_284_000, 4.21)},
        response_times=ResponseTimes(6400, 210, 71300, 1900, 38200, 52000, 402, 118),
        entities={"customers": 811, "bills": 402, "payments": 377, "plans": 92},
        complexity=Complexity(0.412, 298, 1284),
        first_chunk=FirstChunk(383, 640, 510, 820),
        tools={"find_customers": call(1102, 4, 210, 640), "payment_history": call(377, 16, 1900, 6200)},
        graphql={"Customers": call(1310, 3, 95, 310), "UnpaidBills": call(402, 12, 480, 2200)},
        models={"large-1": MODEL},
        errors={"TimeoutError": 19, "GraphQLError": 11, "ValueError": 3},
        call_errors={"TimeoutError": 24, "KeyError": 2},
        metrics={"rows": MetricFigures(901, 17.2, 12, 61, 15_497)},
        data=DataFigures(0, 0),
        activity=Activity(
            PERIOD.start - timedelta(minutes=30), 60, hours, [hour % 7 // 5 * 2 for hour in range(25)], [0] * 25
        ),
        histogram=Histogram(
            [10.0 ** (2 + step / 4) for step in range(13)], [8, 40, 160, 260, 190, 120, 90, 118, 150, 110, 30, 8]
        ),
    )


def crowded() -> Report:
    """A report of many agents and tools whose names are long, wide or hostile."""
    names = [HOSTILE, LONG, "客户服务代理" * 4, *(f"agent {number}" for number in range(30))]
    calls = {name: call(10_000_000, 1, None, None) for name in names}
    return msgspec.structs.replace(
        example(),
        agents={name: agent(12, 6, 7_200_000, 1e9, 10**12, 1e6) for name in names},
        tools=calls,
        graphql=calls,
        entities=dict.fromkeys(names, 1234),
        errors=dict.fromkeys(names, 3),
        call_errors=dict.fromkeys(names, 3),
        models=dict.fromkeys(names, MODEL),
        metrics=dict.fromkeys(names, MetricFigures(1, -1e-9, 1e12, 3.14159, 0)),
        data=DataFigures(3, 7),
    )


def text(lines: list[Line]) -> str:
    return "".join(f"{each.plain.rstrip()}\n" for each in lines)


def test_the_report_at_80_columns_is_the_one_that_was_looked_at() -> None:
    assert text(draw_report(example(), LIMITS, Page(80, bounded=True))) == Path(__file__).with_name(
        "report_80.txt"
    ).read_text("utf-8")


@pytest.mark.parametrize("width", [76, 80, 100, 150])
@pytest.mark.parametrize("make", [example, crowded])
def test_nothing_is_wider_than_the_terminal(width: int, make: Callable[[], Report]) -> None:
    drawn = draw_report(make(), LIMITS, Page(width, bounded=True))
    assert all(each.width <= width for each in drawn if not isinstance(each, Command))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_command_to_be_copied_stands_whole_on_one_line(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(width, bounded=True)
    show(draw_report(example(), LIMITS, page), page)
    commands = [
        each
        for each in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
        if "metrics queries" in each
    ]
    assert len(commands) >= 4
    assert all(each.endswith("--hours 24") for each in commands)


def test_a_wider_page_gets_wider_pictures() -> None:
    def widest(width: int) -> int:
        return max(each.plain.count("█") for each in draw_report(example(), LIMITS, Page(width)))

    assert widest(80) < widest(120) < widest(150)


def test_into_a_pipe_every_name_goes_whole_and_neutralised() -> None:
    shown = text(draw_report(crowded(), LIMITS, Page(80)))
    assert shown.count(LONG) == 8
    assert "agent 29" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "␛[31mred␛[0m second [bold]line[/bold]" in shown


def test_on_a_terminal_long_tables_say_how_much_they_leave_out() -> None:
    shown = text(draw_report(crowded(), LIMITS, Page(80, bounded=True)))
    assert "and 27 more: metrics stats" in shown


def test_lost_records_are_said_in_the_report() -> None:
    shown = text(draw_report(crowded(), LIMITS, Page(80)))
    assert "incomplete: 3 records dropped, 7 lines skipped" in shown


def test_a_report_over_calls_outside_any_query_still_draws() -> None:
    alone = msgspec.structs.replace(
        example(),
        queries=QueryFigures(0, 0, 0, 0, None),
        agents={},
        response_times=ResponseTimes(None, None, None, None, None, None, 0, 0),
        complexity=Complexity(None, 0, 0),
        activity=Activity(PERIOD.start, 60, [0] * 24, [0] * 24, [0] * 24),
        histogram=Histogram([], []),
        entities={},
        errors={},
    )
    shown = text(draw_report(alone, LIMITS, Page(80)))
    assert "find_customers" in shown
    assert "Failures     none" in shown


def detailed() -> Stats:
    busy = AgentDetail(
        queries=901,
        nested=3,
        share=0.7,
        successful=890,
        failed=11,
        cancelled=2,
        success_rate=0.98,
        busy_ms=1_261_400,
        average_ms=1400,
        min_ms=210,
        max_ms=71300,
        p50_ms=900,
        p95_ms=4100,
        p99_ms=9000,
        slow=40,
        very_slow=3,
        tool_calls=1800,
        graphql_queries=1700,
        average_result_bytes=2048,
        average_first_chunk_ms=120,
        first_chunk_p95_ms=300,
        input_tokens=10_000,
        output_tokens=900,
        tokens=10_900,
        cost_usd=0.0123,
        errors={LONG: 11},
    )
    lookup = CallDetail(
        calls=1102,
        failed=4,
        cancelled=1,
        failure_rate=0.0036,
        average_ms=210,
        min_ms=1,
        max_ms=900,
        p50_ms=180,
        p95_ms=640,
        p99_ms=880,
        busy_ms=231_420,
        errors={"TimeoutError": 4},
    )
    return Stats(
        PERIOD,
        QueryFigures(1284, 1245, 33, 6, 1245 / 1278),
        {"simple": busy, HOSTILE: busy},
        {"find_customers": lookup},
        {"Customers": lookup},
        {
            "simple": SelectionFigures(900, 0.2, {"Simple query pattern detected": 900}),
            "": SelectionFigures(1, None, {}),
        },
        {"small-1": MODEL},
        {"rows": MetricFigures(901, 17.2, 12, 61, 15_497)},
        [HourFigures(END, 40, 1, 0, 1400, 4100), HourFigures(END + timedelta(hours=1), 0, 0, 0, 0, 0)],
        [],
        DataFigures(0, 0),
    )


@pytest.mark.parametrize("width", [80, 120])
def test_statistics_keep_to_a_terminal_and_are_whole_in_a_pipe(width: int) -> None:
    assert all(each.width <= width for each in draw_stats(detailed(), LIMITS, Page(width, bounded=True)))
    shown = text(draw_stats(detailed(), LIMITS, Page(width)))
    assert LONG in shown
    assert "\x1b" not in shown


def whole() -> QueryRecord:
    def call(name: str, start: float, took: float | None, parent: int | None = None, **facts: object) -> CallRecord:
        known = {"success": took is not None} | facts
        return CallRecord(kind="tool", name=name, start_ms=start, duration_ms=took, parent=parent, **known)  # type: ignore[arg-type]

    return QueryRecord(
        query_id="019a1b2c-3d4e-7abc-8def-0123456789ab",
        user_input=HOSTILE + LONG,
        agent_type="crewai",
        start_time="2026-11-22T23:59:30.123456Z",
        end_time="2026-11-23T00:00:15.123456Z",
        duration_ms=45000,
        success=False,
        error_type="TimeoutError",
        error_message="the server\ndid not answer",
        result_size_bytes=2048,
        tool_calls=5,
        graphql_queries=0,
        entities_detected=["customers", "bills"],
        status="error",
        selection=SelectionRecord(
            query_id="", selected_agent="crewai", complexity_score=0.85, selection_reason="Many", timestamp=START
        ),
        calls=[
            call("find_customers", 100, 9000),
            call("Customers", 300, 8000, 0),
            call("payment_history", 9500, 20000, success=False, status="error", error_type="TimeoutError"),
            call("never", 30000, None, status="abandoned"),
            call("summarise", 31000, 16000, late=True),
            call("of_nobody", 31000, 1, parent=99),
        ],
        attributes={"region": "IN", "deep": {"a": [1]}},
        metrics={"score": 0.5},
        input_tokens=1204,
        output_tokens=310,
        model="small-1",
        process=123,
        host="box",
    )


def test_the_waterfall_shows_when_each_call_ran_and_how_it_ended() -> None:
    shown = text(draw_query(whole(), LIMITS, Page(80))).splitlines()
    bars = {row.split()[0]: row for row in shown if "▆" in row or "▶" in row}
    assert [row.index("▆") for row in (bars["find_customers"], bars["payment_history"])] == sorted(
        row.index("▆") for row in (bars["find_customers"], bars["payment_history"])
    )
    assert bars["Customers"].startswith("     Customers")
    assert bars["payment_history"].endswith("TimeoutError")
    assert bars["never"].endswith("never ended")
    assert bars["summarise"].endswith("late: ended after its query")
    assert bars["of_nobody"].startswith("   of_nobody")


def test_failed_calls_are_red_and_late_or_unfinished_ones_marked() -> None:
    styles = {
        piece[1]
        for each in draw_query(whole(), LIMITS, Page(80, bounded=True))
        for piece in each.pieces
        if set(piece[0].strip()) <= set("▆░▶▒") and piece[0].strip()
    }
    assert styles == {"bar", "bad", "slow"}


@pytest.mark.parametrize("width", [70, 80, 150])
def test_a_whole_query_keeps_to_a_terminal(width: int) -> None:
    assert all(each.width <= width for each in draw_query(whole(), LIMITS, Page(width, bounded=True)))


def test_a_query_without_calls_or_duration_draws() -> None:
    bare = msgspec.structs.replace(whole(), calls=[], duration_ms=0.0, selection=None, attributes={}, metrics={})
    assert "known by their number only" in text(draw_query(bare, LIMITS, Page(80)))
    instant = msgspec.structs.replace(
        bare, calls=[CallRecord(kind="tool", name="x", start_ms=0, duration_ms=0, success=True)]
    )
    assert "▆" in text(draw_query(instant, LIMITS, Page(80)))


def test_short_ids_tell_the_listed_queries_apart_from_all_others() -> None:
    ids = ["019a1b2c-3d4e-7abc-8def-0123456789ab", "019a1b2c-3d4e-7abd-8def-0123456789ab", "x"]
    assert short_ids(ids[:1]) == ["019a1b2c-3d4e"]
    assert short_ids(ids) == ["019a1b2c-3d4e-7abc", "019a1b2c-3d4e-7abd", "x"]
    assert short_ids(ids[:1], ids) == ["019a1b2c-3d4e-7abc"]


def test_in_a_pipe_a_listed_query_is_one_line_with_its_error() -> None:
    listed = QueryLine("019a", START, "simple", 640.0, False, "error", "ValueError", "a\nb", LONG, 1, 2)
    shown = text(draw_queries([listed, listed], LIMITS, Page(80))).splitlines()
    assert len(shown) == 2
    assert shown[0].endswith(f"{LONG}  ValueError: a b")
    on_a_terminal = draw_queries([listed], LIMITS, Page(80, bounded=True))
    assert all(each.width <= 80 for each in on_a_terminal)
    assert "error: ValueError: a b" in text(on_a_terminal)


@given(st.lists(st.floats(min_value=0, max_value=1e12), min_size=1, max_size=300), st.integers(1, 200))
def test_columns_show_every_value_above_nothing_and_lose_none(values: list[float], width: int) -> None:
    fitted, places = charts.fitted(values, width)
    assert len(fitted) == len(places) <= width
    rows = charts.columns(fitted, 2)
    assert all((rows[1][place] != " ") == (value > 0) for place, value in enumerate(fitted))
    if len(values) > width:
        assert math.fsum(fitted) == pytest.approx(math.fsum(values))


@given(st.floats(min_value=0, max_value=1), st.integers(1, 60))
def test_a_bar_is_as_long_as_its_share_and_never_invisible(share: float, width: int) -> None:
    bar = charts.bar(share, width)
    assert abs(len(bar) - share * width) <= 1
    assert bool(bar) == (share > 0)


@given(st.floats(min_value=1e-6, max_value=1e9), st.floats(min_value=1.5, max_value=1e9), st.integers(20, 140))
def test_the_labels_of_a_logarithmic_axis_stay_on_it(low: float, factor: float, width: int) -> None:
    labels = charts.log_labels([low, low * factor], width)
    assert len(charts.axis(labels, width).plain) <= width
