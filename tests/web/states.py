"""The stores that every page is looked at in: the same records every time, over the week before one fixed moment."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.dashboard.filling import fill
from instrument.reading import open_store
from instrument.rows.live import ChoiceRow, Origin
from instrument.rows.stored import CallRow, QueryRow, derived_id
from instrument.sinks.segments import SegmentSink
from tests.cli import big_store

UNTIL = datetime(2025, 11, 17, 7, tzinfo=UTC)
"""The end of the period that is looked at, a Monday morning."""

SINCE = UNTIL - timedelta(days=7)
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e javascript:alert(3) \x1b[31m {{7*7}} '); DROP"
LONG = "an_unbroken_name_" * 12
SQL = "SELECT agent_type, count(*) AS queries FROM queries GROUP BY ALL ORDER BY queries DESC, agent_type"
RULES = """
[alert_targets]
team = "json://127.0.0.1:1/"
[[alerts]]
name = "failures"
figure = "failure_rate"
above = 0.2
window = "1h"
for = "5m"
severity = "critical"
notify = ["team"]
"""
"""The alert rules of the week; the other states have none."""

_FIRST = 1000
_BEFORE, _LONG = timedelta(hours=9), timedelta(hours=8)


def week(store: Path) -> str:
    """Two ordinary weeks: the later one has an incident last night and a tool that got worse."""
    fill(store, 9000, 14, UNTIL.timestamp(), serial=_FIRST)
    message = "the billing API answered 503"
    failed = [
        _query(_calls(), status="error", error="GraphQLError", message=message, attributes={"tenant": "north"})
        for _ in range(40)
    ]
    _written(store, _checked(0.3), SINCE - timedelta(days=5), timedelta(days=4))
    _written(store, _checked(0.9), UNTIL - timedelta(days=5), timedelta(days=4))
    return _written(store, failed, UNTIL - timedelta(hours=6), timedelta(hours=2))


def empty(store: Path) -> str:
    """A store that holds nothing yet."""
    store.mkdir(parents=True)
    return derived_id(round(UNTIL.timestamp() * 1e6), 0)


def one(store: Path) -> str:
    """A single query that says as little as a query can."""
    return _written(store, [_query([])])


def hostile(store: Path) -> str:
    """Every text is an attack, or too long for its place."""
    rows = []
    for words in (HOSTILE, LONG):
        call = CallRow(words, 0, None, 900_000_000, "tool")
        call.status, call.error = "error", words
        asked = CallRow(words, 100_000_000, 0, 300_000_000, "graphql")
        fields = {"name": words, "entities": [words], "attributes": {words: words}, "metrics": {words: 1.0}}
        fields |= {"model": words, "status": "error", "error": words, "message": words, "user_input": words * 3}
        rows += [_query([call, asked], agent=words, input_tokens=1, output_tokens=2, **fields) for _ in range(3)]
        rows[-1].selection = ChoiceRow(rows[-1].started - 200, words, 0.8, words)
    return _written(store, rows)


def tools(store: Path) -> str:
    """Ten thousand tools, each called once or twice."""
    made = random.Random(7)
    rows = []
    for number in range(500):
        calls = []
        for place in range(25):
            took = int(made.lognormvariate(17, 1.2))
            name = f"tool_{(number * 25 + place) % 10_000:05d}"
            calls.append(CallRow(name, place * 40_000_000, None, took, "tool"))
        rows.append(_query(calls, agent="research"))
    return _written(store, rows)


def million(store: Path) -> str:
    """A million queries in the week, and some more before it: compacted files, as a store of that size has."""
    big_store.fill(store, 1_010_000, UNTIL, big_store.quick_chance)
    with open_store(store, since=UNTIL - timedelta(minutes=1), until=UNTIL) as opened:
        return opened.queries(limit=1)[0].query_id


STATES: dict[str, Callable[[Path], str]] = {
    "week": week, "empty": empty, "one": one, "hostile": hostile, "tools": tools, "million": million,
}  # fmt: skip
"""What fills a store, by name; each returns the id of the query whose page is looked at."""


def addresses(query_id: str) -> dict[str, str]:
    """The address of each page, by a short name, over the fixed week."""
    week = {"since": SINCE.isoformat(), "until": UNTIL.isoformat(), "tz": "UTC"}
    names = ("queries", "agents", "tools", "graphql", "models", "trends", "alerts", "health")
    found = {"overview": f"/?{urlencode(week)}"} | {name: f"/{name}?{urlencode(week)}" for name in names}
    found["alerts"] += "&past=failures"
    found["agents"] += "&of=billing&of=roaming"
    found["query"] = f"/queries/{query_id}?{urlencode(week)}"
    found["sql"] = f"/sql?{urlencode(week | {'sql': SQL})}"
    region = {"from": (UNTIL - timedelta(hours=48)).timestamp(), "to": (UNTIL - timedelta(hours=40)).timestamp()}
    found["compare"] = f"/compare?{urlencode(week | region | {'above': 8000})}"
    return found


def _checked(seconds: float) -> list[QueryRow]:
    """Queries that call one tool, which takes about so long."""
    made, rows = random.Random(7), []
    for _ in range(60):
        took = int(made.lognormvariate(math.log(seconds), 0.4) * 1e9)
        rows.append(_query([CallRow("check_coverage", 50_000_000, None, took, "tool")], agent="roaming"))
        rows[-1].duration = took + 100_000_000
    return rows


def _query(calls: Sequence[CallRow], agent: str = "billing", **fields: object) -> QueryRow:
    row = QueryRow(0, 0, agent, "unpaid bills of customer 4711", "Agent.answer", list(calls))
    row.duration, row.origin, row.result_size = 1_500_000_000, Origin("web-1", 7), 420
    for name, value in fields.items():
        setattr(row, name, value)
    return row


def _calls() -> list[CallRow]:
    """Calls of each kind, nested, failed and one that never ended."""
    made = [
        CallRow("plan", 20_000_000, None, 380_000_000, "model"),
        CallRow("find_customers", 420_000_000, None, 300_000_000, "tool"),
        CallRow("query Customers", 450_000_000, 1, 220_000_000, "graphql"),
        CallRow("get_bills", 740_000_000, None, 620_000_000, "tool"),
        CallRow("query Bills", 760_000_000, 3, 590_000_000, "graphql"),
        CallRow("send_tickets", 1_380_000_000, None, None, "tool"),
    ]
    made[4].status, made[4].error = "error", "GraphQLError"
    return made


def _written(store: Path, rows: Sequence[QueryRow], begin: datetime = UNTIL - _BEFORE, long: timedelta = _LONG) -> str:
    """Spread the rows over some hours and write them; returns the last one's id."""
    step = long / len(rows)
    for place, row in enumerate(rows, 1):
        row.started, row.serial = round((begin + step * place).timestamp() * 1e6), place
    sink = SegmentSink(store, now=UNTIL.timestamp)
    sink.write(rows)
    sink.close()
    return derived_id(rows[-1].started, rows[-1].serial)
