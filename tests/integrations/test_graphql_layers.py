"""Every way that one GraphQL layer can sit on another: an operation is one call, and what a resolver asks another."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("gql")
pytest.importorskip("httpx")
pytest.importorskip("requests")
pytest.importorskip("strawberry")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("aiohttp")
pytest.importorskip("requests_toolbelt")

import graphql
import httpx
import requests
import strawberry
from gql import Client, GraphQLRequest
from gql.transport import Transport
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport
from gql.transport.requests import RequestsHTTPTransport
from gql.transport.websockets import WebsocketsTransport
from graphql_schema import CUSTOMERS, CUSTOMERS_DATA, PARTIAL, SLOW, schema
from graphql_server import application

from instrument import (
    flush,
    graphql_span,
    install,
    propagate,
    query_span,
    suppress,
    track_graphql,
    track_tool,
)
from instrument.collecting.collector import collector
from instrument.records import CallRecord
from instrument.testing import capture

ALL = ("gql", "graphql", "httpx", "httpx2", "requests", "strawberry", "threads")
LOCAL: dict[str, Any] = {"verify": False, "trust_env": False}
SIZES = {
    len('{"customers":[{"id":0},{"id":1}]}'),
    len('{"data":{"customers":[{"id":0},{"id":1}]}}'),
    len('{"data": {"customers": [{"id": 0}, {"id": 1}]}}'),  # as earlier versions of Strawberry send it
}

Ask = Callable[[str, str], Any]


def over_gql(transport: Any, document: str) -> Any:
    with Client(transport=transport) as session:
        return session.execute(GraphQLRequest(document))


async def over_gql_async(transport: Callable[[], Any], document: str) -> Any:
    async with Client(transport=transport()) as session:
        return await session.execute(GraphQLRequest(document))


async def in_process(document: str) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application())) as client:
        return (await client.post("http://here/graphql", json={"query": document})).json()


def over_sockets(url: str) -> WebsocketsTransport:
    address = url.replace("http", "ws")
    return WebsocketsTransport(address, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL])


STACKS: dict[str, Ask] = {
    "httpx": lambda url, document: httpx.post(url, json={"query": document}, **LOCAL).json(),
    "requests": lambda url, document: requests.post(url, json={"query": document}).json(),
    "gql on httpx": lambda url, document: over_gql(HTTPXTransport(url, **LOCAL), document),
    "gql on async httpx": lambda url, document: asyncio.run(
        over_gql_async(lambda: HTTPXAsyncTransport(url, **LOCAL), document)
    ),
    "gql on requests": lambda url, document: over_gql(RequestsHTTPTransport(url), document),
    "gql on aiohttp": lambda url, document: asyncio.run(
        over_gql_async(lambda: AIOHTTPTransport(url, ssl=False), document)
    ),
    "gql on websockets": lambda url, document: asyncio.run(over_gql_async(lambda: over_sockets(url), document)),
    "gql on a local schema": lambda url, document: asyncio.run(schema_by_gql(document)),
    "strawberry": lambda url, document: schema.execute_sync(document).data,
    "strawberry, async": lambda url, document: asyncio.run(schema.execute(document)).data,
    "graphql-core": lambda url, document: graphql.graphql_sync(schema._schema, document).data,
    "httpx on strawberry": lambda url, document: asyncio.run(in_process(document)),
}


async def schema_by_gql(document: str) -> Any:
    async with Client(schema=schema._schema) as session:
        return await session.execute(GraphQLRequest(document))


def facts(call: CallRecord) -> tuple[str, int | None, bool]:
    return call.name, call.parent, call.success


@pytest.fixture(params=STACKS)
def ask(request: pytest.FixtureRequest, graphql_url: str) -> Callable[[str], Any]:
    install(*ALL)
    return lambda document: STACKS[request.param](f"{graphql_url}/graphql", document)


def test_an_operation_is_one_call_whatever_it_passes_through(ask: Callable[[str], Any]) -> None:
    with capture() as captured:
        answer = ask(CUSTOMERS)
        with query_span("q", agent="a"):
            assert ask(CUSTOMERS) == answer
            with query_span("late", agent="b"):
                pass
    assert answer in (CUSTOMERS_DATA, {"data": CUSTOMERS_DATA})
    calls = [*captured.calls, *(call for query in captured.queries for call in query.calls)]
    assert [facts(call) for call in calls] == [("query Customers", None, True)] * 2
    assert {call.result_size_bytes for call in calls} <= SIZES


@pytest.mark.parametrize("decorated", ["by its document", "by the application", "span", "bare span"])
def test_a_call_of_the_applications_own_around_it_is_that_one_call(ask: Callable[[str], Any], decorated: str) -> None:
    @track_graphql
    def by_document(query: str) -> Any:
        return ask(query)

    @track_graphql("fetch")
    def by_application(query: str) -> Any:
        return ask(query)

    def run() -> None:
        if "span" in decorated:
            with graphql_span("query Customers" if decorated == "span" else "fetch"):
                ask(CUSTOMERS)
        else:
            (by_document if decorated == "by its document" else by_application)(CUSTOMERS)

    with capture() as captured:
        run()
        with query_span("q", agent="a"):
            run()
    calls = [*captured.calls, *captured.queries[0].calls]
    assert [call.name in ("query Customers", "fetch") for call in calls] == [True] * 2
    assert {call.result_size_bytes for call in calls} <= SIZES


def test_a_tool_around_it_is_a_call_of_its_own(ask: Callable[[str], Any]) -> None:
    with capture() as captured, query_span("q", agent="a"):
        track_tool("look up")(lambda: ask(CUSTOMERS))()
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("look up", None, True),
        ("query Customers", 0, True),
    ]


def test_errors_in_an_answer_reach_the_applications_own_call(graphql_url: str) -> None:
    install(*ALL)

    @track_graphql
    def fetch(query: str) -> Any:
        return httpx.post(f"{graphql_url}/graphql", json={"query": query}, **LOCAL).json()["data"]

    with capture() as captured:
        fetch(PARTIAL)
        fetch(CUSTOMERS)
    assert [(call.name, call.error_type) for call in captured.calls] == [
        ("query Partial", "GraphQLError"),
        ("query Customers", None),
    ]


OUTER = "query Outer { nested }"


def gateway(nested: Callable[[], Any], is_async: bool = False) -> strawberry.Schema:
    def resolve() -> int:
        return len(str(nested()))

    async def resolve_async() -> int:
        return len(str(await asyncio.to_thread(nested)))

    @strawberry.type
    class Query:
        nested: int = strawberry.field(resolver=resolve_async if is_async else resolve)

    return strawberry.Schema(Query)


OUTSIDE: dict[str, Callable[[strawberry.Schema], Any]] = {
    "strawberry": lambda outer: asyncio.run(outer.execute(OUTER)).data["nested"],
    "graphql-core": lambda outer: asyncio.run(graphql.graphql(outer._schema, OUTER)).data["nested"],
    "gql": lambda outer: asyncio.run(by_gql(outer))["nested"],
}


async def by_gql(outer: strawberry.Schema) -> Any:
    async with Client(schema=outer._schema) as session:
        return await session.execute(GraphQLRequest(OUTER))


@pytest.mark.parametrize("name", ["Inner", "Outer"])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("inside", ["httpx", "requests", "gql on httpx", "strawberry", "graphql-core"])
@pytest.mark.parametrize("outside", OUTSIDE)
def test_what_a_resolver_asks_is_a_call_of_its_own_inside_even_by_the_same_name(
    graphql_url: str, outside: str, inside: str, is_async: bool, name: str
) -> None:
    install(*ALL)
    document = f"query {name} {{ customers {{ id }} }}"
    outer = gateway(lambda: STACKS[inside](f"{graphql_url}/graphql", document), is_async)
    with capture() as captured, query_span("q", agent="a"):
        assert OUTSIDE[outside](outer) > 0
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("query Outer", None, True),
        (f"query {name}", 0, True),
    ]
    assert captured.calls == []


@pytest.mark.parametrize("only", [("gql", "httpx", "httpx2"), ("strawberry", "httpx"), ("graphql", "httpx")])
def test_what_a_resolver_asks_is_seen_when_not_every_layer_is_hooked_in(graphql_url: str, only: Any) -> None:
    install(*only)
    outer = gateway(lambda: STACKS["httpx"](f"{graphql_url}/graphql", CUSTOMERS))
    outside = {"gql": "gql", "strawberry": "strawberry", "graphql": "graphql-core"}[only[0]]
    with capture() as captured, query_span("q", agent="a"):
        OUTSIDE[outside](outer)
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("query Outer", None, True),
        ("query Customers", 0, True),
    ]


def test_a_resolver_in_a_thread_of_a_pool_asks_on_its_own(graphql_url: str) -> None:
    install(*ALL)

    def in_pool() -> Any:
        with ThreadPoolExecutor() as pool:
            return pool.submit(STACKS["requests"], f"{graphql_url}/graphql", CUSTOMERS).result()

    with capture() as captured, query_span("q", agent="a"):
        gateway(in_pool).execute_sync(OUTER)
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("query Outer", None, True),
        ("query Customers", 0, True),
    ]


def test_an_applications_own_call_in_another_thread_is_still_that_one_call(graphql_url: str) -> None:
    install("requests")
    fetch = track_graphql(lambda query: STACKS["requests"](f"{graphql_url}/graphql", query))
    with capture() as captured, query_span("q", agent="a"), ThreadPoolExecutor() as pool:
        pool.submit(propagate(fetch), CUSTOMERS).result()
    assert [facts(call) for call in captured.queries[0].calls] == [("query Customers", None, True)]


def test_gathered_operations_under_one_call_do_not_mix_up_how_far_each_has_come(graphql_url: str) -> None:
    install(*ALL)
    url = f"{graphql_url}/graphql"
    nested = gateway(lambda: STACKS["httpx"](url, CUSTOMERS), is_async=True)

    async def main() -> None:
        async with Client(transport=HTTPXAsyncTransport(url, timeout=30, **LOCAL)) as session:
            with query_span("q", agent="a"):
                asked = (session.execute(GraphQLRequest(CUSTOMERS)) for _ in range(10))
                await asyncio.gather(*itertools.chain(asked, (nested.execute(OUTER) for _ in range(10))))

    with capture() as captured:
        asyncio.run(main())
    calls = captured.queries[0].calls
    assert sorted(call.name for call in calls) == ["query Customers"] * 20 + ["query Outer"] * 10
    inside = [call.parent for call in calls if call.name == "query Customers" and call.parent is not None]
    assert len(inside) == 10
    assert {calls[place].name for place in inside} == {"query Outer"}


def test_nothing_is_current_after_a_call_however_it_ended(graphql_url: str) -> None:
    install(*ALL)
    url = f"{graphql_url}/graphql"
    with capture() as captured:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json={"query": SLOW}, timeout=0.05, **LOCAL)
        httpx.post(url, json={"query": SLOW.replace("slow", "slow(seconds: 0)")}, **LOCAL)
        schema.execute_sync("query Slow { customers { id } }")
    assert [call.success for call in captured.calls] == [False, True, True]


def test_what_is_suppressed_on_the_way_changes_nothing_for_what_comes_after() -> None:
    install(*ALL)
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"data": {}})))

    class Signed(Transport):
        def execute(self, request: GraphQLRequest, *args: Any, **kwargs: Any) -> graphql.ExecutionResult:
            with suppress():
                client.post("http://login/", json={"query": "mutation Login { login }"})
            return graphql.ExecutionResult(data=client.post("http://api/", json=request.payload).json()["data"])

    with capture() as captured, client:
        over_gql(Signed(), CUSTOMERS)
        client.post("http://api/", json={"query": "{ after }"})
    assert [call.name for call in captured.calls] == ["query Customers", "query {after}"]


class Answer(dict[str, Any]):
    """An answer of a request's own, which nobody but its application may hold."""


class Canned(Transport):
    """A transport that answers at once."""

    def __init__(self) -> None:
        self.given: list[weakref.ref[Answer]] = []

    def execute(self, request: GraphQLRequest, *args: Any, **kwargs: Any) -> graphql.ExecutionResult:
        answer = Answer(customers=[])
        self.given.append(weakref.ref(answer))
        if len(self.given) % 1000 == 0:
            raise KeyError(answer)
        return graphql.ExecutionResult(data=answer)


def test_nothing_of_100_000_operations_is_held_once_their_queries_have_ended() -> None:
    install(*ALL)
    transport, request = Canned(), GraphQLRequest(CUSTOMERS)
    with Client(transport=transport) as session:
        for _ in range(100):
            with query_span("q", agent="a"):
                for _ in range(1000):
                    with contextlib.suppress(KeyError):
                        session.execute(request)
    flush(60)
    gc.collect()
    assert len(transport.given) == 100_000
    assert sum(reference() is not None for reference in transport.given) == 0
    assert [one for one in gc.get_objects() if type(one).__name__ in ("operation", "_Standing", "_Steps")] == []
    assert not collector.opened


def test_nothing_of_an_operation_over_http_is_held_once_its_query_has_ended() -> None:
    install(*ALL)
    alive: list[weakref.ref[Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        response = httpx.Response(200, json={"data": {}})
        alive.extend((weakref.ref(request), weakref.ref(response)))
        return response

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        for _ in range(200):
            with query_span("q", agent="a"):
                client.post("http://api/", json={"query": CUSTOMERS})
    gc.collect()
    assert len(alive) == 400
    assert [one for one in alive if one() is not None] == []
