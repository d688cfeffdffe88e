"""A simulator of agents' traffic in which it is known what each piece of advice would save.

Without anything to advise, a query makes one GraphQL request with variables of its own, asks a model, calls one tool
and asks the model again. Each opportunity adds something to that, and adds up what it would save.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from instrument.analysis.advice import Advice, Advised
from instrument.reading import open_store
from instrument.rows.live import ChoiceRow, ModelFacts, Origin
from instrument.rows.stored import CallRow, QueryRow
from instrument.sinks.segments import SegmentSink

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 14
A_DAY = 150

KINDS = (
    "parallel_calls", "repeated_operation", "one_by_one", "cache", "simple_queries", "threshold", "retries",
    "failing_tool", "timeout", "slow_operation", "long_input", "cheaper_model", "peaks", "loop", "slower_since",
)  # fmt: skip

ORIGIN = Origin("host", 1)
LIFETIME = 3600.0
LIMIT = 0.6
"""The selector's threshold."""


class Recorder:
    """One query while it is made up: its calls one after the other."""

    def __init__(self, at: datetime, number: int, agent: str, score: float) -> None:
        self.at, self.number, self.agent, self.score = at, number, agent, score
        self.now = 0.0
        self.calls: list[CallRow] = []
        self.attributes: dict[str, Any] = {}
        self.error: str | None = None
        self.tokens = 0
        self.cost: float | None = None

    def call(
        self, kind: str, name: str, seconds: float, *, error: str | None = None, variables: str | None = None
    ) -> CallRow:
        row = CallRow(name, round(self.now * 1e9), None, round(seconds * 1e9), kind)
        row.variables = variables
        if error is not None:
            row.status, row.error = "error", error
        self.calls.append(row)
        self.now += seconds
        return row

    def row(self) -> QueryRow:
        started = (self.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        made = QueryRow(started, self.number, self.agent, "what is unpaid?", "process_query", self.calls)
        made.duration, made.origin = round(self.now * 1e9), ORIGIN
        made.selection = ChoiceRow(started, self.agent, self.score)
        made.attributes = self.attributes or None
        made.input_tokens, made.output_tokens, made.cost_usd = self.tokens, 100, self.cost
        made.model = next((call.facts.model for call in self.calls if call.facts), None)
        if self.error is not None:
            made.status, made.error = "error", self.error
        return made


class World:
    """Traffic with some opportunities; `saved` has what each would save a week, in seconds or US dollars."""

    def __init__(
        self, opportunities: Iterable[str] = (), *, seed: int = 1, days: int = DAYS, a_day: int = A_DAY
    ) -> None:
        self.has = frozenset(opportunities)
        self.chance = random.Random(f"{sorted(self.has)} {seed}")
        self.days, self.total = days, dict.fromkeys(KINDS, 0.0)
        self.batch: set[datetime] = set()
        self._cached: dict[str, float] = {}
        self.rows = [self._query(at, number).row() for number, at in enumerate(self._arrivals(a_day))]

    @property
    def saved(self) -> dict[str, float]:
        return {kind: total * 7 / self.days for kind, total in self.total.items()}

    def advice(self, folder: Path) -> Advised:
        SegmentSink(folder, now=lambda: START.timestamp()).write(self.rows)
        until = START + timedelta(days=self.days)
        with open_store(folder, since=START, until=until) as store:
            return store.advice()

    def true_saving(self, advice: Advice) -> float:
        """What a piece of advice would save a week, if it is right; for peaks with the workers that it names."""
        if advice.kind != "peaks":
            return self.saved[advice.kind]
        workers = re.search(r"With (\d+) worker", advice.evidence)
        assert workers is not None
        return self.waited(int(workers[1]))

    def waited(self, workers: int) -> float:
        """What others than batch work wait less for so many workers, in s a week, if that came evenly over its day."""
        came = [(query.started / 1e6, query.duration / 1e9, bool(query.attributes)) for query in self.rows]
        spread = [one for one in came if not one[2]]
        for day in range(self.days):
            begin = START.timestamp() + day * 86400
            batch = [one for one in came if one[2] and begin <= one[0] < begin + 86400]
            spread += [(begin + 86400 * (place + 0.5) / len(batch), one[1], True) for place, one in enumerate(batch)]
        return (_waits(came, workers) - _waits(spread, workers)) * 7 / self.days

    def _arrivals(self, a_day: int) -> list[datetime]:
        came = [
            START + timedelta(days=day, hours=min(23.99, max(0.0, self.chance.gauss(13, 4))))
            for day in range(self.days)
            for _ in range(a_day)
        ]
        if "peaks" in self.has:  # every second query of a day comes in the same two minutes
            for place in range(0, len(came), 2):
                came[place] = came[place].replace(hour=12, minute=self.chance.randrange(2))
                self.batch.add(came[place])
        return sorted(came)

    def _long(self, usual: float, spread: float = 0.4) -> float:
        return usual * math.exp(self.chance.gauss(0, spread))

    def _happens(self, share: float) -> bool:
        return self.chance.random() < share

    def _query(self, at: datetime, number: int) -> Recorder:
        score = self.chance.random()
        agent = self.chance.choice(("simple", "crewai"))
        if "threshold" in self.has:
            agent = "crewai" if score > LIMIT else "simple"
        elif {"slower_since", "long_input"} & self.has:  # another agent would be a cheaper one
            agent = "crewai"
        made = Recorder(at, number, agent, score)
        factor = self._factor(made, (at - START) / timedelta(days=1))
        self._requests(made)
        self._ask_model(made, factor)
        self._tools(made)
        self._ask_model(made, factor)
        if made.error == "ConnectionError":
            self.total["failing_tool"] += made.now
        if self._happens(0.02) and made.error is None:
            made.error = "ValueError"
        return made

    def _factor(self, made: Recorder, day: float) -> float:
        """How much longer than usual the models take; the usual grows with complexity."""
        hard = 1 + made.score
        if made.agent == "crewai" and "simple_queries" in self.has:
            return 4 * hard
        if made.agent == "crewai" and "threshold" in self.has:
            return 3 * hard
        if made.agent == "crewai" and "slower_since" in self.has and day >= self.days / 2:
            made.attributes["version"] = "2.0"
            return 2 * hard
        return hard

    def _ask_model(self, made: Recorder, factor: float) -> None:
        seconds = self._long(1.0) * factor
        tokens = round(self._long(1000, 0.3))
        if "long_input" in self.has and self._happens(0.1):
            tokens *= 10
            self.total["long_input"] += max(0.0, tokens - 2000) * 0.0005
        if "long_input" in self.has:
            seconds += tokens * 0.0005
        facts = ModelFacts("large", "acme", tokens, 50)
        if "cheaper_model" in self.has and made.agent == "crewai":
            price = 1e-5
            if self._happens(0.5):
                facts.model, price = "small", 1e-6
            facts.cost_usd = tokens * price
            self.total["cheaper_model"] += tokens * (price - 1e-6)
            made.cost = (made.cost or 0.0) + facts.cost_usd
        made.call("model", facts.model or "", seconds).facts = facts
        made.tokens += tokens
        extra = seconds * (1 - 1 / factor * (1 + made.score))
        simple = made.score <= 0.5
        if "simple_queries" in self.has and simple:
            self.total["simple_queries"] += extra
        if "threshold" in self.has and made.agent == "crewai" and made.score <= LIMIT + 0.1:
            self.total["threshold"] += extra
        if "slower_since" in self.has and made.attributes:
            self.total["slower_since"] += 2 * extra  # it lasts for half of the time

    def _tools(self, made: Recorder) -> None:
        if "parallel_calls" in self.has and self._happens(0.5):
            each = [self._long(0.8) for _ in range(3)]
            for place, seconds in enumerate(each):
                made.call("tool", f"look_up_{place}", seconds)
            self.total["parallel_calls"] += sum(each) - max(each)
            return
        if made.at in self.batch:
            made.attributes["priority"] = "batch"
            made.call("tool", "rebuild_index", 100.0)
            return
        if "retries" in self.has and self._happens(0.035):
            made.call("tool", "find_customers", 1.0, error="ConnectionError")
            made.now += 4.0
            self.total["retries"] += 5.0
        made.call("tool", "find_customers", self._long(0.5), error="KeyError" if self._happens(0.01) else None)
        if "timeout" in self.has:
            self._thinks(made)
            hangs = self._happens(0.03)
            made.call("tool", "archive", 30.0 if hangs else self._long(0.5), error="TimeoutError" if hangs else None)
            self.total["timeout"] += 28.5 if hangs else 0.0
        if "loop" in self.has and made.agent == "crewai" and self._happens(0.06):
            for _ in range(30):
                self._thinks(made)
                self.total["loop"] += 0.05
                self.total["loop"] += made.call("tool", "search_web", self._long(0.4)).duration / 1e9  # type: ignore[operator]
            made.error = "RecursionError"
        if "failing_tool" in self.has:
            self._thinks(made)
            failing = self._happens(0.15)
            made.call("tool", "billing", self._long(1.0), error="ConnectionError" if failing else None)
            if failing:
                made.error = "ConnectionError"

    def _thinks(self, made: Recorder) -> None:
        """A short answer of the model, so that the next call is one that it did not ask for before."""
        made.call("model", "router", 0.05)

    def _requests(self, made: Recorder) -> None:
        request = self._long(0.3)
        made.call("graphql", "query Customers", request, variables=f"c{made.number}")
        if "repeated_operation" in self.has and self._happens(0.3):
            for _ in range(2):
                request = self._long(0.3)
                made.call("graphql", "query Customers", request, variables=f"c{made.number}")
                self.total["repeated_operation"] += request
        if "one_by_one" in self.has and self._happens(0.3):
            for place in range(6):
                request = self._long(0.3, 0.2)
                made.call("graphql", "query Bill", request, variables=f"b{made.number}.{place}")
                self.total["one_by_one"] += request if place else 0.0
        if "cache" in self.has:
            self._countries(made)
        if "slow_operation" in self.has:
            slow = self._happens(0.1)
            request = self._long(5.0 if slow else 0.3, 0.2)
            made.call("graphql", "query Search", request, variables=f"s{made.number}")
            self.total["slow_operation"] += request - 0.3 if slow else 0.0

    def _countries(self, made: Recorder) -> None:
        which, now, request = f"k{self.chance.randrange(3)}", made.at.timestamp() + made.now, self._long(1.0)
        made.call("graphql", "query Countries", request, variables=which)
        if now - self._cached.get(which, -math.inf) <= LIFETIME:
            self.total["cache"] += request
        else:
            self._cached[which] = now


def _waits(came: list[tuple[float, float, bool]], workers: int) -> float:
    """The waiting of those that may not wait, worker by worker."""
    free, total = [0.0] * workers, 0.0
    for at, lasts, may_wait in sorted(came):
        first = min(range(workers), key=free.__getitem__)
        begin = max(at, free[first])
        free[first] = begin + lasts
        total += 0.0 if may_wait else begin - at
    return total
