"""Sentry's tracing with a transport that does nothing."""

from __future__ import annotations

import functools
from inspect import iscoroutinefunction
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from benchmarks.peers.contender import Contender
from benchmarks.subject import Kit


class CountingTransport(Transport):
    """Takes envelopes over and forgets them."""

    spans = 0

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            if item.type == "transaction":
                event = item.payload.json or {}
                CountingTransport.spans += 1 + len(event.get("spans") or ())


def start(folder: str) -> Contender:
    """A transaction a query, a span a call, every one sampled."""
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=CountingTransport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        send_client_reports=False,
        auto_session_tracking=False,
    )
    return Contender(
        kit=Kit(_transaction, sentry_sdk.trace, sentry_sdk.trace),
        flush=sentry_sdk.flush,
        kept=lambda: CountingTransport.spans,
        a_query=6,
        keeps="a transaction with five spans: names, times, parents, status; no input or sizes; nothing is stored",
        distribution="sentry-sdk",
    )


def _transaction(function: Any) -> Any:
    name = function.__qualname__
    if iscoroutinefunction(function):

        @functools.wraps(function)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            with sentry_sdk.start_transaction(op="query", name=name):
                return await function(*args, **kwargs)

        return asynchronous

    @functools.wraps(function)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        with sentry_sdk.start_transaction(op="query", name=name):
            return function(*args, **kwargs)

    return synchronous
