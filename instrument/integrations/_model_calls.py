"""Model calls that several tell of at once: a framework, and the client that it calls the model with.

The outermost is recorded, and takes over what the ones inside know: the client sees the tokens of each answer. With a
tool in between, the inner one is a call of its own.
"""

from __future__ import annotations

from contextvars import ContextVar

from instrument.recording.calls import innermost
from instrument.recording.scope import ROW, Scope, scope_here
from instrument.rows.live import LiveCall, LiveFacts, LiveQuery

asking: ContextVar[LiveFacts | None] = ContextVar("instrument_asking", default=None)
"""The call that a framework has begun here without entering it, since it may never tell of its end."""


def enclosing_facts(scope: Scope | None = None) -> LiveFacts | None:
    """The facts of the model call that is open around a scope, else around the one at hand; None outside of any."""
    scope = scope_here() if scope is None else scope
    call = innermost(scope)
    if call is not None and call.kind == "model":
        return None if call.facts is None or call.facts.ended else call.facts
    facts = asking.get()
    return None if facts is None or facts.ended or _is_within(call, scope[ROW], facts) else facts


def _is_within(call: LiveCall | None, row: LiveQuery | None, facts: LiveFacts) -> bool:
    """Whether another call, such as a tool's, has begun inside the model's."""
    return call is not None and row is not None and row.started + call.begin > facts.began
