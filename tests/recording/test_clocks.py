"""Times stay true where a test tool of the application freezes or moves the clocks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine

from instrument import flush, query_span, tool_span, track_query, track_tool
from instrument.testing import capture

TRAVELS: list[Callable[[], AbstractContextManager[Any]]] = [
    lambda: freezegun.freeze_time("2020-01-01"),
    lambda: time_machine.travel("2020-01-01", tick=False),
]
every_tool = pytest.mark.parametrize("travel", TRAVELS, ids=["freezegun", "time-machine"])


@track_tool
def tool() -> None:
    pass


@track_query(agent="a")
def answer(text: str) -> None:
    tool()


@every_tool
def test_no_reading_is_frozen(travel: Callable[[], AbstractContextManager[Any]]) -> None:
    before = datetime.now(UTC)
    with capture() as captured:
        answer("before")
        with travel():
            answer("decorated")
            with query_span("span", agent="a"), tool_span("inside"):
                tool()
            tool()
        (*queries, outside) = (*captured.queries, *captured.calls)
    assert len(queries) == 3
    for query in queries:
        began = datetime.fromisoformat(query.start_time)
        assert before - timedelta(seconds=1) < began < before + timedelta(minutes=1)
        assert 0 < query.duration_ms < 60_000
        assert all(0 <= call.start_ms < 60_000 for call in query.calls)
    assert abs(datetime.fromisoformat(outside.start_time) - before) < timedelta(minutes=1)


@every_tool
def test_a_wait_for_the_disk_still_has_an_end(travel: Callable[[], AbstractContextManager[Any]]) -> None:
    with travel():
        answer("x")
        assert flush(timeout=30)


@pytest.mark.parametrize(
    "frozen", ["freezegun.freeze_time('2020-01-01')", "time_machine.travel('2020-01-01', tick=False)"]
)
def test_an_import_while_the_clocks_are_frozen_finds_the_real_ones(frozen: str) -> None:
    program = f"""
import freezegun, time_machine, time
with {frozen}:
    from instrument import query_span
    from instrument.testing import capture
    with capture() as captured, query_span("x", agent="a"):
        sum(range(100_000))
    print(captured.queries[0].start_time, captured.queries[0].duration_ms > 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    began, lasted = done.stdout.split()
    assert datetime.now(UTC) - datetime.fromisoformat(began) < timedelta(minutes=2)
    assert lasted == "True"
