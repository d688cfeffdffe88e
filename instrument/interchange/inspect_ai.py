"""Inspect (inspect_ai): the evaluation logs that it writes as JSON, each sample of which is a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from instrument.interchange.json_values import Skip, mapping, moment, number, objects, signed, size_of, text
from instrument.interchange.questions import question_in
from instrument.interchange.semconv import Failure, Tokens
from instrument.interchange.trace_spans import Span, Trace
from instrument.interchange.usage import tokens_in

NAME = "inspect"

Object = Mapping[str, Any]

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""What Inspect's own metrics make of correct, partial, incorrect and no answer."""

_SAMPLE = "sample"
_NESTED_DATA = frozenset(("model", "tool", "subtask"))
"""Events whose content is in an object `data` in the oldest logs."""


def is_inspect(document: Any) -> bool:
    """Whether a JSON value is an evaluation log."""
    return isinstance(document, dict) and isinstance(document.get("eval"), dict) and "status" in document


def traces(documents: Iterable[tuple[str, Any]], skip: Skip) -> Iterator[Trace]:
    """The samples of the logs among a file's documents."""
    for position, document in documents:
        log = mapping(document)
        if not is_inspect(log):
            skip(position, "it is no log of Inspect")
            continue
        if not objects(log.get("samples")):
            skip(position, f"the log has no samples (its status is {text(log.get('status')) or 'unknown'})")
        for place, sample in enumerate(objects(log.get("samples"))):
            yield _trace(sample, log, f"samples[{place}]")


def _trace(sample: Object, log: Object, position: str) -> Trace:
    about = mapping(log["eval"])
    events = list(_flat(objects(sample.get("events")) or objects(mapping(sample.get("transcript")).get("events"))))
    spans = list(_spans(events))
    root = _root(sample, events, moment(mapping(log.get("stats")).get("started_at")) or moment(about.get("created")))
    if all(span.input_tokens is None and span.output_tokens is None for span in spans):
        _tell_usage(root, sample)
    choices = objects(mapping(sample.get("output")).get("choices"))
    answer = mapping(choices[0].get("message")).get("content") if choices else None
    own = f"{text(about.get('eval_id')) or text(about.get('run_id'))}/{text(sample.get('id'))}/{sample.get('epoch')}"
    return Trace(
        text(sample.get("uuid")) or own,
        NAME,
        position,
        name=text(about.get("task")),
        spans=[root, *spans],
        timeless=root.momentary,
        question=question_in(sample.get("input")),
        result_size=size_of(answer),
        attributes={
            "sample": sample.get("id"),
            "epoch": sample.get("epoch"),
            "evaluation": text(about.get("eval_id")) or text(about.get("run_id")),
            **mapping(sample.get("metadata")),
        },
        metrics=dict(_scores(sample)),
    )


def _flat(events: list[dict[str, Any]], around: str = "") -> Iterator[dict[str, Any]]:
    """The events one after another; older logs have those of a tool or subtask inside its own."""
    for place, given in enumerate(events):
        event = {**given, **mapping(given.get("data"))} if text(given.get("event")) in _NESTED_DATA else given
        if around and not event.get("span_id"):
            event = {**event, "span_id": around}
        inside = objects(event.get("events")) or objects(mapping(event.get("transcript")).get("events"))
        if inside:
            own = _event_id(event, place)
            event = {**event, "uuid": own if not around else f"{around}/{own}"}
        yield event
        if inside:
            yield from _flat(inside, event["uuid"])


def _root(sample: Object, events: list[dict[str, Any]], evaluated: int | None) -> Span:
    """The sample itself; where nobody noted when that was, it is at the evaluation's start."""
    error = mapping(sample.get("error"))
    times = [time for event in events if (time := moment(event.get("timestamp")))]
    started = min([*times, *filter(None, [moment(sample.get("started_at"))])], default=evaluated)
    ended, seconds = moment(sample.get("completed_at")) or max(times, default=None), number(sample.get("total_time"))
    if ended is None and started is not None and seconds is not None:
        ended = started + round(seconds * 1e9)
    return Span(
        _SAMPLE,
        _SAMPLE,
        label=_SAMPLE,
        started=started,
        ended=ended,
        momentary=ended is None and not times,
        failure=_failed(text(error.get("message"))) if error else None,
    )


def _tell_usage(root: Span, sample: Object) -> None:
    """Give the sample the tokens that are known of it as a whole."""
    output = mapping(sample.get("output"))
    usages = [mapping(usage) for usage in mapping(sample.get("model_usage")).values()] or [mapping(output.get("usage"))]
    found = [tokens for usage in usages if (tokens := tokens_in(usage)) is not None]
    if found:
        root.input_tokens = sum(tokens.input or 0 for tokens in found)
        root.output_tokens = sum(tokens.output or 0 for tokens in found)
    root.model = text(output.get("model")) or next(iter(mapping(sample.get("model_usage"))), None)


def _failed(message: str) -> Failure:
    """The error of a sample, whose message is its `repr`."""
    kind, bracket, _ = message.partition("(")
    return Failure(kind if bracket and kind.isidentifier() else "Error", message or None)


def _spans(events: list[dict[str, Any]]) -> Iterator[Span]:
    """Solvers, models and tools, each inside the span that its event names."""
    ends = {
        text(event.get("id")): moment(event.get("timestamp")) for event in events if event.get("event") == "span_end"
    }
    tools = _tools(events)
    for place, event in enumerate(events):
        kind, around = event.get("event"), tools.get(text(event.get("span_id")), text(event.get("span_id")))
        if kind == "span_begin" and text(event.get("id")) not in tools:
            above = text(event.get("parent_id"))
            yield _step(event, ends.get(text(event.get("id"))), tools.get(above, above))
        elif kind == "subtask":
            yield _subtask(event, place, around)
        elif kind == "tool":
            yield _tool(event, place, around)
        elif kind == "model":
            yield _model(event, place, around)


def _tools(events: list[dict[str, Any]]) -> dict[str, str]:
    """Which tool's event stands for which span: Inspect has both, and what the tool does names the span."""
    waiting = [event for event in events if event.get("event") == "span_begin" and event.get("type") == "tool"]
    found: dict[str, str] = {}
    for place, event in enumerate(events):
        if event.get("event") == "tool":
            own = next((span for span in waiting if _begins(event, span)), None)
            if own is not None:
                waiting.remove(own)
                found[text(own.get("id"))] = _event_id(event, place)
    return found


def _begins(event: Object, span: Object) -> bool:
    same = (event.get("function"), event.get("span_id")) == (span.get("name"), span.get("parent_id"))
    return same and (moment(event.get("timestamp")) or 0) <= (moment(span.get("timestamp")) or 0)


def _event_id(event: Object, place: int) -> str:
    return text(event.get("uuid")) or text(event.get("id")) or f"#{place}"


def _step(event: Object, ended: int | None, above: str) -> Span:
    agent = text(event.get("name")) if event.get("type") == "agent" else None
    return Span(
        text(event.get("id")),
        text(event.get("name")),
        parent_id=above or _SAMPLE,
        label=text(event.get("type")) or "span",
        kind="agent" if agent else None,
        agent=agent,
        started=moment(event.get("timestamp")),
        ended=ended,
    )


def _subtask(event: Object, place: int, around: str) -> Span:
    started = moment(event.get("timestamp"))
    return Span(
        _event_id(event, place),
        text(event.get("name")),
        parent_id=around or _SAMPLE,
        label="subtask",
        started=started,
        ended=moment(event.get("completed")),
        momentary=_is_momentary(event),
    )


def _tool(event: Object, place: int, around: str) -> Span:
    error = mapping(event.get("error"))
    return Span(
        _event_id(event, place),
        text(event.get("function")),
        parent_id=around or _SAMPLE,
        label="tool",
        kind="tool",
        started=moment(event.get("timestamp")),
        ended=moment(event.get("completed")),
        momentary=_is_momentary(event),
        failure=Failure(text(error.get("type")) or "Error", text(error.get("message")) or None) if error else None,
        result_size=size_of(event.get("result")),
    )


def _model(event: Object, place: int, around: str) -> Span:
    output = mapping(event.get("output"))
    tokens = tokens_in(mapping(output.get("usage"))) or Tokens(None, None)
    started, seconds = moment(event.get("timestamp")), number(output.get("time"))
    ended = moment(event.get("completed"))
    if ended is None and started is not None and seconds is not None:
        ended = started + round(seconds * 1e9)
    name = text(output.get("model")) or text(event.get("model"))
    told = text(event.get("error"))
    return Span(
        _event_id(event, place),
        text(event.get("model")),
        parent_id=around or _SAMPLE,
        label="model",
        kind="llm",
        started=started,
        ended=ended,
        momentary=ended is None and _is_momentary(event),
        failure=_failed(told) if told else None,
        model=name or None,
        provider=text(event.get("model")).partition("/")[0] if "/" in text(event.get("model")) else None,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
        cost=number(mapping(output.get("usage")).get("total_cost")),
    )


def _is_momentary(event: Object) -> bool:
    """Whether an event is over although nobody noted when it ended, as in older logs."""
    return not event.get("completed") and not event.get("pending")


def _scores(sample: Object) -> Iterator[tuple[str, float]]:
    for scorer, score in mapping(sample.get("scores")).items():
        value = mapping(score).get("value")
        grade = _GRADES.get(value) if isinstance(value, str) else signed(value)
        if grade is not None:
            yield f"score.{scorer}", grade
