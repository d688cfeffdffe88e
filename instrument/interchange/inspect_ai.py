"""Inspect (inspect_ai): the evaluation logs that it writes as JSON, each sample of which is a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from instrument.interchange import semconv
from instrument.interchange.json_values import Skip, mapping, moment, number, objects, signed, size_of, text
from instrument.interchange.semconv import Failure
from instrument.interchange.trace_spans import Span, Trace

NAME = "inspect"

Object = Mapping[str, Any]

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""What Inspect's own metrics make of correct, partial, incorrect and no answer."""

_SAMPLE = "sample"


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
            yield _trace(sample, mapping(log["eval"]), f"samples[{place}]")


def _trace(sample: Object, about: Object, position: str) -> Trace:
    choices = objects(mapping(sample.get("output")).get("choices"))
    answer = mapping(choices[0].get("message")).get("content") if choices else None
    own = f"{text(about.get('eval_id')) or text(about.get('run_id'))}/{text(sample.get('id'))}/{sample.get('epoch')}"
    return Trace(
        text(sample.get("uuid")) or own,
        NAME,
        position,
        name=text(about.get("task")),
        spans=[_root(sample), *_spans(objects(sample.get("events")))],
        question=semconv.question_in(sample.get("input")),
        result_size=size_of(answer),
        attributes={
            "sample": sample.get("id"),
            "epoch": sample.get("epoch"),
            "evaluation": text(about.get("eval_id")) or text(about.get("run_id")),
            **mapping(sample.get("metadata")),
        },
        metrics=dict(_scores(sample)),
    )


def _root(sample: Object) -> Span:
    error = mapping(sample.get("error"))
    return Span(
        _SAMPLE,
        _SAMPLE,
        label=_SAMPLE,
        started=_first_moment(sample),
        ended=moment(sample.get("completed_at")) or _last_moment(sample),
        failure=_failed(text(error.get("message"))) if error else None,
    )


def _failed(message: str) -> Failure:
    """The error of a sample, whose message is its `repr`."""
    kind, bracket, _ = message.partition("(")
    return Failure(kind if bracket and kind.isidentifier() else "Error", message or None)


def _first_moment(sample: Object) -> int | None:
    times = [time for event in objects(sample.get("events")) if (time := moment(event.get("timestamp")))]
    return min([*times, *filter(None, [moment(sample.get("started_at"))])], default=None)


def _last_moment(sample: Object) -> int | None:
    """The end of a log from before samples had one: that of its last event."""
    times = [time for event in objects(sample.get("events")) if (time := moment(event.get("timestamp")))]
    return max(times, default=None)


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
        failure=Failure(text(error.get("type")) or "Error", text(error.get("message")) or None) if error else None,
        result_size=size_of(event.get("result")),
    )


def _model(event: Object, place: int, around: str) -> Span:
    output = mapping(event.get("output"))
    usage = mapping(output.get("usage"))
    total, gave = number(usage.get("total_tokens")), number(usage.get("output_tokens"))
    given = number(usage.get("input_tokens")) if total is None else max(total - (gave or 0), 0)
    name = text(output.get("model")) or text(event.get("model"))
    told = text(event.get("error"))
    return Span(
        _event_id(event, place),
        text(event.get("model")),
        parent_id=around or _SAMPLE,
        label="model",
        kind="llm",
        started=moment(event.get("timestamp")),
        ended=moment(event.get("completed")),
        failure=_failed(told) if told else None,
        model=name or None,
        input_tokens=None if given is None else int(given),
        output_tokens=None if gave is None else int(gave),
        cost=number(usage.get("total_cost")),
    )


def _scores(sample: Object) -> Iterator[tuple[str, float]]:
    for scorer, score in mapping(sample.get("scores")).items():
        value = mapping(score).get("value")
        grade = _GRADES.get(value) if isinstance(value, str) else signed(value)
        if grade is not None:
            yield f"score.{scorer}", grade
