"""What `metrics show` says of model calls."""

from __future__ import annotations

from instrument_cli.rendering.waterfall import _used

from instrument.records import CallRecord


def a_call(**facts: object) -> CallRecord:
    known = {"kind": "model", "name": "small-1", "start_ms": 0.0, "duration_ms": 5.0, "success": True}
    return CallRecord(**known | facts)  # type: ignore[arg-type]


def test_a_model_call_says_what_it_used_as_far_as_that_is_known() -> None:
    assert _used(a_call()) == "model"
    used = _used(a_call(model="small-1-2026", input_tokens=1200, output_tokens=0, first_chunk_ms=2.0, cost_usd=0.25))
    assert used.split("   ") == ["model small-1-2026", "1,200 in", "0 out", "first chunk 2.0 ms", "$0.25"]


def test_a_name_cannot_run_an_escape_sequence() -> None:
    assert "\x1b" not in _used(a_call(model="\x1b[31mred"))
