"""One query's calls on an axis of time: nested ones indented, failed ones red, time outside any call a row."""

from __future__ import annotations

from instrument.analysis.time_spent import TimeSpent
from instrument.analysis.wording import count, dollars, duration
from instrument.records import CallRecord, QueryRecord
from instrument_cli.web.charts.axes import short_time, ticks
from instrument_cli.web.html import Child, Element, tag, text

WIDTH, HEIGHT = 1000, 20
MOST_CALLS = 500
"""Calls that are drawn; a query of more says so."""


def waterfall(query: QueryRecord, spent: TimeSpent) -> Element:
    """Draw it as a list of rows, each with its bar; a row opens to the call's details."""
    length = length_of(query)
    marks = ticks(length, 7)
    axis = tag(
        "div",
        tag("span", "Call", class_="name"),
        tag("svg", *(_label(at, length) for at in marks if at / length < 0.97), class_="lane", aria_hidden="true"),
        tag("span", "", class_="took"),
        class_="call axis",
    )
    rows = [axis, _whole(query, spent, length, marks)]
    parents = {call.parent for call in query.calls}
    ordered = in_order(query.calls)
    for depth, place in ordered[:MOST_CALLS]:
        rows.append(_row(query, spent, place, depth, length, marks, place in parents))
    if len(ordered) > MOST_CALLS:
        rows.append(
            tag(
                "p",
                f"{count(len(ordered) - MOST_CALLS)} further calls are not drawn; `metrics show` shows them all",
                class_="quiet",
            )
        )
    return tag("div", *rows, class_="waterfall", data_length=length)


def length_of(query: QueryRecord) -> float:
    """The length of its axis in ms: up to the end of its last call."""
    ends = [call.start_ms + (call.duration_ms or 0) for call in query.calls]
    return max([query.duration_ms, *ends]) or 1.0


def in_order(calls: list[CallRecord]) -> list[tuple[int, int]]:
    """(depth, place) of each call, each one after the call around it."""
    inside: dict[int | None, list[int]] = {}
    for place, call in enumerate(calls):
        around = call.parent if call.parent is not None and 0 <= call.parent < place else None
        inside.setdefault(around, []).append(place)
    ordered, waiting = [], [(0, place) for place in reversed(inside.get(None, []))]
    while waiting:
        depth, place = waiting.pop()
        ordered.append((depth, place))
        waiting += [(depth + 1, inner) for inner in reversed(inside.get(place, []))]
    return ordered


def _label(at: float, length: float) -> Element:
    anchor = "start" if not at else "middle"
    return tag("text", short_time(at) if at else "0", x=f"{at / length * 100:.2f}%", y=13, text_anchor=anchor)


def lane(marks: list[float], length: float, *bars: Child) -> Element:
    """Bars over the lines of the axis, as wide as there is room."""
    lines = [
        tag("line", class_="grid", x1=at / length * WIDTH, x2=at / length * WIDTH, y1=0, y2=HEIGHT) for at in marks
    ]
    return tag(
        "svg",
        *lines,
        *bars,
        viewbox=f"0 0 {WIDTH} {HEIGHT}",
        preserveaspectratio="none",
        class_="lane",
        aria_hidden="true",
    )


def _rect(begin: float, end: float, length: float, style: str, *, y: float = 3, tall: float = 14) -> Element:
    x = begin / length * WIDTH
    return tag("rect", class_=style, x=x, y=y, width=max((end - begin) / length * WIDTH, 2.0), height=tall)


def bars_of_whole(query: QueryRecord, spent: TimeSpent, length: float) -> list[Element]:
    """The whole query, and within it the time outside any call."""
    outside = [_rect(begin, end, length, "outside") for begin, end in spent.outside]
    return [_rect(0, query.duration_ms, length, "ground"), *outside]


def bars_of(query: QueryRecord, spent: TimeSpent, place: int, length: float) -> list[Element]:
    """A call, and below it whether it lies on the critical path."""
    call = query.calls[place]
    end = call.start_ms + call.duration_ms if call.duration_ms is not None else max(query.duration_ms, call.start_ms)
    bars = [_rect(call.start_ms, end, length, f"{_style(call)}{' open' if call.duration_ms is None else ''}")]
    if place in spent.critical:
        bars.append(_rect(call.start_ms, end, length, "critical", y=18, tall=2))
    return bars


def _style(call: CallRecord) -> str:
    return "failed" if not call.success else call.kind


def _whole(query: QueryRecord, spent: TimeSpent, length: float, marks: list[float]) -> Element:
    return tag(
        "div",
        tag("span", text(query.agent_type), class_="name"),
        lane(marks, length, *bars_of_whole(query, spent, length)),
        tag("span", duration(query.duration_ms), class_="took"),
        class_="call whole",
        title=f"{duration(spent.outside_ms)} outside any call",
    )


def _row(
    query: QueryRecord, spent: TimeSpent, place: int, depth: int, length: float, marks: list[float], is_parent: bool
) -> Element:
    call = query.calls[place]
    is_critical = place in spent.critical
    style = _style(call)
    name = tag(
        "summary",
        tag(
            "span",
            tag("span", "", class_=f"indent d{min(depth, 8)}"),
            tag("i", class_=f"key {style}"),
            text(call.name),
            class_="name",
        ),
        lane(marks, length, *bars_of(query, spent, place, length)),
        tag("span", duration(call.duration_ms) if call.duration_ms is not None else "never ended", class_="took"),
        class_="call",
    )
    return tag(
        "details",
        name,
        _details(call, spent.own_ms[place], is_critical),
        class_=f"row{'' if call.success else ' bad'}",
        data_depth=depth,
        data_place=place,
    )


def _details(call: CallRecord, own: float, is_critical: bool) -> Element:
    facts: list[tuple[str, Child]] = [
        ("Kind", "GraphQL" if call.kind == "graphql" else call.kind),
        ("Began after", duration(call.start_ms)),
    ]
    facts += [("Took", duration(call.duration_ms))] if call.duration_ms is not None else []
    facts += (
        [("Of that its own", duration(own))] if call.duration_ms is not None and own < call.duration_ms - 0.01 else []
    )
    facts += [("Critical path", "yes: the query ended when it did because of it")] if is_critical else []
    facts += [("Late", "ended after its query")] if call.late else []
    facts += (
        [("Error", text(": ".join(each for each in (call.error_type or call.status, call.error_message) if each)))]
        if not call.success
        else []
    )
    facts += (
        [("Model", text(" · ".join(each for each in (call.model, call.provider) if each)))]
        if call.model or call.provider
        else []
    )
    facts += (
        [("Tokens", f"{count(call.input_tokens or 0)} in · {count(call.output_tokens or 0)} out")]
        if call.input_tokens is not None or call.output_tokens is not None
        else []
    )
    facts += [("First chunk", duration(call.first_chunk_ms))] if call.first_chunk_ms is not None else []
    facts += [("Cost", dollars(call.cost_usd))] if call.cost_usd is not None else []
    facts += [("Answer", f"{count(call.result_size_bytes)} bytes")] if call.result_size_bytes is not None else []
    facts += [("Prompt", tag("pre", text(call.input)))] if call.input else []
    facts += [("Reply", tag("pre", text(call.output)))] if call.output else []
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts")
