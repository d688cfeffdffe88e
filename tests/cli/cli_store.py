"""Stores and ways to run the command, for the tests of the command."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import instrument_cli

import instrument
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, Origin, QueryRow, Row, encode_lines, utc_text

ORIGIN = Origin("box", 4711)
ROOTS = os.pathsep.join(str(Path(str(module.__file__)).parents[1]) for module in (instrument, instrument_cli))


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def query(minutes_ago: float = 10, serial: int = 1, **facts: object) -> QueryRow:
    """A query as it lies on disk, `minutes_ago` before now."""
    known: dict[str, object] = {
        "started": int((time.time() - minutes_ago * 60) * 1e6),
        "agent": "simple",
        "user_input": "unpaid bills in India",
        "name": "Agent.answer",
        "calls": [],
        "duration": 640_000_000,
        "result_size": 2048,
        "origin": ORIGIN,
    }
    return QueryRow(serial=serial, **(known | facts))  # type: ignore[arg-type]


def failed_query(minutes_ago: float = 20, serial: int = 2) -> QueryRow:
    """A slow query of the other agent that failed in its second call."""
    return query(
        minutes_ago,
        serial,
        agent="crewai",
        user_input="show me all customers in India with unpaid bills and their payment history",
        duration=45_000_000_000,
        status="error",
        error="TimeoutError",
        message="the server did not answer",
        passed_on=True,
        entities=["customers", "bills"],
        selection=ChoiceRow(int(time.time() * 1e6), "crewai", 0.85, "Multiple entities detected"),
        calls=[
            CallRow("find_customers", 100_000_000, duration=9_000_000_000),
            CallRow("query Customers", 300_000_000, duration=8_000_000_000, parent=0, kind="graphql"),
            CallRow("payment_history", 9_500_000_000, duration=20_000_000_000, status="error", error="TimeoutError"),
            CallRow("summarise", 30_000_000_000),
        ],
        attributes={"region": "IN"},
        metrics={"score": 0.5},
        input_tokens=1204,
        output_tokens=310,
        model="small-1",
    )


def write(
    directory: Path, rows: list[Row], tail: bytes = b"", name: str = "000000-4711-aabbccdd.jsonl", day: str = ""
) -> Path:
    """Write rows as one segment of a store, with its modes; returns the segment."""
    folder = directory / (day or utc_text(int(time.time() * 1e6))[:10])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    segment = folder / name
    segment.write_bytes(bytes(encode_lines(rows)) + tail)
    segment.chmod(0o600)
    return segment


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "instrument_cli", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": ROOTS, "PYTHONWARNINGS": "error"} | variables


def health(**facts: dict[str, int]) -> HealthRow:
    return HealthRow(int(time.time() * 1e6), facts.get("dropped", {}), facts.get("problems", {}), ORIGIN)
