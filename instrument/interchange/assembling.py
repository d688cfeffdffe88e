"""A trace as a line of a store.

A trace becomes one query, whatever agents are at work in it: its figures (latency, tools, tokens, cost) are then those
that the tool it comes from shows for it, and reports count a request once. Its tools, GraphQL operations
and models become the query's calls, each under the call that encloses it; its models' tokens and cost are the query's.
The names of the agents inside, and how many spans of which type and name there were, stay in the attributes.

The query's id is derived from the trace's, so that a trace which is imported again is known.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

from instrument.config import Config
from instrument.interchange import semconv
from instrument.interchange.incoming import CannotTakeError, Line, Reader, query_line
from instrument.interchange.recorded import Recorded
from instrument.interchange.semconv import Failure
from instrument.interchange.trace_spans import Node, Span, Trace, containing, tree
from instrument.redaction.policy import Texts
from instrument.redaction.rules import described
from instrument.rows import stored, totals
from instrument.rows.live import ModelFacts, Origin
from instrument.rows.stored import CallRow, QueryRow

_NAMESPACE = uuid.UUID("6f1c1b8e-3f55-5d0b-9d3e-0c6a7a4d5f21")
_LONGEST_NAME = 200
_MOST_NAMES = 20

_RESTORED = ("cancelled", "closed", "abandoned")
_COUNTED = {"empty": "trace", "timeless": "sample"}
_REMARKS = {
    "unfinished": "{} without an end: abandoned, given no duration",
    "orphans": "{} without a parent that is there: put directly under the trace",
    "backwards": "{} with an end before the start: given a duration of 0",
    "unplaced": "{} without a start that can be: put where what is around begins",
    "repeated": "{} given more than once: taken once",
    "timeless": "{} without times of its events: put at the evaluation's start, given a duration of 0",
    "empty": "{} without any spans and without a latency: abandoned, given no duration",
}


class Assembling:
    """Traces as lines of a store, texts kept as the settings say; `remarks` counts what had to be assumed."""

    def __init__(self, config: Config) -> None:
        self.remarks = Counter[str]()
        self._texts = Texts(config, self._trouble)
        self._longest = config.max_input_chars

    def lines(self, traces: Iterable[Trace], reader: Reader, where: str = "") -> Iterator[Line]:
        """The line of each trace; what cannot be taken is skipped, and what was assumed is noted, by the reader.

        `where` says in which files that was, if not in the reader's own.
        """
        for trace in traces:
            try:
                yield self.line(trace)
            except CannotTakeError as error:
                reader.skip(trace.position, error)
        told = [
            text.format(_several(self.remarks[what], what)) for what, text in _REMARKS.items() if self.remarks[what]
        ]
        if shortened := self.remarks["shortened"]:
            told.append(f"{shortened} input{'s' * (shortened > 1)} cut to max_input_chars ({self._longest:,})")
        if self.remarks["redaction"]:
            told.append("texts that the redact function raised on, left out")
        reader.notes |= {f"in {where or reader.file.name}, {each}" for each in told}

    def line(self, trace: Trace) -> Line:
        """The line of the query that a trace becomes; raises CannotTakeError for one that nobody can place in time."""
        start = _start(trace)
        nodes = tree(trace.spans, start, repeats=trace.repeats)
        made = _calls(nodes)
        question = trace.question or next((node.span.question for node in nodes if node.span.question), "")
        self.remarks["shortened"] += len(question) > self._longest
        row = self._row(trace, nodes, start, question)
        row.calls = _call_rows(made, start)
        messages = {
            place: self._texts.message(node.span.failure.message, question) or ""
            for place, node in enumerate(made)
            if node.span.failure is not None and node.span.failure.message is not None
        }
        self._remark(trace, nodes)
        return query_line(row, messages=messages)

    def _row(self, trace: Trace, nodes: list[Node], start: int, question: str) -> QueryRow:
        counted = _counted(trace, [node for node in nodes if node.span.input_tokens or node.span.output_tokens])
        duration = _duration(trace, nodes, start)
        row = QueryRow(
            start // 1000,
            0,
            _agent(trace, nodes)[:_LONGEST_NAME],
            self._texts.input(question),
            next((node.span.name for node in _roots(nodes)), trace.name)[:_LONGEST_NAME],
            [],
            duration=duration or 0,
            result_size=trace.result_size,
            attributes=self._attributes(trace, nodes, start, question),
            metrics=_metrics(trace, nodes),
            input_tokens=_total(span.input_tokens for span in counted),
            output_tokens=_total(span.output_tokens for span in counted),
            cached_tokens=_total(span.cached_tokens for span in counted),
            reasoning_tokens=_total(span.reasoning_tokens for span in counted),
            cost_usd=_cost(trace, nodes),
            model=next(iter(_models(nodes)), None),
            first_chunk=_first_chunk(nodes),
            query_id=query_id(trace),
            origin=None if trace.host is None else Origin(trace.host, cast(int, trace.process)),
        )
        failure = _failure(nodes)
        row.status = "abandoned" if duration is None else semconv.status_of(failure)
        if failure is not None:
            row.error = failure.type[:_LONGEST_NAME]
            row.message = self._texts.message(failure.message, question)
            row.passed_on = any(node.is_call and node.span.failure == failure for node in nodes)
        if trace.recorded is not None:
            self._restore(row, trace.recorded, question)
        return row

    def _restore(self, row: QueryRow, recorded: Recorded, question: str) -> None:
        """Put back what the record said that was exported as this trace."""
        row.weight = recorded.weight
        row.entities = [text for each in recorded.entities[:_MOST_NAMES] if (text := self._kept(each, question))]
        row.metrics = dict(_first(recorded.metrics.items()))
        if totals.COST in recorded.metrics:  # the application's own figure, instead of its model calls'
            row.cost_usd = None
        if (selection := recorded.selection) is not None:
            selection.why = self._texts.message(selection.why, question) if selection.why else None
            row.selection = selection
        if recorded.status in _RESTORED:
            row.status = recorded.status
            row.error = None if row.error == recorded.status else row.error

    def _attributes(self, trace: Trace, nodes: list[Node], start: int, question: str) -> dict[str, Any]:
        told = _told(trace, nodes, start)
        own = _first((key, value) for key, value in trace.attributes.items() if key not in told)
        return told | {key[:_LONGEST_NAME]: self._kept(value, question) for key, value in own}

    def _kept(self, value: Any, question: str) -> Any:
        """What is kept of an attribute's value: numbers and short lists as they are, all else as text."""
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [self._texts.message(item, question) for item in value[:_MOST_NAMES]]
        kept = self._texts.message(described(value), question)
        return value if isinstance(value, int) and kept == str(value) else kept

    def _remark(self, trace: Trace, nodes: list[Node]) -> None:
        self.remarks["repeated"] += len(trace.spans) - len(nodes)
        self.remarks["timeless"] += trace.timeless
        self.remarks["empty"] += not nodes and trace.duration is None
        for node in nodes:
            span = node.span
            self.remarks["orphans"] += node.orphaned
            self.remarks["unplaced"] += span.started is None
            self.remarks["unfinished"] += _unfinished(span)
            self.remarks["backwards"] += span.started is not None and (span.ended or span.started) < span.started

    def _trouble(self, kind: str, error: BaseException) -> None:
        self.remarks["redaction"] += 1


def _calls(nodes: list[Node]) -> list[Node]:
    """The nodes that are calls by start, yet each after the one around it."""
    return sorted((node for node in nodes if node.is_call), key=lambda node: node.begin)


def _call_rows(made: list[Node], start: int) -> list[CallRow]:
    places = {id(node): place for place, node in enumerate(made)}
    calls = [_call_row(node, start) for node in made]
    for node, call in zip(made, calls, strict=True):
        around = node.enclosing
        if around is not None:
            call.parent = places[id(around)]
            calls[call.parent].passed_on |= _same_failure(node, around)
    return calls


def _call_row(node: Node, start: int) -> CallRow:
    span, failure = node.span, node.span.failure
    begin = node.begin if span.started is None else span.started
    is_model = span.kind == "llm"
    return CallRow(
        ((span.model if is_model else None) or span.name)[:_LONGEST_NAME],
        begin - start,
        duration=_took(span),
        kind="model" if is_model else "graphql" if span.kind == "graphql" else "tool",
        status=semconv.status_of(failure),
        error=None if failure is None else failure.type[:_LONGEST_NAME],
        result_size=span.result_size,
        facts=_facts(span) if is_model else None,
    )


def _facts(span: Span) -> ModelFacts:
    return ModelFacts(
        span.model and span.model[:_LONGEST_NAME],
        span.provider and span.provider[:_LONGEST_NAME],
        span.input_tokens,
        span.output_tokens,
        span.cached_tokens,
        span.reasoning_tokens,
        span.first_chunk,
        span.cost,
    )


def query_id(trace: Trace) -> str:
    """The id of a trace's query: the trace's own where that is 128 bits in hex, else one derived from it."""
    digits = trace.trace_id.replace("-", "").lower()
    if re.fullmatch("[0-9a-f]{32}", digits):
        return str(uuid.UUID(digits))
    return str(uuid.uuid5(_NAMESPACE, f"{trace.source}:{trace.trace_id}"))


def _start(trace: Trace) -> int:
    """When the trace's first span began, ns since 1970."""
    known = [span.started for span in trace.spans if span.started is not None]
    known = known or [span.ended for span in trace.spans if span.ended is not None]
    if not known and trace.started is None:
        raise CannotTakeError("nothing in it says when it was")
    # The store has microseconds: a start cut to them begins no later than its calls.
    return min(known or [trace.started or 0]) // 1000 * 1000


def _duration(trace: Trace, nodes: list[Node], start: int) -> int | None:
    """From the first start to the last end, in ns; None when a root has no end."""
    if not nodes:
        return trace.duration
    if any(_unfinished(node.span) for node in _roots(nodes)):
        return None
    return max(max(node.span.ended or start, node.span.started or start) - start for node in nodes)


def _roots(nodes: list[Node]) -> list[Node]:
    """The spans that nothing is around; orphans only where there are no others."""
    return [node for node in nodes if node.depth == 0 and not node.orphaned] or [
        node for node in nodes if node.depth == 0
    ]


def _failure(nodes: list[Node]) -> Failure | None:
    """How the trace failed: by what is outermost in it, or by the last agent that no other agent is around.

    A web request may answer well although its agent failed; an agent that failed and was tried again did not.
    """
    last = max(_outermost_agents(nodes), key=lambda node: node.begin, default=None)
    deciding = _roots(nodes) if last is None else [*_roots(nodes), last]
    return next((node.span.failure for node in deciding if node.span.failure), None)


def _outermost_agents(nodes: list[Node]) -> list[Node]:
    """The agents that no other agent is around; `nodes` has each after the one around it."""
    found: list[Node] = []
    inside: set[int] = set()
    for node in nodes:
        around = node.around
        if around is not None and (around.span.kind == "agent" or id(around) in inside):
            inside.add(id(node))
        elif node.span.kind == "agent":
            found.append(node)
    return found


def _took(span: Span) -> int | None:
    """A span's duration in ns: 0 for an event and where the clock went backwards, None where it cannot be known."""
    if span.momentary:
        return 0
    return None if span.ended is None or span.started is None else max(span.ended - span.started, 0)


def _unfinished(span: Span) -> bool:
    return span.ended is None and not span.momentary


def _agent(trace: Trace, nodes: list[Node]) -> str:
    """The trace's name, else the outermost agent's, else the root's."""
    named = trace.name or next((node.span.agent for node in _outermost_agents(nodes) if node.span.agent), None)
    return named or next((node.span.name for node in _roots(nodes) if node.span.name), trace.source)


def _counted(trace: Trace, having: list[Node]) -> list[Span]:
    """Of the spans that have tokens, or a cost, those that make up the trace's."""
    if not trace.repeats:
        return [node.span for node in having]
    models = [node for node in having if node.span.kind == "llm"] or having
    around = containing(models)
    return [node.span for node in models if id(node) not in around]


def _same_failure(inner: Node, outer: Node) -> bool:
    return inner.span.failure is not None and inner.span.failure == outer.span.failure


def _told(trace: Trace, nodes: list[Node], start: int) -> dict[str, Any]:
    """What the record's fields have no place for, as far as there is any of it."""
    agents = _names(node.span.agent for node in nodes)
    models = _names(_models(nodes))
    levels = _names(node.span.level for node in nodes)
    steps = Counter(node.span.name[:_LONGEST_NAME] for node in nodes if node.depth and not node.is_call)
    told: dict[str, Any] = {
        "source": trace.source,
        "trace_id": trace.trace_id[:_LONGEST_NAME],
        "timestamp": stored.utc_text(trace.started // 1000) if trace.started not in (None, start) else "",
        "agents": agents if agents != [_agent(trace, nodes)] else [],
        "models": models if len(models) > 1 else [],
        "levels": levels if levels != ["DEFAULT"] else [],
        "spans": dict(Counter(node.span.label[:_LONGEST_NAME] for node in nodes).most_common(_MOST_NAMES)),
        "steps": dict(steps.most_common(_MOST_NAMES)),
    }
    return {key: value for key, value in told.items() if value}


def _names(names: Iterable[str | None]) -> list[str]:
    """Names in the order of their first appearance, each once, not too many."""
    return [name[:_LONGEST_NAME] for name in _first(dict.fromkeys(name for name in names if name))]


def _metrics(trace: Trace, nodes: list[Node]) -> dict[str, float]:
    known: dict[str, float] = {
        "depth": max((node.depth for node in nodes), default=0),
        "orphans": sum(node.orphaned for node in nodes),
        "unfinished": sum(_unfinished(node.span) for node in nodes),
    }
    return {key: value for key, value in known.items() if value} | dict(_first(trace.metrics.items()))


def _cost(trace: Trace, nodes: list[Node]) -> float | None:
    priced = _counted(trace, [node for node in nodes if node.span.cost is not None])
    return sum(span.cost or 0 for span in priced) if priced else trace.cost


def _models(nodes: list[Node]) -> dict[str, int]:
    """The models at work, those with the most tokens first; those that agents name only where no model does."""
    models = Counter[str]()
    for span in [node.span for node in nodes if node.span.kind == "llm"] or [node.span for node in nodes]:
        if span.model:
            models[span.model] += (span.input_tokens or 0) + (span.output_tokens or 0)
    return dict(models.most_common())


def _first_chunk(nodes: list[Node]) -> int | None:
    return next((node.span.first_chunk for node in _roots(nodes)), None)


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _first(items: Iterable[Any]) -> list[Any]:
    return list(items)[:_MOST_NAMES]


def _several(count: int, what: str) -> str:
    return f"{count:,} {_COUNTED.get(what, 'span')}{'s' * (count > 1)}"
