"""Learn what queries take, one after the other as they complete: rolling quantiles of groups that narrow down.

Each group keeps its last completed queries. A group of few is drawn towards the wider group around it, and what comes
out is corrected by how often it was right of late (Gibbs and Candès, Adaptive conformal inference under distribution
shift, 2021). Nothing is trained beyond that, so a change of an agent shows after some ten queries.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from instrument.files import make_directory, write_file
from instrument.prediction import (
    COST,
    FILE,
    P50,
    P90,
    SHARES,
    TOKENS,
    VERSION,
    Group,
    Model,
    drop_loaded,
    keys,
    nested,
)
from instrument.store.tables import Tables

RECENT, MOST_RECENT = 30, 200
"""Queries that a group keeps: the last 30, or up to 200 where that many completed within an hour."""

STEP = 0.01
"""How far a correction moves with each query, on the logarithm's scale."""

FASTEST_FAILURES = 0.1
"""Weight of the newest query in the share of failures."""

MOST_QUERIES, MOST_GROUPS = 20_000, 5_000

_HOUR_US = 3_600_000_000


class Known(Struct, frozen=True):
    """What is known of a query: times in µs since 1970, duration in ms; None for a figure that was not recorded."""

    begun: int
    ended: int
    user_input: str
    agent: str | None
    model: str | None
    attribute: str | None
    duration_ms: float
    failed: bool
    tokens: int | None = None
    cost_usd: float | None = None


class _Recent:
    """The last values of a figure in a group, in order of value and in order of time."""

    __slots__ = ("ordered", "timed")

    def __init__(self) -> None:
        self.timed: deque[tuple[int, float]] = deque()
        self.ordered: list[float] = []

    def add(self, at: int, value: float) -> None:
        self.timed.append((at, value))
        insort(self.ordered, value)
        while len(self.timed) > RECENT and (len(self.timed) > MOST_RECENT or self.timed[0][0] < at - _HOUR_US):
            _, old = self.timed.popleft()
            del self.ordered[bisect_left(self.ordered, old)]

    def quantile(self, share: float) -> float | None:
        if not self.ordered:
            return None
        place = share * (len(self.ordered) - 1)
        below = int(place)
        above = min(below + 1, len(self.ordered) - 1)
        return self.ordered[below] + (self.ordered[above] - self.ordered[below]) * (place - below)


_SOURCES = {P50: "duration", P90: "duration", TOKENS: TOKENS, COST: COST}


class Learner:
    """Learns from completed queries and predicts the next ones."""

    def __init__(self, attribute: str = "") -> None:
        self.attribute = attribute
        self._groups: dict[str, dict[str, _Recent]] = {}
        self._offsets: dict[str, dict[str, float]] = {}
        self._failures: dict[str, tuple[float, int]] = {}

    def quantile(self, query: Known, figure: str) -> float | None:
        """The logarithm of a figure's quantile for a query, by what is known now; None where nothing is."""
        path = keys(query.user_input, query.agent, query.model, query.attribute)
        return self._quantile(path, figure)

    def _quantile(self, path: list[str], figure: str) -> float | None:
        share, source = SHARES[figure], _SOURCES[figure]
        known = [self._groups[key][source] for key in path if source in self._groups.get(key, {})]
        value = nested([(recent.quantile(share), len(recent.ordered)) for recent in known], share)
        return None if value is None else value + self._offsets.get(path[2], {}).get(figure, 0.0)

    def failure(self, query: Known) -> float:
        """The share of failures of late among queries of the same agent and model; 0 where none is known."""
        path = keys(query.user_input, query.agent, query.model, query.attribute)
        return next((self._failures[key][0] for key in reversed(path[:3]) if key in self._failures), 0.0)

    def learn(self, query: Known) -> None:
        """Take in a query that has completed."""
        path = keys(query.user_input, query.agent, query.model, query.attribute)
        values = {"duration": math.log(max(query.duration_ms, 1e-3))}
        if query.tokens is not None:
            values[TOKENS] = math.log1p(max(query.tokens, 0))
        if query.cost_usd is not None and query.cost_usd > 0:
            values[COST] = math.log(query.cost_usd * 1e6)
        self._correct(path, values)
        for key in path:
            group = self._groups.setdefault(key, {})
            for source, value in values.items():
                if source not in group:
                    group[source] = _Recent()
                group[source].add(query.ended, value)
        for key in path[:3]:
            rate, count = self._failures.get(key, (0.0, 0))
            weight = max(FASTEST_FAILURES, 1 / (count + 1))
            self._failures[key] = (rate + weight * (query.failed - rate), count + 1)

    def _correct(self, path: list[str], values: dict[str, float]) -> None:
        offsets = self._offsets.setdefault(path[2], {})
        for figure, share in SHARES.items():
            value = values.get(_SOURCES[figure])
            said = None if value is None else self._quantile(path, figure)
            if value is not None and said is not None:
                offsets[figure] = offsets.get(figure, 0.0) + STEP * (share - (value <= said))

    def model(self, now_us: int) -> Model:
        """What `instrument.prediction` needs of all this; of too many groups those of most queries."""
        sizes = {key: len(group["duration"].ordered) for key, group in self._groups.items()}
        kept = heapq.nlargest(MOST_GROUPS, sizes, key=lambda key: (key.count("\x1f") < 2, sizes[key]))
        return Model(
            VERSION,
            now_us,
            self.attribute,
            {key: self._group(key) for key in kept},
            self._offsets,
            {key: rate for key, (rate, _) in self._failures.items()},
        )

    def _group(self, key: str) -> Group:
        group = self._groups[key]
        there = {figure: group[source] for figure, source in _SOURCES.items() if source in group}
        return Group(
            len(group["duration"].ordered),
            {
                figure: value
                for figure, recent in there.items()
                if (value := recent.quantile(SHARES[figure])) is not None
            },
            {figure: len(recent.ordered) for figure, recent in there.items()},
        )


def in_turn(queries: Iterable[Known]) -> Iterable[tuple[Known, list[Known]]]:
    """Each query by its begin, with those that completed since the one before: what may be known when it begins."""
    running: list[tuple[int, int, Known]] = []
    for number, query in enumerate(sorted(queries, key=lambda one: one.begun)):
        completed = []
        while running and running[0][0] <= query.begun:
            completed.append(heapq.heappop(running)[2])
        yield query, completed
        heapq.heappush(running, (query.ended, number, query))


class Evaluation(Struct, frozen=True):
    """How good predictions were on queries that were not known yet; losses are pinball losses in seconds.

    `plain_p50` and `plain_p90` are those of each agent's and model's quantiles over all its earlier queries,
    `covered` the share of queries below their p90, `failures_auc` how well failures were told apart (0.5 is chance),
    None without failures.
    """

    queries: int
    p50: float
    p90: float
    plain_p50: float
    plain_p90: float
    covered: float
    failures_auc: float | None


def pinball(value: float, said: float, share: float) -> float:
    """The pinball loss of a quantile: what it is off, `share` above and 1 - share below."""
    return (value - said) * share if value >= said else (said - value) * (1 - share)


def evaluate(queries: list[Known], *, attribute: str = "", least: int = 100) -> Evaluation | None:
    """Predict each query from those that had completed before it began; None where there are fewer than `least`."""
    learner, plain = Learner(attribute), _Plain()
    losses: dict[str, float] = dict.fromkeys(("p50", "p90", "plain_p50", "plain_p90"), 0.0)
    count, covered, risks = 0, 0, []
    for query, completed in in_turn(queries):
        for one in completed:
            learner.learn(one)
            plain.learn(one)
        p50, p90 = learner.quantile(query, P50), learner.quantile(query, P90)
        plain50, plain90 = plain.quantile(query, 0.5), plain.quantile(query, 0.9)
        if p50 is None or p90 is None or plain50 is None or plain90 is None:
            continue
        seconds = query.duration_ms / 1000
        for name, said, share in (("p50", p50, 0.5), ("p90", max(p50, p90), 0.9)):
            losses[name] += pinball(seconds, math.exp(said) / 1000, share)
        for name, said, share in (("plain_p50", plain50, 0.5), ("plain_p90", plain90, 0.9)):
            losses[name] += pinball(seconds, said / 1000, share)
        covered += query.duration_ms <= math.exp(max(p50, p90))
        risks.append((learner.failure(query), query.failed))
        count += 1
    if count < least:
        return None
    return Evaluation(count, **{name: loss / count for name, loss in losses.items()}, covered=covered / count,
                      failures_auc=_auc(risks))  # fmt: skip


class _Plain:
    """Quantiles of all earlier durations of an agent and model: what a report would say."""

    def __init__(self) -> None:
        self._durations: dict[tuple[str | None, str | None], list[float]] = {}

    def learn(self, query: Known) -> None:
        insort(self._durations.setdefault((query.agent, query.model), []), query.duration_ms)

    def quantile(self, query: Known, share: float) -> float | None:
        ordered = self._durations.get((query.agent, query.model))
        if not ordered:
            return None
        place = share * (len(ordered) - 1)
        below = int(place)
        return ordered[below] + (ordered[min(below + 1, len(ordered) - 1)] - ordered[below]) * (place - below)


def _auc(risks: list[tuple[float, bool]]) -> float | None:
    """The chance that a query that failed was given a greater risk than one that did not (Mann and Whitney's U)."""
    failed = sorted(risk for risk, did in risks if did)
    fine = sorted(risk for risk, did in risks if not did)
    if not failed or not fine:
        return None
    below = sum(bisect_left(fine, risk) for risk in failed)
    equal = sum(bisect_right(fine, risk) - bisect_left(fine, risk) for risk in failed)
    return (below + equal / 2) / (len(failed) * len(fine))


# -- from and to a store -----------------------------------------------------------------------------------------------


def known_queries(tables: Tables, attribute: str = "", most: int = MOST_QUERIES) -> list[Known]:
    """The last completed outermost queries of a store, by their end."""
    rows = tables.rows(
        """SELECT started_us, started_us + duration_ns // 1000 AS ended, user_input, agent_type, model,
            CASE WHEN $path = '' THEN NULL ELSE attributes ->> $path END,
            duration_ms, NOT success, coalesce(input_tokens, 0) + coalesce(output_tokens, 0),
            input_tokens IS NOT NULL OR output_tokens IS NOT NULL, cost_usd
        FROM queries WHERE status IN ('ok', 'error', 'closed') AND parent_id IS NULL
        ORDER BY ended DESC LIMIT $most""",
        {"path": json_path(attribute), "most": most},
    )
    return [
        Known(begun, ended, text, agent, model, value, duration, failed, tokens if counted else None, cost)
        for begun, ended, text, agent, model, value, duration, failed, tokens, counted, cost in reversed(rows)
    ]


def json_path(attribute: str) -> str:
    """The JSON path of an attribute, "" for none."""
    escaped = attribute.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"' if attribute else ""


def telling_attribute(tables: Tables) -> str:
    """The attribute that says most about durations: at most 50 values, on half of the queries; "" where none does.

    "Most" is the share of the variance of the logarithms that lies between the values, within an agent.
    """
    rows = tables.rows(
        """WITH known AS (SELECT agent_type, ln(greatest(duration_ms, 0.001)) AS y, attributes FROM queries
                WHERE attributes IS NOT NULL AND status IN ('ok', 'error', 'closed') AND parent_id IS NULL
                ORDER BY started_us DESC LIMIT 20000),
            pairs AS (SELECT agent_type, y, unnest(json_keys(attributes)) AS name, attributes FROM known),
            named AS (SELECT agent_type, y, name, json_extract_string(attributes, '$."' || name || '"') AS value
                FROM pairs),
            whole AS (SELECT count(*) AS n, var_pop(y) AS spread FROM known),
            grouped AS (SELECT name, agent_type, value, count(*) AS n, avg(y) AS mean FROM named GROUP BY ALL)
        SELECT name FROM (
            SELECT name, sum(n) AS given, count(DISTINCT value) AS several, var_pop(mean) AS between
            FROM grouped GROUP BY name), whole
        WHERE several BETWEEN 2 AND 50 AND 2 * given >= n AND between > 0.05 * spread
        ORDER BY between DESC, name LIMIT 1"""
    )
    return str(rows[0][0]) if rows else ""


def train(tables: Tables, now_us: int) -> Model:
    """Learn from the last queries of a store."""
    attribute = telling_attribute(tables)
    learner = Learner(attribute)
    for query in known_queries(tables, attribute):
        learner.learn(query)
    return learner.model(now_us)


def save(directory: Path, model: Model) -> None:
    """Write a model beside the store's records, whole or not at all."""
    file = directory / FILE
    make_directory(file.parent, inside=True)
    write_file(file, [msgspec.msgpack.encode(model)])
    drop_loaded(directory)


def renew(directory: Path, tables: Tables, now_us: int) -> Model:
    """Learn from a store and write the model; returns it."""
    model = train(tables, now_us)
    save(directory, model)
    return model
