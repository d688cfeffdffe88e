"""What GraphQL documents and answers say of themselves: an operation's name, an answer's size and errors."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from instrument.collecting.collector import collector
from instrument.collecting.finalizing import LARGEST_RESULT
from instrument.recording.operation_names import operation_name

FAILED = "GraphQLError"
_UNNAMED = "GraphQL"


class Answer(NamedTuple):
    """What is known of an answer: its size in bytes, and the type of its error if it is one."""

    size: int | None = None
    error: str | None = None


def answer_of(result: Any, size: int | None = None) -> Answer:
    """The answer that a result in this process is: plain data, or an object with `data` and `errors`."""
    data = result if isinstance(result, dict) else getattr(result, "data", None)
    errors = None if isinstance(result, dict) else getattr(result, "errors", None)
    return Answer(_size(data) if size is None else size, FAILED if errors else None)


def _size(data: Any) -> int | None:
    """The length of an answer's JSON, None where it has none or is long: counting all items would cost ten times it."""
    if not isinstance(data, dict):
        return 0 if data is None else None
    if sum(len(part) for part in data.values() if isinstance(part, (list, dict))) > LARGEST_RESULT:
        return None
    try:
        return len(msgspec.json.encode(data))
    except Exception:  # noqa: BLE001 - circular, deep or foreign data: it has no size, and that is all
        return None


def name_of(document: Any, chosen: Any = None) -> str:
    """Name an operation such as `query Customers`: the document's first, or the one of the name `chosen`.

    `document` is a text, a syntax tree, or what holds one as `document` (gql's requests) or `body` (a Source).
    """
    try:
        text = getattr(document, "body", document)
        name = operation_name(text, _UNNAMED)
        if not isinstance(chosen, str) or not chosen or name.endswith(f" {chosen}"):
            return name
        return _chosen(text, chosen) or name
    except Exception as problem:  # noqa: BLE001 - a foreign object's attributes may raise anything
        collector.trouble("graphql document", problem)
        return _UNNAMED


def _chosen(document: Any, name: str) -> str | None:
    if isinstance(document, str):
        found = re.search(rf"\b(query|mutation|subscription)[\s,]+{re.escape(name)}\b", document)
        return found and f"{found[1]} {name}"
    for part in getattr(getattr(document, "document", document), "definitions", ()):
        if getattr(getattr(part, "name", None), "value", None) == name and hasattr(part, "operation"):
            return f"{part.operation.value} {name}"
    return None
