"""Rows as a recording process would have written them, laid out as it would have."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from instrument.rows.live import ModelFacts
from instrument.rows.stored import (
    CallRow,
    ChoiceRow,
    Origin,
    QueryRow,
    Row,
    SelectionRow,
    StandaloneCallRow,
    encode_lines,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SERIAL = 0x1234_5678_9ABC_DEF0 >> 2

_ENTITIES = ("customers", "bills", "payments", "plans", "Ünïcode, with a comma")
_ERRORS = ("TimeoutError", "ValueError", "GraphQLError")


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def query(
    moment: datetime = NOON, agent: str | None = "simple", user_input: str | None = "unpaid bills", **more: object
) -> QueryRow:
    """A query of a second, unless told otherwise."""
    known = {"serial": SERIAL, "name": "Agent.process_query", "calls": [], "duration": 1_000_000_000} | more
    return QueryRow(started=micros(moment), agent=agent, user_input=user_input, **known)  # type: ignore[arg-type]


def random_rows(
    seed: int,
    count: int,
    *,
    start: datetime = NOON - timedelta(hours=10),
    hours: float = 10,
    weights: tuple[float, ...] = (1.0,),
) -> list[Row]:
    """Queries, nested ones, calls outside them and selections, of every kind that is written."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        moment = start + timedelta(microseconds=chance.randrange(int(hours * 3.6e9)))
        rows.append(_random_query(chance, moment, SERIAL + number, chance.choice(weights)))
        if chance.random() < 0.05:
            rows.append(
                StandaloneCallRow(micros(moment), "loose", chance.randrange(10**9), weight=chance.choice(weights))
            )
        if chance.random() < 0.05:
            rows.append(SelectionRow(micros(moment), "simple", "no query followed", chance.random(), "why not"))
    return rows


def _random_query(chance: random.Random, moment: datetime, serial: int, weight: float) -> QueryRow:
    duration = int(chance.lognormvariate(20, 2))
    status = chance.choices(("ok", "error", "cancelled", "closed", "abandoned"), (80, 12, 3, 3, 2))[0]
    calls = [_random_call(chance, duration) for _ in range(chance.randrange(6))]
    failed = [call for call in calls if call.error is not None]
    error = chance.choice((*_ERRORS, None)) if status == "error" else None
    scored = ChoiceRow(micros(moment) - 50, chance.choice(("simple", "crewai")), chance.random(), "the pattern")
    return query(
        moment,
        chance.choice(("simple", "simple", "crewai", "", None)),
        chance.choice(("unpaid bills", "", None, 'quotes " and\nlines\tand \x00')),
        serial=serial,
        calls=calls,
        duration=duration,
        status=status,
        error=error,
        message=None if error is None else "it went wrong",
        passed_on=error is not None and bool(failed) and chance.random() < 0.5,
        result_size=chance.choice((None, 0, chance.randrange(10**6))),
        entities=chance.sample(_ENTITIES, chance.randrange(len(_ENTITIES))) or None,
        selection=chance.choice((None, scored)),
        parent="01234567-89ab-7cde-8f01-23456789abcd" if chance.random() < 0.1 else None,
        attributes=chance.choice((None, {"tenant": "a", "deep": {"list": [1, 2.5, None, True]}})),
        metrics=chance.choice(
            (None, {"rows": float(chance.randrange(100))}, {"a/b~c": -0.5, "cost_usd": chance.random()})
        ),
        input_tokens=chance.choice((None, chance.randrange(1000))),
        output_tokens=chance.choice((None, chance.randrange(1000))),
        model=chance.choice((None, "small", "large")),
        first_chunk=chance.choice((None, duration // 2)),
        weight=weight,
        origin=Origin("host", 42),
    )


def model_call(begin: int, duration: int | None, facts: ModelFacts | None = None, **more: object) -> CallRow:
    """A call to a model, with tokens unless told otherwise."""
    facts = facts or ModelFacts("small-1", "local", 120, 30, cached_tokens=100, first_chunk=5_000_000, cost_usd=0.25)
    return CallRow("chat small-1", begin, duration=duration, kind="model", facts=facts, **more)  # type: ignore[arg-type]


def _random_call(chance: random.Random, longest: int) -> CallRow:
    if chance.random() < 0.2:
        return model_call(chance.randrange(longest + 1), chance.randrange(longest + 1))
    failed = chance.random() < 0.1
    cancelled = not failed and chance.random() < 0.05
    return CallRow(
        chance.choice(("find_customers", "payment_history", "query Customers")),
        chance.randrange(longest + 1),
        duration=None if chance.random() < 0.05 else chance.randrange(longest + 1),
        kind=chance.choice(("tool", "graphql")),
        status="error" if failed else "cancelled" if cancelled else "ok",
        error=chance.choice(_ERRORS) if failed else "CancelledError" if cancelled else None,
        passed_on=failed and chance.random() < 0.3,
    )


def write(directory: Path, rows: Iterable[Row], name: str = "120000-42-0badcafe.jsonl") -> Path:
    """Append rows to segments of this name, each in the folder of the day it started; returns the last one."""
    by_day: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        started = row.started if isinstance(row, QueryRow | StandaloneCallRow) else row.time
        by_day[datetime.fromtimestamp(started / 1e6, UTC).strftime("%Y-%m-%d")].append(row)
    directory.mkdir(exist_ok=True)
    segment = directory / "none"
    for day, of_day in sorted(by_day.items()):
        segment = directory / day / name
        segment.parent.mkdir(exist_ok=True)
        with open(segment, "ab") as stream:
            stream.write(encode_lines(of_day))
    return segment
