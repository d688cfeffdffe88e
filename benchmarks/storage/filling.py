"""Stores full of made-up but likely records, written through the store's own sink."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

from instrument.rows.live import ChoiceRow, Origin
from instrument.rows.stored import CallRow, QueryRow, new_serial
from instrument.sinks.segments import SegmentSink

AGENTS = ("simple", "crewai", "multi_step")
TOOLS = ("find_customers", "rank_customers", "write_answer", "look_up_plan")
OPERATIONS = ("query Customers", "query UnpaidBills", "mutation PayBill")
QUESTIONS = tuple(
    f"{what} of customers in {where}"
    for what in ("unpaid bills", "plans", "complaints")
    for where in ("India", "Japan", "Norway", "Kenya", "Brazil")
)
BATCH = 1000
DAY_SECONDS = 86_400


def fill(store: Path, queries: int, days: int, newest: float, *, tenants: bool = False) -> None:
    """Write so many queries, spread evenly over `days` days that end at `newest` (seconds since 1970).

    With `tenants` each has an attribute `tenant`, one of twenty.
    """
    made = random.Random(7)
    sink = None
    moment = newest - days * DAY_SECONDS
    step = days * DAY_SECONDS / queries if days else 3000 / queries
    moment = moment if days else newest - 3000
    now = [moment]
    sink = SegmentSink(store, now=lambda: now[0])
    rows = _rows(made, queries, moment, step)
    while batch := list(itertools.islice(rows, BATCH)):
        now[0] = batch[-1].started / 1e6
        for row in batch if tenants else ():
            row.attributes = {"tenant": f"tenant {row.serial % 20}"}
        sink.write(batch)
    sink.close()


def _rows(made: random.Random, queries: int, moment: float, step: float) -> Iterator[QueryRow]:
    origin, serial = Origin("benchmark", 1), new_serial()
    for number in range(queries):
        yield _row(made, int((moment + number * step) * 1e6), serial + number, origin)


def _row(made: random.Random, started: int, serial: int, origin: Origin) -> QueryRow:
    duration = int(made.lognormvariate(0.5, 0.9) * 1e9)
    calls, begin = [], 0
    for number in range(5):
        took = int(duration * made.uniform(0.05, 0.18))
        name, kind = (made.choice(OPERATIONS), "graphql") if number in (1, 3) else (made.choice(TOOLS), "tool")
        calls.append(CallRow(name, begin, None, took, kind))
        begin += took + 40_000
    agent = made.choice(AGENTS)
    row = QueryRow(started, serial, agent, made.choice(QUESTIONS), "Agent.process_query", calls)
    row.duration, row.origin, row.result_size = duration, origin, made.randrange(20, 4000)
    row.entities = ["customers", "bills"][: made.randrange(3)] or None
    if made.random() < 0.3:
        row.selection = ChoiceRow(started - 200, agent, round(made.random(), 2), "words in the query")
    if made.random() < 0.04:
        row.status, row.error, row.message = "error", "TimeoutError", "the server did not answer in 5 s"
    return row


def yesterday() -> float:
    """The last moment of yesterday (UTC), in seconds since 1970."""
    return time.time() // DAY_SECONDS * DAY_SECONDS - 1
