"""A telecom company's invented week or month: agents with a daily rhythm, an incident, and a tool that got worse."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path

from instrument.rows.live import ChoiceRow, Origin
from instrument.rows.stored import CallRow, QueryRow, new_serial
from instrument.sinks.segments import SegmentSink

AGENTS = {
    "triage": (0.19, 0.9),
    "billing": (0.15, 1.6),
    "network-status": (0.13, 1.1),
    "refunds": (0.1, 4.0),
    "roaming": (0.09, 2.2),
    "summaries": (0.08, 2.6),
    "upsell": (0.07, 3.0),
    "sim-swap": (0.06, 6.0),
    "contracts": (0.05, 25.0),
    "field-service": (0.04, 8.1),
    "fraud-review": (0.03, 24.0),
    "research-crew": (0.02, 37.0),
}
"""The share of the queries, and the median duration in seconds, of each agent."""

VERBS, THINGS = (
    ("find", "search", "lookup", "get", "update", "send", "compute", "draft"),
    (
        "customers",
        "contracts",
        "devices",
        "tickets",
        "plans",
        "bills",
        "payments",
        "outages",
        "sims",
        "offers",
    ),
)
TOOLS = tuple(f"{verb}_{thing}" for verb in VERBS for thing in THINGS)
_READ = ("Tariffs", "Offers", "Usage", "Segments", "Plans", "CreditScore", "Balance", "Contract")
OPERATIONS = (
    *(f"query {name}" for name in _READ),
    "mutation AddNote",
    "mutation SwapSim",
    "mutation RefundPayment",
    "mutation BookVisit",
)
MODELS = {"small-1": 3e-7, "medium-2": 1.2e-6, "large-1": 6e-6}
ERRORS = ("TimeoutError", "GraphQLError", "ValueError", "RateLimitError", "ToolError", "ConnectionError")
PLACES = ("Brazil", "Germany", "Kenya", "Norway", "Mexico", "Japan", "India", "Spain")
DAY = 86_400
INCIDENT = (0.72, 0.74)
"""When, as shares of the period, the API of the billing system was down for one tenant."""

BATCH = 1000


def fill(store: Path, queries: int, days: float, newest: float, *, seed: int = 7, serial: int | None = None) -> None:
    """Write so many queries over `days` days that end at `newest` (seconds since 1970), with a daily rhythm.

    With a `serial` to begin at, the ids are the same every time.
    """
    made = random.Random(seed)
    now = [newest - days * DAY]
    sink = SegmentSink(store, now=lambda: now[0])
    first = new_serial() if serial is None else serial
    rows = _rows(made, queries, newest - days * DAY, days * DAY, first)
    while batch := list(itertools.islice(rows, BATCH)):
        now[0] = batch[-1].started / 1e6
        sink.write(batch)
    sink.close()


def _rows(made: random.Random, queries: int, first: float, length: float, serial: int) -> Iterator[QueryRow]:
    steps = max(1, round(length / 900))
    weights = [_rhythm(first + length * (place + 0.5) / steps) for place in range(steps)]
    total = sum(weights)
    names, shares = list(AGENTS), [share for share, _ in AGENTS.values()]
    origins = [Origin(f"web-{number}", 310 + number) for number in range(1, 5)]
    written = 0
    for place, weight in enumerate(weights):
        wanted = (
            round(queries * sum(weights[: place + 1]) / total)
            if steps < 5000
            else written + round(queries * weight / total)
        )
        times = sorted(made.random() for _ in range(wanted - written))
        for at in times:
            moment = first + length * (place + at) / steps
            serial += 1
            yield _row(
                made, moment, (moment - first) / length, serial, made.choices(names, shares)[0], made.choice(origins)
            )
        written = wanted


def _rhythm(moment: float) -> float:
    hour, weekday = moment % DAY / 3600, int(moment // DAY + 3) % 7
    return (0.15 + max(0.0, math.sin((hour - 6) / 15 * math.pi)) ** 1.5) * (0.45 if weekday >= 5 else 1.0)


def _question(made: random.Random, agent: str) -> str:
    place, number = made.choice(PLACES), made.randrange(10_000, 99_999)
    return made.choice(
        {
            "triage": ("where is my order {n}?", "my phone has no signal in {p}", "I want to cancel contract {n}"),
            "billing": ("unpaid bills of customer {n}", "why is bill {n} higher than last month?"),
            "network-status": ("is there an outage in {p}?", "how long will the outage in {p} last?"),
            "refunds": ("refund payment {n}", "is payment {n} fraud?"),
            "roaming": ("roaming costs in {p}", "does plan {n} work in {p}?"),
        }.get(
            agent,
            (
                "summarise the contract of customer {n}",
                "which plan fits {n} GB a month?",
                "customers in {p} with unpaid bills",
            ),
        )
    ).format(p=place, n=number)


def _row(made: random.Random, moment: float, at: float, serial: int, agent: str, origin: Origin) -> QueryRow:
    tenant = made.choice(("north", "south", "east", "west"))
    seconds = made.lognormvariate(math.log(AGENTS[agent][1]), 0.6)
    broken = INCIDENT[0] <= at < INCIDENT[1] and tenant == "north"
    worse = at > 0.75
    if broken:
        seconds = max(seconds, made.uniform(8, 12))
    calls = list(_calls(made, seconds, worse))
    row = QueryRow(int(moment * 1e6), serial, agent, _question(made, agent), "Agent.answer", calls)
    row.duration, row.origin, row.result_size = int(seconds * 1e9), origin, made.randrange(80, 6000)
    row.entities = made.sample(THINGS, made.randrange(3)) or None
    row.attributes = {
        "tenant": tenant,
        "channel": made.choice(("chat", "voice", "mail")),
        "version": "2.4" if worse else "2.3",
    }
    model = "large-1" if seconds > 15 else made.choice(("small-1", "small-1", "medium-2"))
    row.model, row.input_tokens, row.output_tokens = model, made.randrange(200, 2400), made.randrange(20, 700)
    row.cost_usd = (row.input_tokens + 4 * row.output_tokens) * MODELS[model]
    if made.random() < 0.5:
        score = round(min(0.99, max(0.01, made.gauss(0.45, 0.16))), 3)
        row.selection = ChoiceRow(
            row.started - 200, agent, score, "several steps" if score > 0.6 else "a short question"
        )
    if made.random() < (0.7 if broken else 0.018):
        error = "GraphQLError" if broken else made.choice(ERRORS)
        row.status, row.error, row.message = (
            "error",
            error,
            f"{error.removesuffix('Error').lower()} after {seconds:.1f} s",
        )
        if calls:
            calls[-1].status, calls[-1].error = "error", error
    elif made.random() < 0.004:
        row.status = "cancelled"
    return row


def _calls(made: random.Random, seconds: float, worse: bool) -> Iterator[CallRow]:
    begin, number = int(seconds * made.uniform(0.03, 0.1) * 1e9), made.randrange(1, 7)
    around = None
    for place in range(number):
        took = int(seconds * 1e9 * made.uniform(0.3, 0.9) / number)
        if around is not None:
            yield CallRow(made.choice(OPERATIONS), around[0] + took // 20, around[2], around[1] // 2, "graphql")
            around = None
            continue
        name = TOOLS[min(len(TOOLS) - 1, int(made.expovariate(0.06)))]
        if worse and name == "search_plans":
            took = min(took * 3, int(seconds * 1e9 * 0.95) - begin)
        call = (
            CallRow(name, begin, None, max(took, 1000), "tool")
            if made.random() < 0.7
            else CallRow(made.choice(OPERATIONS), begin, None, max(took, 1000), "graphql")
        )
        if made.random() < 0.012:
            call.status, call.error = "error", made.choice(ERRORS)
        around = (begin, took, place) if call.kind == "tool" and made.random() < 0.3 else None
        yield call
        begin = min(begin + took + int(seconds * 4e6), int(seconds * 0.97e9))
