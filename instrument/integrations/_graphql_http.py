"""GraphQL over HTTP as its clients send it: what a request asks, what an answer says. Neither is altered or read.

A request is known by its shape alone: a JSON object with a GraphQL document as `query`, a list of such, a body of type
application/graphql, or a `query` in a URL. Everything else pays for a look at its first bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from instrument.collecting.collector import collector
from instrument.integrations._graphql_answers import FAILED, Answer, name_of
from instrument.recording.operation_names import operation_name
from instrument.recording.scope import is_suppressed, recording, scope_here

LARGEST_ANSWER = 1_000_000
"""Up to this many bytes an answer is searched for errors."""

_HEAD = 65_536
"""Within so many bytes `"query"` must stand, for a body to be looked at any closer."""

_STREAMS = ("multipart/", "text/event-stream")


class _Request(msgspec.Struct, rename={"operation": "operationName"}):
    query: str
    operation: str | None = None
    variables: msgspec.Raw = msgspec.Raw(b"null")


class Sent(str):
    """The name of an operation that is sent, with its `variables`, or its document where it has none.

    They are None where they cannot be read.
    """

    __slots__ = ("variables",)
    variables: Any


def _sent(document: str, operation: str | None, variables: bytes) -> Sent:
    sent = Sent(name_of(document, operation))
    try:
        sent.variables = msgspec.json.decode(variables) or document
    except _UNREADABLE:
        sent.variables = None
    return sent


class _Reply(msgspec.Struct):
    errors: msgspec.Raw = msgspec.Raw(b"null")


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REQUEST = msgspec.json.Decoder(_Request | list[_Request])
_REPLY = msgspec.json.Decoder(_Reply)
_REPLIES = msgspec.json.Decoder(list[msgspec.Raw])


def asked(look: Callable[..., tuple[str, ...]], *request: Any) -> tuple[str, ...]:
    """Name the operations that `look` finds in a request: none for another request, or where nothing is recorded."""
    if is_suppressed(scope_here()) or not recording():
        return ()
    try:
        return look(*request)
    except Exception as problem:  # noqa: BLE001 - a foreign object's attributes may raise anything
        collector.trouble("graphql request", problem)
        return ()


def in_body(body: Any, content_type: Callable[[], str | None]) -> tuple[str, ...]:
    """Name the operations in a request's body; `content_type` is asked only where the body could be a document."""
    if not isinstance(body, (bytes, str)):
        return ()
    head = (body[:_HEAD] if isinstance(body, bytes) else body[:_HEAD].encode("utf-8", "replace")).lstrip()
    if head.startswith((b"{", b"[")) and b'"query"' in head and (names := _in_json(body)):
        return names
    if head.startswith((b'{"', b"[")) or not head:
        return ()
    if (content_type() or "").partition(";")[0].strip().lower() != "application/graphql":
        return ()
    return (name_of(body if isinstance(body, str) else body.decode("utf-8", "replace")),)


def _in_json(body: bytes | str) -> tuple[str, ...]:
    try:
        found = _REQUEST.decode(body)
    except _UNREADABLE:
        return ()
    if not isinstance(found, list):
        return _name(found)
    names = tuple(name for one in found for name in _name(one))
    return names if len(names) == len(found) else ()


def _name(request: _Request) -> tuple[str, ...]:
    if not operation_name(request.query, ""):
        return ()
    return (_sent(request.query, request.operation, request.variables),)


def in_url(parameters: str) -> tuple[str, ...]:
    """Name the operation in the part of a URL behind the question mark."""
    if "query=" not in parameters or not ("{" in parameters or "%7B" in parameters or "%7b" in parameters):
        return ()
    found = parse_qs(parameters)
    document = found.get("query", [""])[0]
    if not operation_name(document, ""):
        return ()
    return (_sent(document, found.get("operationName", [""])[0], found.get("variables", ["null"])[0].encode()),)


def answers(
    status: int, content: bytes | None, header: Callable[[str], str | None], failure: str
) -> tuple[Answer, ...]:
    """What an HTTP answer says of its operations, one or each; `failure` is the client's own name of an HTTP error.

    `content` is None where the client has not read it: then only the headers are asked.
    """
    failed = failure if status >= 400 else None
    if content is None:
        length = header("content-length") or ""
        return (Answer(int(length) if length.isdecimal() else None, failed),)
    start = content[:64].lstrip()[:1]
    if start == b"[" and len(content) <= LARGEST_ANSWER:
        return _in_list(content, failed)
    if start not in (b"{", b"[") and failed is None:
        kind = header("content-type") or ""
        return (Answer(len(content), None if kind.startswith(_STREAMS) else "JSONDecodeError"),)
    return (Answer(len(content), _error_in(content) or failed),)


def _in_list(content: bytes, failed: str | None) -> tuple[Answer, ...]:
    try:
        return tuple(Answer(len(one), _error_in(one) or failed) for one in map(bytes, _REPLIES.decode(content)))
    except _UNREADABLE:
        return (Answer(len(content), failed or "JSONDecodeError"),)


def _error_in(content: bytes) -> str | None:
    if len(content) > LARGEST_ANSWER or b'"errors"' not in content:
        return None
    try:
        errors = bytes(_REPLY.decode(content).errors)
    except _UNREADABLE:
        return None
    return FAILED if errors not in (b"null", b"[]") else None
