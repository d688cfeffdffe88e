"""A day of queries of two agents with incidents in it, to hold the evaluation of rules against."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from store_rows import SERIAL, query

from instrument.rows.stored import QueryRow

START = datetime(2026, 3, 10, tzinfo=UTC)


def rows(seed: int = 7) -> list[QueryRow]:
    """Twenty queries in each ten minutes; failures at 5:00 and 14:00, no traffic of crewai from 9:00 to 11:30."""
    chance = random.Random(seed)
    found = []
    for number in range(20 * 6 * 24):
        moment = START + timedelta(seconds=chance.uniform(0, 86400))
        hour = (moment - START) / timedelta(hours=1)
        agent = chance.choice(("simple", "crewai"))
        if agent == "crewai" and 9 <= hour < 11.5:
            continue
        failing = 0.5 if 5 <= hour < 5.4 or (14 <= hour < 15.5 and agent == "simple") else 0.03
        status = "error" if chance.random() < failing else "cancelled" if chance.random() < 0.02 else "ok"
        duration = int(chance.lognormvariate(0, 0.8) * (6e9 if 18 <= hour < 19 else 1e9))
        found.append(
            query(
                moment,
                agent,
                serial=SERIAL + number,
                duration=duration,
                status=status,
                error="TimeoutError" if status == "error" else None,
                input_tokens=chance.randrange(2000),
                attributes={"tenant": chance.choice(("north", "south"))},
            )
        )
    return found


def ended(row: QueryRow) -> float:
    """Seconds from the start of the day to the end of a query."""
    return (row.started + row.duration // 1000) / 1e6 - START.timestamp()
