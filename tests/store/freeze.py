"""Freeze a store of this version, with every kind of record, for later versions to read: python tests/store/freeze.py

It writes `frozen/<version>/store` and, beside it, what reading it gives; `test_frozen.py` compares.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from instrument._version import __version__
from instrument.rows.live import ModelFacts
from instrument.rows.stored import (
    WITH_MODEL_CALLS,
    CallRow,
    ChoiceRow,
    HealthRow,
    Origin,
    QueryRow,
    Row,
    SelectionRow,
    StandaloneCallRow,
    id_of,
)
from instrument.rows.totals import total_up
from instrument.sinks.segments import SegmentSink
from instrument.store.importing import import_files
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact

FROZEN = Path(__file__).parent / "frozen"
COMPACTED = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
OPEN = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
SERIAL = 1_311_768_467_463_790_320
ORIGIN = Origin("büro-7", 4711)
SECOND = 1_000_000_000
NAMES = "Åsa Rao, राव, 饶, 🦜, e\u0301, \u202eabc, \x1b[31m, a\x00b, \"quoted\" 'and' \\back\nslash\t"


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def query(moment: datetime, number: int, **facts: Any) -> QueryRow:
    known = {
        "agent": "simple",
        "user_input": f"question {number}",
        "name": "Agent.answer",
        "calls": [],
        "duration": SECOND,
    }
    return QueryRow(
        started=micros(moment) + number * 1_000_003, serial=SERIAL + number, origin=ORIGIN, **(known | facts)
    )


def day(moment: datetime) -> list[Row]:
    """A day's lines: each kind of record, in each of its states."""
    calls = [
        CallRow("find_customers", 1_000, duration=500_000_000),
        CallRow("query Customers", 2_000, parent=0, duration=400_000_000, kind="graphql"),
        CallRow("pay", 600_000_000, duration=7, status="error", error="ValueError", passed_on=True),
        CallRow("slow", 700_000_000),
        CallRow("of a thread", 800_000_000, duration=SECOND, late=True),
    ]
    whole = query(
        moment,
        0,
        calls=calls,
        result_size=2048,
        entities=["customers", "bills, unpaid", "Ünïcode"],
        selection=ChoiceRow(micros(moment) - 50, "simple", 0.85, "several entities"),
        attributes={"tenant": "north", "deep": {"list": [1, 2.5, None, True, "ü"]}},
        metrics={"confidence": 0.93, "rows": 17.0},
        input_tokens=812,
        output_tokens=96,
        model="small-1",
        first_chunk=90_000_000,
    )
    failed = query(moment, 1, agent="crewai", status="error", error="KeyError", message=NAMES, user_input=NAMES)
    others = [
        query(moment, 2, status="cancelled", error="CancelledError", parent=id_of(whole)),
        query(moment, 3, status="closed", first_chunk=5, parent=id_of(failed)),
        query(moment, 4, status="abandoned", agent=None, user_input=None),
        query(moment, 5, weight=10.0, duration=31 * SECOND),
        query(moment, 6, weight=2.5, status="error", error="KeyError", passed_on=True, result_size=0),
        query(moment, 7, query_id=f"given-by-the-application-{moment.day}", user_input=""),
        query(moment, 8, selection=ChoiceRow(micros(moment), "crewai", None, None, "another text")),
        query(moment, 9, calls=[CallRow("x", 5, parent=None, duration=3)], entities=[], user_input="x" * 2000),
    ]
    asked = ModelFacts("small-1", "local", 120, 30, 100, 10, 250_000_000, 0.25)
    told = ModelFacts("small-1", "local", 7, 3, input="what is owed?", output="12 €")
    with_models = query(
        moment,
        10,
        calls=[
            CallRow("chat", 5, duration=SECOND // 2, kind="model", facts=asked),
            CallRow("find_bills", 6, parent=0, duration=3),
            CallRow("chat", 7, kind="model"),
            CallRow("embed", 8, duration=2, kind="model", facts=ModelFacts("embed-1", input_tokens=5)),
        ],
    )
    priced = query(moment, 11, cached_tokens=3, reasoning_tokens=2, cost_usd=0.5, input_tokens=9, output_tokens=4)
    others += [with_models, priced]
    for row in (with_models, priced):
        total_up(row)
    time = micros(moment) + 20_000_000
    lines = [
        StandaloneCallRow(
            time,
            "chat",
            5,
            "model",
            parent=id_of(with_models),
            place=2,
            late=True,
            facts=told,
            version=WITH_MODEL_CALLS,
        ),
        StandaloneCallRow(time, "chat", 6, "model", facts=told, version=WITH_MODEL_CALLS),
        StandaloneCallRow(
            time, "slow", 9 * SECOND, "graphql", "error", "Late", "too late", parent=id_of(whole), place=3, late=True
        ),
        StandaloneCallRow(time + 1, "of a fork", 5, parent=id_of(whole)),
        StandaloneCallRow(time + 2, "orphan", 5, parent="01234567-89ab-7cde-8f01-23456789abcd", place=0),
        StandaloneCallRow(time + 3, "alone", 17, "graphql", "error", "ValueError", NAMES, weight=4.0),
        StandaloneCallRow(time + 4, "alone", 18, status="cancelled", passed_on=True),
        SelectionRow(time + 5, "simple", "nobody asked", 0.2, "a short question"),
        SelectionRow(time + 6, "crewai", "", 0.8, "complex", parent=id_of(others[3])),
        SelectionRow(time + 7, "crewai", "", 0.9, "again", parent=id_of(whole)),
        HealthRow(time + 8, {"buffer full": 3}, {"sink store": 2}),
        HealthRow(time + 9, {}, {"record": 1}),
    ]
    for line in lines:
        line.origin = ORIGIN
    return [whole, failed, *others, *lines]


IMPORTED = {
    "queries": [
        {
            "query_id": "0198a000-0000-7000-8000-000000000001",
            "user_input": "of the first document",
            "agent_type": "simple",
            "start_time": "2026-03-08T10:00:00.000001Z",
            "end_time": "2026-03-08T10:00:02.500001Z",
            "duration_ms": 2500.0,
            "success": False,
            "error_type": "TimeoutError",
            "error_message": "no answer",
            "result_size_bytes": None,
            "tool_calls": 3,
            "graphql_queries": 2,
            "entities_detected": ["bills"],
        }
    ],
    "agent_selections": [
        {
            "query_id": "0198a000-0000-7000-8000-000000000001",
            "selected_agent": "simple",
            "complexity_score": 0.25,
            "selection_reason": "short",
            "timestamp": "2026-03-08T09:59:59.000000Z",
        }
    ],
}


def fill(store: Path) -> None:
    """An imported day, a compacted one, and one of open segments of two processes, with a torn line."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder, "metrics.json")
        document.write_text(json.dumps(IMPORTED))
        import_files([document], store)
    write(store, day(COMPACTED), COMPACTED)
    compact(store, now=COMPACTED + timedelta(hours=1), retention_days=30)
    rows = day(OPEN)
    write(store, rows[::2], OPEN)
    write(store, rows[1::2], OPEN + timedelta(minutes=1))
    [_, second] = sorted((store / "2026-03-10").glob("*.jsonl"))
    with open(second, "ab") as stream:
        stream.write(b'{"t":1773144000000000,"i":7,"q":"cut of')


def write(store: Path, rows: list[Row], now: datetime) -> None:
    sink = SegmentSink(store, now=now.timestamp)
    sink.write(rows)
    sink.close()


def seen(store: Path) -> dict[str, Any]:
    """Everything that can be read of a store, defaults included."""
    with open_store(store) as tables:
        return {
            "queries": [plain(record) for record in tables.records()],
            "selections": [plain(record) for record in tables.loose_selections()],
            "calls": [plain(record) for record in tables.loose_calls()],
            "health": rows(tables.rows, "SELECT said_us, dropped_total, dropped, problems, host, process FROM health"),
            "sums": rows(
                tables.rows,
                "SELECT round(sum(weight), 6), sum(duration_ns), sum(tool_calls), sum(graphql_queries) FROM queries",
            ),
            "models": rows(
                tables.rows,
                "SELECT sum(model_calls), sum(input_tokens), sum(output_tokens), sum(cached_tokens),"
                " sum(reasoning_tokens), round(sum(cost_usd), 6) FROM queries",
            ),
            "models counted": rows(
                tables.rows,
                "SELECT model, provider, count(*), sum(input_tokens), sum(output_tokens), sum(first_chunk_ms),"
                " round(sum(cost_usd), 6), max(input) FROM calls WHERE kind = 'model' GROUP BY ALL",
            ),
            "calls counted": rows(
                tables.rows,
                "SELECT kind, name, status, success, count(*), round(sum(weight), 6) FROM calls GROUP BY ALL",
            ),
            "selections counted": rows(
                tables.rows,
                "SELECT selected_agent, nested, count(*), round(sum(complexity_score), 6) FROM selections GROUP BY ALL",
            ),
            "skipped": tables.skipped,
        }


def rows(ask: Callable[[str], list[tuple[Any, ...]]], statement: str) -> list[Any]:
    return sorted(json.loads(json.dumps(ask(statement), default=float)), key=repr)


def plain(record: Any) -> Any:
    """A record as JSON has it, with every field."""
    if isinstance(record, msgspec.Struct):
        return {name: plain(getattr(record, name)) for name in record.__struct_fields__}
    if isinstance(record, list):
        return [plain(each) for each in record]
    return record


def freeze(folder: Path) -> None:
    fill(folder / "store")
    for lock in (folder / "store").glob(".*"):
        lock.unlink()
    text = json.dumps(seen(folder / "store"), indent=1, ensure_ascii=True)
    (folder / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    target = FROZEN / __version__
    if target.exists():
        sys.exit(f"{target} is there already: what is frozen stays as it is")
    freeze(target)
    print(f"froze {target}")
