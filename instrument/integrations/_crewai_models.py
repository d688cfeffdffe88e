"""CrewAI's model calls, by the ids of its events. A model of one's own may never tell of a call's end."""

from __future__ import annotations

import sys
from collections.abc import Hashable

from instrument.collecting.collector import collector
from instrument.integrations._model_calls import asking
from instrument.recording.calls import OpenCall, close_call, open_call
from instrument.recording.model_usage import Usage, fill
from instrument.recording.scope import clock
from instrument.redaction.rules import described
from instrument.rows.live import LiveFacts, LiveQuery

MOST = 10_000
"""Calls that may be open at once; beyond that the oldest is given up."""

_open: dict[Hashable, OpenCall] = {}


def begin(key: Hashable, model: str | None) -> None:
    """Begin a call, without entering it: what CrewAI does next is inside it only if it is a client's request."""
    name = described(model or "")
    opened = open_call("model", name or "model", entered=False, facts=LiveFacts(name or None))
    if opened is None:
        return
    asking.set(opened.call.facts)
    before = _open.pop(key, None)
    if before is not None:
        close_call(before, status="abandoned")
    _open[key] = opened
    if len(_open) > MOST:
        close_call(_open.pop(next(iter(_open))), status="abandoned")


def first_chunk(key: Hashable) -> None:
    """Note when the first part of an answer came."""
    opened = _open.get(key)
    facts = None if opened is None else opened.call.facts
    if facts is not None and facts.first_chunk is None:
        facts.first_chunk = clock() - facts.began


def end(key: Hashable, usage: Usage | None, *, model: str | None = None, failed: bool = False) -> None:
    """End a call; one that CrewAI tells of by its end alone has no duration."""
    if key not in _open:
        begin(key, model)
    opened = _open.pop(key, None)
    if opened is None:
        return
    facts = opened.call.facts
    if facts is not None and usage is not None:
        with collector.lock:
            fill(facts, usage)
            if model and model != opened.call.name:  # the one that was asked says nothing of the one that answered
                facts.model = described(model)
    error = sys.exception() if failed else None
    if failed and error is None:
        opened.call.status, opened.call.error = "error", "LLMError"
    close_call(opened, error)


def give_up(row: LiveQuery | None, error: BaseException | None) -> None:
    """End what is still open of a query that ends."""
    for key, opened in list(_open.items()):
        if opened.row is row and row is not None:
            _open.pop(key, None)
            close_call(opened, error, None if error is not None else "abandoned")
