"""Records into counters: what one row of the store adds to which series.

The figures are those of `metrics report`: queries inside queries count in no figure of queries, what was cancelled
neither succeeded nor failed, and a sampled record counts as often as its weight says.

A call that was still open when its query was written waits here until its own line comes, so that it counts once and as
it ended. After `SETTLED_SECONDS` without one it counts as failed, which is what a report shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from instrument.config import Config
from instrument.exporters import names
from instrument.exporters.prometheus.families import Distribution, Family, Sum, new_families
from instrument.exporters.prometheus.labels import LabelValues
from instrument.exporters.prometheus.row_facts import (
    NO_TOTALS,
    USAGE,
    ModelCells,
    OpenCall,
    Waiting,
    by_model,
    cost_of,
    count_call,
    is_number,
    model_of,
    outcome_of,
    serial_of,
)
from instrument.rows.live import ModelFacts
from instrument.rows.stored import (
    HealthRow,
    QueryRow,
    SelectionRow,
    StandaloneCallRow,
    id_of,
)

SETTLED_SECONDS = 300.0
"""How long a call that was open when its query was written may take to come back."""

MOST_WAITING = 10_000
"""Queries with open calls that are waited for."""

_MOST_KNOWN = 20_000
_MOST_RECENT = 5_000
_CHAT = "chat"
_FUNCTION = "function"

Row = QueryRow | StandaloneCallRow | SelectionRow | HealthRow


class Counting:
    """The families, and how rows are added to them. `waiting` and `said` have to outlive the process beside them.

    `said` is what health records say was dropped, by reason.
    """

    def __init__(self, config: Config) -> None:
        most = config.max_label_values
        self.families = new_families(most)
        self.waiting: dict[str, Waiting] = {}
        self.said: dict[str, int] = {}
        self._slow = config.slow_query_threshold_ms * 1e6
        self._very_slow = config.very_slow_query_threshold_ms * 1e6
        self._agents, self._errors, self._models = LabelValues(most), LabelValues(most), LabelValues(most)
        self._entities, self._metrics, self._reasons = LabelValues(most), LabelValues(most), LabelValues(most)
        self._providers, self._tools, self._operations = LabelValues(most), LabelValues(most), LabelValues(most)
        self._calls: dict[Any, tuple[Sum, Distribution, Sum | None]] = {}
        self._spent: dict[tuple[str | None, str | None], list[Any]] = {}
        self._of_models: dict[Any, ModelCells] = {}
        self._entity_cells: dict[str, Sum] = {}
        self._recent: dict[int, tuple[str | None, bool]] = {}
        self._less_recent: dict[int, tuple[str | None, bool]] = {}
        self._queries: dict[Any, tuple[Sum, Distribution, Sum, Sum | None]] = {}

    def restored(self) -> None:
        """Take the label values of restored series for those that were used first."""
        kinds = {
            "agent": self._agents,
            "gen_ai_agent_name": self._agents,
            "error_type": self._errors,
            "model": self._models,
            "gen_ai_request_model": self._models,
            "gen_ai_provider_name": self._providers,
            "gen_ai_tool_name": self._tools,
            "operation": self._operations,
            "entity": self._entities,
            "metric": self._metrics,
            "reason": self._reasons,
        }
        by_kind = {"tool": self._tools, "graphql": self._operations, "model": self._models}
        for family in self.families.values():
            for values in family.series:
                pairs = dict(zip(family.metric.labels, values, strict=True))
                for label, value in pairs.items():
                    used = by_kind.get(pairs.get("kind", "")) if label == "name" else kinds.get(label)
                    if used is not None:
                        used.use(value)

    def add(self, rows: Iterable[Row], now: float) -> None:
        """Count rows; `now` is the wall time in seconds."""
        for row in rows:
            if isinstance(row, QueryRow):
                self._query(row, now)
            elif isinstance(row, StandaloneCallRow):
                self._standalone(row)
            elif isinstance(row, SelectionRow):
                self._selected(row.agent, 1)
                if row.score is not None and is_number(row.score):
                    self._scores(row.agent).add_beside(row.score, 1, row.time, row.parent)
            else:
                self._health(row)

    def settle(self, now: float) -> None:
        """Count the open calls that did not come back in time."""
        while self.waiting:
            query_id, first = next(iter(self.waiting.items()))
            if now < first.until and len(self.waiting) <= MOST_WAITING:
                return
            del self.waiting[query_id]
            for call in first.calls:
                facts = ModelFacts(model=call.model, provider=call.provider)
                cells = self._call_cells(first.agent, call.kind, call.name, "abandoned", call.error, False, facts)
                count_call(cells, first.weight)

    def family(self, metric: names.Metric) -> Family:
        """The family of a metric."""
        return self.families[metric.prometheus]

    # -- queries -----------------------------------------------------------------------------------------------------

    def _query(self, row: QueryRow, now: float) -> None:
        weight, agent, known = row.weight, row.agent, self._calls
        open_calls = 0
        models: list[str] = []
        for call in row.calls:
            duration, facts = call.duration, call.facts
            if facts is not None and (model := facts.model or call.name) not in models:
                models.append(model)
            if duration is None:
                open_calls += 1
                continue
            key: Any = (agent, call.kind, call.name)
            if facts is not None:
                key = (*key, facts.model, facts.provider)
            if call.status != "ok":
                key = (key, call.status, call.error, call.passed_on)
            cells = known.get(key)
            if cells is None:
                cells = self._call_cells(agent, call.kind, call.name, call.status, call.error, call.passed_on, facts)
                if len(known) < _MOST_KNOWN:
                    known[key] = cells
            total, durations, errors = cells
            total.value += weight
            durations.add(duration / 1e9, row)
            if errors is not None:
                errors.value += weight
            if facts is not None and call.kind == "model":
                self._model_call(facts, call.name, row)
        if open_calls:
            self._await(row, now)
        self._recent[row.serial] = (agent, row.parent is not None)
        if len(self._recent) > _MOST_RECENT:
            self._recent, self._less_recent = {}, self._recent
        if row.parent is None:
            self._root(row)
            self._usage(row, models)
        else:
            outcome = outcome_of(row.status)
            self.family(names.NESTED_QUERIES).cell(self._agents[agent], outcome).value += weight
        if (choice := row.selection) is not None:
            self._selected(choice.agent, weight)
            # A score counts for queries that stand for themselves, as in a report.
            if row.parent is None and choice.score is not None and is_number(choice.score):
                self._scores(choice.agent).add(choice.score, row)

    def _root(self, row: QueryRow) -> None:
        weight, duration = row.weight, row.duration
        key = (row.agent, row.status, row.error)
        cells = self._queries.get(key)
        if cells is None:
            cells = self._query_cells(*key)
            if len(self._queries) < _MOST_KNOWN:
                self._queries[key] = cells
        total, durations, newest, errors = cells
        total.value += weight
        durations.add(duration / 1e9, row)
        ended = row.started / 1e6 + duration / 1e9
        if ended > newest.value:
            newest.value = ended
        if errors is not None:
            errors.value += weight
        if duration > self._slow or duration > self._very_slow:
            self._slower(row)
        if row.entities:
            for entity in row.entities:
                self._entity(entity).value += weight
        if row.first_chunk is not None:
            chunks = self.family(names.QUERY_FIRST_CHUNK).cell(self._agents[row.agent])
            chunks.add(row.first_chunk / 1e9, row)
        if row.metrics:
            self._recorded(row, row.metrics)

    def _entity(self, entity: str) -> Sum:
        cell = self._entity_cells.get(entity)
        if cell is None:
            found: Sum = self.family(names.ENTITIES).cell(self._entities[entity])
            cell = found
            if len(self._entity_cells) < _MOST_KNOWN:
                self._entity_cells[entity] = cell
        return cell

    def _query_cells(self, agent: str | None, status: str, error: str | None) -> Any:
        label, outcome = self._agents[agent], outcome_of(status)
        error_type = self._error_type(status, error) if outcome == names.FAILED else ""
        for each in names.OUTCOMES:  # so that a first failure is a rise from 0, and not a series that begins with 1
            self.family(names.QUERIES).cell(label, each)
        return (
            self.family(names.QUERIES).cell(label, outcome),
            self.family(names.AGENT_DURATION).cell(label, error_type),
            self.family(names.LAST_QUERY).cell(label),
            self.family(names.QUERY_ERRORS).cell(label, error_type) if error_type else None,
        )

    def _error_type(self, status: str, error: str | None) -> str:
        return self._errors[error or (names.UNKNOWN if status == "error" else status)]

    def _slower(self, row: QueryRow) -> None:
        limits = ((names.SLOW_QUERIES, self._slow), (names.VERY_SLOW_QUERIES, self._very_slow))
        for metric, limit in limits:
            if row.duration > limit:
                self.family(metric).cell(self._agents[row.agent]).value += row.weight

    def _recorded(self, row: QueryRow, metrics: dict[str, float]) -> None:
        agent = self._agents[row.agent]
        for name, value in metrics.items():
            if not is_number(value):
                continue
            label = self._metrics[name]
            self.family(names.METRIC_VALUES).cell(agent, label).value += row.weight
            metric = names.METRIC_SUM if value >= 0 else names.METRIC_NEGATIVE_SUM
            self.family(metric).cell(agent, label).value += abs(value) * row.weight

    def _selected(self, agent: str, weight: float) -> None:
        self.family(names.SELECTIONS).cell(self._agents[agent]).value += weight

    def _scores(self, agent: str) -> Distribution:
        found: Distribution = self.family(names.COMPLEXITY).cell(self._agents[agent])
        return found

    def _health(self, row: HealthRow) -> None:
        for reason, number in row.dropped.items():
            label = self._reasons[reason]
            self.said[label] = self.said.get(label, 0) + max(number, 0)
        for kind, number in row.problems.items():
            self.family(names.PROBLEMS).cell(self._reasons[kind]).value += max(number, 0)

    # -- tokens and cost ---------------------------------------------------------------------------------------------

    def _usage(self, row: QueryRow, models: list[str]) -> None:
        """Count a query's tokens and cost; `models` are those of its calls."""
        totals = (row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens, cost_of(row))
        if totals == NO_TOTALS:
            return
        only = row.model or (models[0] if models else None)
        for place, total in enumerate(totals):
            if total is None:
                continue
            if len(models) < 2:
                self._used(place, row.agent, only, total * row.weight)
            else:
                for model, used in by_model(row, total, USAGE[place][1]):
                    self._used(place, row.agent, model, used * row.weight)

    def _used(self, place: int, agent: str | None, model: str | None, used: float) -> None:
        """Count tokens or cost, by its place in `USAGE`; what an import made up, as less than nothing, is left out."""
        if not 0 < used < math.inf:
            return
        cells = self._spent.get((agent, model))
        if cells is None:
            cells = [None] * len(USAGE)
            if len(self._spent) < _MOST_KNOWN:
                self._spent[agent, model] = cells
        cell = cells[place]
        if cell is None:
            metric, _, kind = USAGE[place]
            labels = (self._agents[agent], self._models[model], *((kind,) if kind else ()))
            cell = cells[place] = self.family(metric).cell(*labels)
        cell.value += used

    # -- calls -------------------------------------------------------------------------------------------------------

    def _standalone(self, row: StandaloneCallRow) -> None:
        weight, (agent, is_nested) = row.weight, self._query_of(row)
        if row.parent is not None and row.place is not None:
            query = self.waiting.get(row.parent)
            if query is None or not self._came_back(row.parent, query, row.place):
                return  # it has been counted as one that did not come back
            weight, agent, is_nested = query.weight, query.agent, query.is_nested
        cells = self._call_cells(agent, row.kind, row.name, row.status, row.error, row.passed_on, row.facts)
        count_call(cells, weight)
        cells[1].add_beside(row.duration / 1e9, weight, row.started, row.parent)
        if row.facts is not None and row.kind == "model":
            for cell, value in self._of_model(row.facts, row.name):
                cell.add_beside(value, weight, row.started, row.parent)
            if row.parent is not None and not is_nested:
                for place, usage in enumerate(USAGE):
                    self._used(place, agent, row.facts.model, (getattr(row.facts, usage[1]) or 0) * weight)

    def _query_of(self, row: StandaloneCallRow) -> tuple[str | None, bool]:
        """The agent of a call's query, and whether that query, if any, counts in no figure of queries."""
        if row.parent is None:
            return None, True
        serial = serial_of(row.parent)
        return self._recent.get(serial) or self._less_recent.get(serial) or (None, False)

    def _came_back(self, query_id: str, query: Waiting, place: int) -> bool:
        left = [call for call in query.calls if call.place != place]
        if len(left) == len(query.calls):
            return False
        query.calls = left
        if not left:
            del self.waiting[query_id]
        return True

    def _await(self, row: QueryRow, now: float) -> None:
        calls = [
            OpenCall(place, call.kind, call.name, call.error, *model_of(call))
            for place, call in enumerate(row.calls)
            if call.duration is None
        ]
        waiting = Waiting(row.agent, row.parent is not None, row.weight, now + SETTLED_SECONDS, calls)
        self.waiting[id_of(row)] = waiting

    def _call_cells(
        self,
        agent: str | None,
        kind: str,
        name: str,
        status: str,
        error: str | None,
        passed_on: bool,
        facts: ModelFacts | None,
    ) -> tuple[Sum, Distribution, Sum | None]:
        outcome, label = outcome_of(status), self._agents[agent]
        error_type = self._error_type(status, error) if outcome == names.FAILED else ""
        if kind == "model":
            shown = self._models[(facts and facts.model) or name]
            durations = self.family(names.MODEL_DURATION).cell(*self._model_labels(facts, name), error_type)
        elif kind == "graphql":
            shown = self._operations[name]
            durations = self.family(names.GRAPHQL_DURATION).cell(shown, label, error_type)
        else:
            kind, shown = "tool", self._tools[name]
            durations = self.family(names.TOOL_DURATION).cell(shown, _FUNCTION, label, error_type)
        for each in names.OUTCOMES:
            self.family(names.CALLS).cell(kind, shown, each)
        counts_as_error = error is not None and error_type and not passed_on
        errors = self.family(names.CALL_ERRORS).cell(kind, error_type) if counts_as_error else None
        return self.family(names.CALLS).cell(kind, shown, outcome), durations, errors

    def _model_labels(self, facts: ModelFacts | None, name: str) -> tuple[str, str, str]:
        provider = facts.provider if facts is not None else None
        model = facts.model if facts is not None else None
        return _CHAT, self._providers[provider], self._models[model or name]

    def _model_call(self, facts: ModelFacts, name: str, row: QueryRow) -> None:
        for cell, value in self._of_model(facts, name):
            cell.add(value, row)

    def _of_model(self, facts: ModelFacts, name: str) -> Iterator[tuple[Distribution, float]]:
        """Where a model call counts beside its duration, and what."""
        given, gave = facts.input_tokens, facts.output_tokens
        key = (facts.model, facts.provider, name)
        cells = self._of_models.get(key)
        if cells is None:
            cells = ModelCells()
            if len(self._of_models) < _MOST_KNOWN:
                self._of_models[key] = cells
        if facts.first_chunk is not None:
            cell = cells.chunks
            if cell is None:
                cell = cells.chunks = self.family(names.MODEL_FIRST_CHUNK).cell(*self._model_labels(facts, name))
            yield cell, facts.first_chunk / 1e9
        if given is not None and given >= 0:
            cell = cells.given
            if cell is None:
                cell = cells.given = self.family(names.TOKEN_USAGE).cell(*self._model_labels(facts, name), names.INPUT)
            yield cell, given
        if gave is not None and gave >= 0:
            cell = cells.gave
            if cell is None:
                cell = cells.gave = self.family(names.TOKEN_USAGE).cell(*self._model_labels(facts, name), names.OUTPUT)
            yield cell, gave
