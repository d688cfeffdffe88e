"""Requests measured by LLMPerf, published with their summaries, as rows of a store."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from store_rows import NOON, SERIAL, query

from instrument.rows.stored import CallRow, Row

FOLDER = Path(__file__).parents[2] / "../shared/data/requests/llmperf"


def names() -> list[str]:
    """The providers there are."""
    return sorted(path.stem for path in (FOLDER / "individual").glob("*.json"))


def rows(name: str, *, failed: bool) -> list[Row]:
    """A provider's requests, a second apart: the queries of one agent, all or only those without an error."""
    requests: list[dict[str, Any]] = json.loads((FOLDER / "individual" / f"{name}.json").read_text())
    return [
        query(
            NOON - timedelta(hours=1) + timedelta(seconds=place),
            name,
            serial=SERIAL + place,
            duration=round(request["end_to_end_latency_s"] * 1e9),
            first_chunk=round(request["ttft_s"] * 1e9),
            status="error" if request["error_code"] else "ok",
            error=None if request["error_code"] is None else str(request["error_code"]),
            message=request["error_msg"] or None,
            input_tokens=request["number_input_tokens"],
            output_tokens=request["number_output_tokens"],
            calls=[CallRow("query Completion", 0, duration=0, kind="graphql")],
        )
        for place, request in enumerate(requests)
        if failed or not request["error_code"]
    ]


def summary(name: str) -> dict[str, Any]:
    """What was published of a provider."""
    return json.loads((FOLDER / "summary" / f"{name}.json").read_text())
