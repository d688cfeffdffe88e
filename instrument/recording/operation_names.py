"""The name of a GraphQL document's operation, from its text or its syntax tree.

A full parse costs 120 µs; the name needs only the first operation's head, found by one regular expression in 1–3 µs,
and is remembered by the text.
"""

from __future__ import annotations

import re
from typing import Any

_IGNORED = r"(?:[\s,\ufeff]|\#[^\n\r]*)"
_STRING = r'"""(?:\\"""|(?!""").)*"""|"(?:\\.|[^"\\\n])*"'
_TEXT = rf"{_STRING}|\#[^\n\r]*"
_ARGUMENTS = rf"\((?:[^()\"\#]++|{_TEXT}|\((?:[^()\"\#]++|{_TEXT})*+\))*+\)"
_HEAD = rf"(?:[^{{}}()\"\#]++|{_ARGUMENTS}|{_TEXT})*+"
_OPERATION = re.compile(
    rf"""{_IGNORED}*+
    (?: (?P<type>query|mutation|subscription)\b {_IGNORED}*+ (?P<name>[_A-Za-z]\w*+)? {_HEAD} )?
    \{{ {_IGNORED}*+ (?:[_A-Za-z]\w*+ {_IGNORED}*+ : {_IGNORED}*+)? (?P<field>[_A-Za-z]\w*+)?""",
    re.VERBOSE | re.DOTALL,
)
_FRAGMENT = re.compile(rf"{_IGNORED}*+fragment\b{_HEAD}", re.DOTALL)
_TOKEN = re.compile(rf"{_STRING}|\#[^\n\r]*|[{{}}]", re.DOTALL)
_LONGEST = 100_000
_MOST = 1024
_KEPT = 8192

names: dict[str, str] = {}
"""Names already found, by document text ("" for what is no document).

It is emptied when it has some thousand, and long documents stay out of it: 8 MB at most.
"""


def operation_name(document: Any, fallback: str) -> str:
    """Name a document's first operation, such as `query Customers`, or `query {customers}` for one without a name.

    `document` is a str, a graphql-core DocumentNode or anything that holds one as `document` (gql's GraphQLRequest);
    anything else gives `fallback`.
    """
    if isinstance(document, str):
        name = names.get(document)
        if name is None:
            name = _name_in(document[:_LONGEST]) or ""
            if len(document) <= _KEPT:
                if len(names) >= _MOST:
                    names.clear()
                names[document] = name
        return name or fallback
    node = getattr(document, "document", document)
    return next((_name_of(part) for part in _definitions(node) if hasattr(part, "operation")), fallback)


def _name_in(text: str) -> str | None:
    position = 0
    while fragment := _FRAGMENT.match(text, position):
        position = _after_block(text, fragment.end())
    found = _OPERATION.match(text, position)
    if found is None or not (found["type"] or found["field"]):
        return None
    return _joined(found["type"] or "query", found["name"], found["field"])


def _after_block(text: str, position: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0 and token.group() == "}":
            return token.end()
    return len(text)


def _definitions(node: Any) -> tuple[Any, ...]:
    definitions = getattr(node, "definitions", ())
    return tuple(definitions) if isinstance(definitions, (tuple, list)) else ()


def _name_of(operation: Any) -> str:
    fields = getattr(getattr(operation, "selection_set", None), "selections", None)
    field = _value(getattr(fields[0], "name", None)) if fields else None
    kind = getattr(operation.operation, "value", operation.operation)
    return _joined(str(kind), _value(getattr(operation, "name", None)), field)


def _value(name: Any) -> str | None:
    value = getattr(name, "value", None)
    return value if isinstance(value, str) else None


def _joined(kind: str, name: str | None, field: str | None) -> str:
    if name:
        return f"{kind} {name}"
    return f"{kind} {{{field}}}" if field else kind
