"""How large a call's answer was, where someone says so."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instrument import configure, flush, graphql_span, query_span, tool_span
from instrument.rows.live import RareCallFields
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact


def test_the_size_of_a_call_s_answer_is_kept_inside_a_query_outside_one_and_after_it(tmp_path: Path) -> None:
    with query_span("q", agent="simple"):
        late = tool_span("late").__enter__()
        with graphql_span("query Customers") as span:
            span.set_size(2048)
    flush()
    late.set_size(7)
    late.__exit__(None, None, None)
    with tool_span("alone") as span:
        span.set_size(5)
    flush()
    for _ in range(2):
        with open_store(Path.cwd() / "monitoring") as tables:
            (query,) = tables.records()
            (alone,) = tables.loose_calls()
        assert {call.name: call.result_size_bytes for call in query.calls} == {"query Customers": 2048, "late": 7}
        assert alone.result_size_bytes == 5
        compact(Path.cwd() / "monitoring", now=datetime.now(UTC) + timedelta(days=2), retention_days=30)


@pytest.mark.parametrize("settings", [{}, {"sample_rate": 0, "always_keep": ()}, {"buffer_size": 1}])
def test_calls_with_a_size_or_an_error_leave_nothing_behind_wherever_they_end(settings: dict[str, object]) -> None:
    configure(**settings)
    for number in range(200):
        with graphql_span("alone") as span:
            span.set_size(number)
        with query_span("q", agent="simple"):
            with graphql_span("inside") as span:
                span.fail("no")
            late = tool_span("late").__enter__()
        flush()
        late.fail("late")
        late.__exit__(None, None, None)
    del span, late
    flush()
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is RareCallFields]
