"""gql against a real server: sessions, batches and subscriptions, over each transport."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("gql")
pytest.importorskip("strawberry")
pytest.importorskip("websockets")

from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession, SyncClientSession
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport
from gql.transport.websockets import WebsocketsTransport
from graphql_schema import COUNT, CUSTOMERS, CUSTOMERS_DATA, FAILING, INVALID, PARTIAL, PAY, SLOW, schema

from instrument import install, query_span, uninstall
from instrument.collecting.collector import collector
from instrument.records import CallRecord
from instrument.testing import capture

Ask = Callable[..., Any]
LOCAL: dict[str, Any] = {"verify": False, "trust_env": False}


@pytest.fixture(autouse=True)
def installed() -> None:
    install("gql")


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, graphql_url: str) -> Ask:
    """Have one document, or several as a batch, executed by a session of its own."""
    return ask_sync(graphql_url) if request.param == "sync" else ask_async(graphql_url)


def ask_sync(url: str) -> Ask:
    def ask(*documents: str, path: str = "/graphql", **options: Any) -> Any:
        with Client(transport=HTTPXTransport(url + path, **LOCAL, **options)) as session:
            requests = [GraphQLRequest(document) for document in documents]
            return session.execute_batch(requests) if len(requests) > 1 else session.execute(requests[0])

    return ask


def ask_async(url: str) -> Ask:
    async def ask(*documents: str, path: str = "/graphql", **options: Any) -> Any:
        async with Client(transport=HTTPXAsyncTransport(url + path, **LOCAL, **options)) as session:
            requests = [GraphQLRequest(document) for document in documents]
            return await (session.execute_batch(requests) if len(requests) > 1 else session.execute(requests[0]))

    return lambda *documents, **options: asyncio.run(ask(*documents, **options))


def facts(call: CallRecord) -> tuple[str, str, str | None]:
    return call.name, call.status, call.error_type


def test_an_operation_is_a_call_with_its_name_and_size_and_gives_what_it_gave(ask: Ask) -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert ask(CUSTOMERS) == CUSTOMERS_DATA
        assert ask(PAY) == {"pay": 7}
        assert ask("{ customers { id } }") == CUSTOMERS_DATA
    calls = captured.queries[0].calls
    assert [facts(call) for call in calls] == [
        ("query Customers", "ok", None),
        ("mutation Pay", "ok", None),
        ("query {customers}", "ok", None),
    ]
    assert {call.kind for call in calls} == {"graphql"}
    assert calls[0].result_size_bytes == len('{"customers":[{"id":0},{"id":1}]}')


@pytest.mark.parametrize(
    ("document", "path", "error", "parts"),
    [
        (PARTIAL, "/graphql", TransportQueryError, "data errors"),
        (INVALID, "/graphql", TransportQueryError, "errors"),
        (CUSTOMERS, "/failed", TransportServerError, "code"),
        (CUSTOMERS, "/page", TransportProtocolError, ""),
        (CUSTOMERS, "/nowhere", TransportServerError, "code"),
    ],
)
def test_an_error_reaches_the_application_whole_and_is_the_calls_error(
    ask: Ask, document: str, path: str, error: type[Exception], parts: str
) -> None:
    with capture() as captured, pytest.raises(error) as raised:
        ask(document, path=path)
    assert all(getattr(raised.value, part) for part in parts.split())
    (call,) = captured.calls
    assert facts(call) == (f"query {document.split()[1]}", "error", error.__name__)
    assert not hasattr(raised.value, "__instrument_recorded__")


def test_a_refused_connection_and_a_timeout_are_the_calls_error(ask: Ask, graphql_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def hurried() -> None:
        transport = HTTPXAsyncTransport(f"{graphql_url}/graphql", **LOCAL)
        async with Client(transport=transport, execute_timeout=0.05) as session:
            await session.execute(GraphQLRequest(SLOW))

    with capture() as captured:
        with pytest.raises(TransportConnectionFailed):
            ask(SLOW, timeout=0.05)
        with pytest.raises(TransportConnectionFailed):
            ask_sync(f"http://127.0.0.1:{port}")(CUSTOMERS)
        with pytest.raises(TimeoutError):
            asyncio.run(hurried())
    assert [facts(call) for call in captured.calls] == [
        ("query Slow", "error", "TransportConnectionFailed"),
        ("query Customers", "error", "TransportConnectionFailed"),
        ("query Slow", "error", "TimeoutError"),
    ]


def test_a_cancelled_call_is_recorded_as_cancelled(graphql_url: str) -> None:
    async def main() -> None:
        async with Client(transport=HTTPXAsyncTransport(f"{graphql_url}/graphql", **LOCAL)) as session:
            task = asyncio.create_task(session.execute(GraphQLRequest(SLOW)))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with capture() as captured:
        asyncio.run(main())
    assert [facts(call) for call in captured.calls] == [("query Slow", "cancelled", "CancelledError")]


def test_fifty_at_once_on_one_session_are_fifty_calls_each_with_its_own_outcome(graphql_url: str) -> None:
    async def main() -> None:
        async with Client(transport=HTTPXAsyncTransport(f"{graphql_url}/graphql", timeout=30, **LOCAL)) as session:
            documents = [CUSTOMERS if number % 2 else PARTIAL for number in range(50)]
            with query_span("q", agent="a"):
                asked = [session.execute(GraphQLRequest(document)) for document in documents]
                await asyncio.gather(*asked, return_exceptions=True)

    with capture() as captured:
        asyncio.run(main())
    calls = captured.queries[0].calls
    assert len(calls) == 50
    assert all(call.success == (call.name == "query Customers") for call in calls)
    assert [call.parent for call in calls] == [None] * 50


def test_a_batch_is_a_call_for_each_operation(ask: Ask) -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert ask(CUSTOMERS, PAY) == [CUSTOMERS_DATA, {"pay": 7}]
    assert [(facts(call), call.parent) for call in captured.queries[0].calls] == [
        (("query Customers", "ok", None), None),
        (("mutation Pay", "ok", None), None),
    ]
    assert all(call.result_size_bytes for call in captured.queries[0].calls)


@pytest.mark.parametrize("http", [False, True])
def test_a_batch_that_fails_in_part_marks_what_is_known_to_have_failed(ask: Ask, http: bool) -> None:
    if http:
        install("httpx", "httpx2")
    with capture() as captured, query_span("q", agent="a"), pytest.raises(TransportQueryError):
        ask(CUSTOMERS, PARTIAL)
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("query Customers", "ok", None) if http else ("query Customers", "error", "TransportQueryError"),
        ("query Partial", "error", "TransportQueryError"),
    ]


@pytest.mark.parametrize("http", [False, True])
def test_requests_that_the_client_gathers_are_each_recorded_once_where_they_were_made(
    graphql_url: str, http: bool
) -> None:
    install("threads", *(["httpx", "httpx2"] if http else []))
    url = f"{graphql_url}/graphql"

    async def main() -> None:
        client = Client(transport=HTTPXAsyncTransport(url, **LOCAL), batch_interval=0.01, batch_max=5)
        async with client as session:
            await asyncio.gather(*(session.execute(GraphQLRequest(CUSTOMERS)) for _ in range(3)))

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(main())
        with Client(transport=HTTPXTransport(url, **LOCAL), batch_interval=0.01, batch_max=5) as session:
            session.execute(GraphQLRequest(PAY))
    assert [call.name for call in captured.queries[0].calls] == ["query Customers"] * 3 + ["mutation Pay"]
    assert captured.calls == []


async def take(url: str, document: str, most: int = 10, **options: Any) -> list[Any]:
    taken = []
    async with Client(transport=WebsocketsTransport(url.replace("http", "ws") + "/graphql")) as session:
        async for event in session.subscribe(GraphQLRequest(document), **options):
            taken.append(event)
            if len(taken) == most:
                break
    return taken


def test_a_subscription_is_one_call_from_its_first_step_to_its_last(graphql_url: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        events = asyncio.run(take(graphql_url, COUNT))
        results = asyncio.run(take(graphql_url, COUNT, get_execution_result=True))
    assert events == [{"count": 0}, {"count": 1}, {"count": 2}] == [result.data for result in results]
    assert [(facts(call), call.result_size_bytes) for call in captured.queries[0].calls] == [
        (("subscription Count", "ok", None), 3 * len('{"count":0}'))
    ] * 2


def test_a_subscription_that_is_broken_off_is_closed_once_with_what_was_seen(graphql_url: str) -> None:
    async def main() -> None:
        url = graphql_url.replace("http", "ws") + "/graphql"
        async with Client(transport=WebsocketsTransport(url)) as session:
            session.subscribe(GraphQLRequest(COUNT))  # never started: no record
            events = session.subscribe(GraphQLRequest(COUNT))
            assert inspect.isasyncgen(events)
            await anext(events)
            await events.aclose()
            await events.aclose()

    with capture() as captured:
        assert len(asyncio.run(take(graphql_url, COUNT, 2))) == 2
        gc.collect()
        asyncio.run(main())
    assert [facts(call) for call in captured.calls] == [("subscription Count", "closed", None)] * 2
    assert captured.calls[0].result_size_bytes == 2 * len('{"count":0}')
    assert not collector.opened


@pytest.mark.parametrize("document", [FAILING, "subscription Failing { nothing }"])
def test_a_subscription_that_fails_raises_and_has_failed(graphql_url: str, document: str) -> None:
    with capture() as captured, pytest.raises(TransportQueryError):
        asyncio.run(take(graphql_url, document))
    assert [facts(call) for call in captured.calls] == [("subscription Failing", "error", "TransportQueryError")]


def test_what_a_consumer_does_between_two_events_is_not_the_subscriptions(graphql_url: str) -> None:
    async def main() -> None:
        url = graphql_url.replace("http", "ws") + "/graphql"
        transport = WebsocketsTransport(url, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL])
        async with Client(transport=transport) as session:
            with query_span("q", agent="a"):
                async for _ in session.subscribe(GraphQLRequest(COUNT)):
                    await session.execute(GraphQLRequest(CUSTOMERS))

    with capture() as captured:
        asyncio.run(main())
    assert [(facts(call), call.parent) for call in captured.queries[0].calls] == [
        (("subscription Count", "ok", None), None),
        *[(("query Customers", "ok", None), None)] * 3,
    ]


@pytest.fixture
def loop() -> Iterator[None]:
    """An event loop for the client's own methods to run in, which never close one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("loop")
def test_a_local_schema_is_recorded_as_any_other() -> None:
    client = Client(schema=schema._schema)
    with capture() as captured:
        assert client.execute(GraphQLRequest(CUSTOMERS)) == CUSTOMERS_DATA
        assert list(client.subscribe(GraphQLRequest(COUNT))) == [{"count": 0}, {"count": 1}, {"count": 2}]
    assert [call.name for call in captured.calls] == ["query Customers", "subscription Count"]


def test_taking_it_out_restores_the_sessions() -> None:
    uninstall("gql")

    def places() -> list[int]:
        return [id(value) for kind in (SyncClientSession, AsyncClientSession) for value in vars(kind).values()]

    before = places()
    install("gql")
    assert places() != before
    assert inspect.iscoroutinefunction(AsyncClientSession.execute)
    uninstall("gql")
    assert places() == before


def test_equal_variables_have_equal_hashes(graphql_url: str) -> None:
    document = gql("query Customers($first: Int) { customers(first: $first) { id } }")

    async def ask() -> None:
        async with Client(transport=HTTPXAsyncTransport(graphql_url + "/graphql", **LOCAL)) as session:
            for first in (1, 1, 2):
                await session.execute(GraphQLRequest(document, variable_values={"first": first}))

    with capture() as captured, query_span("q", agent="a"):
        asyncio.run(ask())
    one, same, other = (call.variables_hash for call in captured.queries[0].calls)
    assert one == same != other
    assert one is not None
