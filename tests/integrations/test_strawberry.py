"""Strawberry in this process: operations, their outcome and size, subscriptions, and what resolvers ask themselves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

pytest.importorskip("strawberry")

import strawberry
from graphql_schema import (
    COUNT,
    CUSTOMERS,
    CUSTOMERS_DATA,
    FAILING,
    INVALID,
    PARTIAL,
    PAY,
    SLOW,
    schema,
)

from instrument import install, query_span, uninstall
from instrument.records import CallRecord
from instrument.testing import capture


@pytest.fixture(autouse=True)
def installed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "strawberry.execution")
    install("strawberry")


def facts(call: CallRecord) -> tuple[str, str, str | None]:
    return call.name, call.status, call.error_type


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("document", "expected", "size"),
    [
        (CUSTOMERS, ("query Customers", "ok", None), len('{"customers":[{"id":0},{"id":1}]}')),
        (PAY, ("mutation Pay", "ok", None), len('{"pay":7}')),
        (PARTIAL, ("query Partial", "error", "GraphQLError"), len('{"customers":[{"id":0},{"id":1}],"broken":null}')),
        (INVALID, ("query Invalid", "error", "GraphQLError"), 0),
        ("no document", ("GraphQL", "error", "GraphQLError"), 0),
    ],
)
def test_an_operation_is_a_call_with_its_outcome_and_size(
    document: str, expected: Any, size: int, is_async: bool
) -> None:
    with capture() as captured, query_span("q", agent="a"):
        result = asyncio.run(schema.execute(document)) if is_async else schema.execute_sync(query=document)
    (call,) = captured.queries[0].calls
    assert type(result).__module__.startswith("strawberry")
    assert (facts(call), call.result_size_bytes) == (expected, size)


def test_an_operation_is_named_as_it_was_chosen() -> None:
    document = f"{CUSTOMERS} mutation Other {{ pay(bill: 1) }}"
    with capture() as captured:
        assert schema.execute_sync(document, operation_name="Other").data == {"pay": 1}
        assert schema.execute_sync(document, None, None, None, "Customers").data == CUSTOMERS_DATA
    assert [call.name for call in captured.calls] == ["mutation Other", "query Customers"]


def test_an_exception_of_the_schema_itself_reaches_the_application_and_is_the_calls_error() -> None:
    with capture() as captured, pytest.raises(strawberry.exceptions.MissingQueryError):
        schema.execute_sync(None)
    assert captured.calls[0].error_type == "MissingQueryError"


def test_a_cancelled_operation_is_recorded_as_cancelled() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(schema.execute(SLOW), 0.01)

    with capture() as captured:
        asyncio.run(main())
    assert [facts(call) for call in captured.calls] == [("query Slow", "cancelled", "CancelledError")]


def test_fifty_at_once_are_fifty_calls() -> None:
    async def main() -> None:
        with query_span("q", agent="a"):
            await asyncio.gather(*(schema.execute("query S { slow(seconds: 0.01) }") for _ in range(50)))

    with capture() as captured:
        asyncio.run(main())
    calls = captured.queries[0].calls
    assert [(facts(call), call.parent) for call in calls] == [(("query S", "ok", None), None)] * 50


async def take(document: str, most: int = 10) -> list[Any]:
    taken = []
    async for event in await schema.subscribe(document):
        taken.append(event)
        if len(taken) == most:
            break
    return taken


def test_a_subscription_is_one_call_from_its_first_step_to_its_last() -> None:
    async def main() -> list[Any]:
        with query_span("q", agent="a"):
            await schema.subscribe(COUNT)  # never started: no record
            return await take(COUNT)

    with capture() as captured:
        events = asyncio.run(main())
    (call,) = captured.queries[0].calls
    assert [event.data for event in events] == [{"count": 0}, {"count": 1}, {"count": 2}]
    assert facts(call) == ("subscription Count", "ok", None)
    assert call.result_size_bytes == 3 * len('{"count":0}')


def test_a_subscription_that_is_broken_off_is_closed_with_what_was_seen() -> None:
    with capture() as captured:
        asyncio.run(take(COUNT, 2))
    assert [facts(call) for call in captured.calls] == [("subscription Count", "closed", None)]
    assert captured.calls[0].result_size_bytes == 2 * len('{"count":0}')


@pytest.mark.parametrize("document", [FAILING, "subscription Failing { nothing }"])
def test_a_subscription_that_fails_on_its_way_has_failed(document: str) -> None:
    with capture() as captured:
        asyncio.run(take(document))
    assert [facts(call) for call in captured.calls] == [("subscription Failing", "error", "GraphQLError")]


def test_what_a_consumer_does_between_two_events_is_not_the_subscriptions() -> None:
    async def main() -> None:
        with query_span("q", agent="a"):
            async for _ in await schema.subscribe(COUNT):
                schema.execute_sync(CUSTOMERS)

    with capture() as captured:
        asyncio.run(main())
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [
        ("subscription Count", None),
        *[("query Customers", None)] * 3,
    ]


def test_a_resolver_that_asks_another_schema_is_recorded_inside() -> None:
    @strawberry.type
    class Gateway:
        @strawberry.field
        def customers(self) -> int:
            result = schema.execute_sync(CUSTOMERS)  # of the same name as the one outside
            return len(result.data["customers"])

    with capture() as captured, query_span("q", agent="a"):
        strawberry.Schema(Gateway).execute_sync("query Customers { customers }")
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [
        ("query Customers", None),
        ("query Customers", 0),
    ]


def test_taking_it_out_restores_the_schema() -> None:
    uninstall("strawberry")
    before = dict(vars(strawberry.Schema))
    install("strawberry")
    assert vars(strawberry.Schema)["execute"] is not before["execute"]
    uninstall("strawberry")
    assert all(vars(strawberry.Schema)[name] is method for name, method in before.items())
