"""A store of some weeks of two agents, in which it is known what changed, when and why."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from store_rows import SERIAL, query

from instrument.rows.stored import CallRow, Row
from instrument.sinks.segments import SegmentSink

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


class Plan(NamedTuple):
    """What happens: so many queries an hour on average, growing by `growth` a week.

    From `slower_day` on queries of the agent crewai with `tenant` north take `slower` times as long. On `failing_day`,
    half of the queries of four hours fail.
    """

    days: int = 28
    rate: float = 20.0
    growth: float = 0.0
    slower_day: float | None = None
    slower: float = 2.5
    failing_day: int | None = None
    seed: int = 1
    start: datetime = START


def rows_of(plan: Plan) -> list[Row]:
    """The queries of a plan, with a daily and a weekly rhythm."""
    chance, rows = random.Random(plan.seed), []
    for hour in range(plan.days * 24):
        day, moment = hour / 24, plan.start + timedelta(hours=hour)
        weekend = 0.4 if moment.weekday() >= 5 else 1.0
        expected = plan.rate * weekend * (1 + 0.6 * math.sin((moment.hour - 8) / 24 * 2 * math.pi))
        expected *= math.exp(plan.growth * day / 7)
        for _ in range(_poisson(chance, expected)):
            rows.append(
                _row(chance, plan, plan.start + timedelta(hours=hour, seconds=chance.random() * 3600), len(rows))
            )
    return rows


def _poisson(chance: random.Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


def _row(chance: random.Random, plan: Plan, at: datetime, number: int) -> Row:
    day = (at - plan.start) / timedelta(days=1)
    agent, tenant = chance.choice(("simple", "crewai")), chance.choice(("north", "south"))
    seconds = (0.5 if agent == "simple" else 4.0) * math.exp(chance.gauss(0, 0.4))
    if plan.slower_day is not None and day >= plan.slower_day and (agent, tenant) == ("crewai", "north"):
        seconds *= plan.slower
    failing = plan.failing_day is not None and 0 <= (day - plan.failing_day) * 24 - 10 < 4
    failed = chance.random() < (0.5 if failing else 0.02)
    return query(
        at,
        agent,
        serial=SERIAL + number,
        duration=int(seconds * 1e9),
        status="error" if failed else "ok",
        error="TimeoutError" if failed else None,
        attributes={"tenant": tenant},
        calls=[CallRow("find_customers", 0, duration=int(seconds * 5e8))],
        input_tokens=100,
        output_tokens=20,
        cost_usd=0.002 if agent == "crewai" else 0.0002,
        model="small-1",
    )


def store(folder: Path, plan: Plan) -> Path:
    """Write the queries of a plan into a store."""
    sink = SegmentSink(folder)
    sink.write(rows_of(plan))
    sink.close()
    return folder
