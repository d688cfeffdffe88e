"""What traces of every format become first: plain spans, and the tree that they form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from instrument.interchange.recorded import Recorded
from instrument.interchange.semconv import Failure, Kind, McpCall


class Span(Struct, eq=False):
    """A piece of work in a trace. Times are ns since 1970 UTC, None where nobody noted a usable one.

    `label` is what its source calls its type, `question` the user's words in its input, `momentary` marks an event,
    which has no end to miss. Tokens, cost (US dollars) and result size (bytes) are None where unknown. `mcp_call` names
    the call of an MCP tool that the span stands for, None if it stands for none.
    """

    span_id: str
    name: str
    parent_id: str | None = None
    label: str = ""
    kind: Kind | None = None
    agent: str | None = None
    started: int | None = None
    ended: int | None = None
    first_chunk: int | None = None
    momentary: bool = False
    failure: Failure | None = None
    level: str = ""
    question: str = ""
    result_size: int | None = None
    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    mcp_call: McpCall | None = None


class Trace(Struct, eq=False):
    """A trace as its source has it; `position` is its place in the file.

    `started` and `duration` (ns) count where no span says more; `timeless` marks one of which both are assumed.
    `repeats` says whether a span's tokens and cost may contain those of the spans inside it, so that only the innermost
    are to be counted. `recorded` is what a record said that was exported as this trace.
    """

    trace_id: str
    source: str
    position: str
    name: str = ""
    spans: list[Span] = field(default_factory=list[Span])
    question: str = ""
    result_size: int | None = None
    started: int | None = None
    duration: int | None = None
    cost: float | None = None
    repeats: bool = False
    timeless: bool = False
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    host: str | None = None
    process: int | None = None
    recorded: Recorded | None = None


class Node(Struct, eq=False):
    """A span in its tree; `begin` is its start, or that of the span around it where that is later or it has none.

    `enclosing` is the nearest call around it, `orphaned` marks a span whose parent is missing, or that is its own
    ancestor. `is_call` says whether it is a call to a tool, a GraphQL operation or a model, and not the same call told
    of once more.
    """

    span: Span
    around: Node | None
    depth: int
    begin: int
    enclosing: Node | None = None
    orphaned: bool = False
    is_call: bool = False


def tree(spans: Iterable[Span], start: int, *, repeats: bool = False) -> list[Node]:
    """The spans as a tree, each after the one around it, siblings by start; `start` is the trace's, ns since 1970.

    `repeats` says that a model's span around another model's is the same call.
    """
    everyone: dict[str, Span] = {}
    for span in spans:
        known = everyone.get(span.span_id)
        everyone[span.span_id] = span if known is None or known.ended is None else known
    inside: dict[str | None, list[Span]] = {}
    for span in everyone.values():
        inside.setdefault(span.parent_id if span.parent_id in everyone else None, []).append(span)
    nodes: dict[str, Node] = {}
    for span in _by_start(inside.get(None, ()), start):
        _grow(span, inside, nodes, start, orphaned=span.parent_id is not None)
    for span in _by_start(everyone.values(), start):
        # What no root leads to goes round in a circle, which is cut where it begins.
        _grow(span, inside, nodes, start, orphaned=True)
    found = list(nodes.values())
    _find_calls(found, containing([node for node in found if node.span.kind == "llm"]) if repeats else set())
    return found


def containing(nodes: Iterable[Node]) -> set[int]:
    """The spans around any of these, by identity."""
    found: set[int] = set()
    for node in nodes:
        around = node.around
        while around is not None and id(around) not in found:
            found.add(id(around))
            around = around.around
    return found


def _find_calls(nodes: list[Node], repeating: set[int]) -> None:
    for node in nodes:
        around = node.around
        if around is not None:
            node.enclosing = around if around.is_call else around.enclosing
        kind = node.span.kind
        if kind == "llm":
            node.is_call = id(node) not in repeating
        elif kind in ("tool", "graphql"):
            node.is_call = not _is_told_again(node)


def _is_told_again(node: Node) -> bool:
    """Whether the call around an MCP call's span stands for it: the framework's, the client's or the server's."""
    around, own = node.enclosing, node.span.mcp_call
    if around is None or own is None or around.span.name != node.span.name:
        return False
    return own.may_be(around.span.mcp_call)


def _grow(
    root: Span, inside: dict[str | None, list[Span]], nodes: dict[str, Node], start: int, *, orphaned: bool
) -> None:
    waiting: list[tuple[Span, Node | None]] = [(root, None)]
    while waiting:
        span, around = waiting.pop()
        if span.span_id in nodes:
            continue
        node = nodes[span.span_id] = _node(span, around, start)
        node.orphaned = orphaned and around is None
        waiting += [(child, node) for child in reversed(_by_start(inside.get(span.span_id, ()), node.begin))]


def _node(span: Span, around: Node | None, start: int) -> Node:
    started = start if span.started is None else span.started
    if around is None:
        return Node(span, None, 0, started)
    return Node(span, around, around.depth + 1, max(started, around.begin))


def _by_start(spans: Iterable[Span], start: int) -> list[Span]:
    return sorted(spans, key=lambda span: start if span.started is None else span.started)
