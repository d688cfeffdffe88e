"""httpx and httpx2 against a real server: GraphQL is recorded by its shape, everything else is left alone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("strawberry")

import httpx
from graphql_schema import CUSTOMERS, CUSTOMERS_DATA, INVALID, PARTIAL, PAY, SLOW

from instrument import install, query_span, suppress, uninstall
from instrument.records import CallRecord
from instrument.testing import capture

Send = Callable[..., Any]
LOCAL: dict[str, Any] = {"verify": False, "trust_env": False}


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    module = pytest.importorskip(request.param)
    install(request.param)
    return module


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest, library: Any, graphql_url: str) -> Send:
    """Send one request with a client of its own, to a path of the server."""

    def sync(method: str, path: str, **options: Any) -> Any:
        with library.Client(base_url=graphql_url, **LOCAL) as client:
            return client.request(method, path, **options)

    async def asynchronous(method: str, path: str, **options: Any) -> Any:
        async with library.AsyncClient(base_url=graphql_url, **LOCAL) as client:
            return await client.request(method, path, **options)

    return sync if request.param == "sync" else lambda *args, **options: asyncio.run(asynchronous(*args, **options))


def facts(call: CallRecord) -> tuple[str, str, str | None]:
    return call.name, call.status, call.error_type


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (CUSTOMERS, ("query Customers", "ok", None)),
        ("{ customers { id } }", ("query {customers}", "ok", None)),
        (PAY, ("mutation Pay", "ok", None)),
        (PARTIAL, ("query Partial", "error", "GraphQLError")),
        (INVALID, ("query Invalid", "error", "GraphQLError")),
    ],
)
def test_a_graphql_post_is_a_call_with_its_operation_outcome_and_size(send: Send, document: str, expected: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        response = send("POST", "/graphql", json={"query": document, "variables": {}})
    (call,) = captured.queries[0].calls
    assert response.status_code == 200
    assert "data" in response.json()
    assert facts(call) == expected
    assert call.kind == "graphql"
    assert call.result_size_bytes == len(response.content)


def test_a_call_is_named_by_the_operation_that_was_chosen(send: Send) -> None:
    document = f"{CUSTOMERS} query Other {{ customers {{ name }} }}"
    with capture() as captured:
        send("POST", "/graphql", json={"operationName": "Other", "query": document})
        send("POST", "/graphql", json={"operationName": "Customers", "query": document})
    assert [call.name for call in captured.calls] == ["query Other", "query Customers"]


def test_a_query_in_a_url_is_recorded_and_other_urls_are_not(send: Send) -> None:
    with capture() as captured:
        assert send("GET", "/graphql", params={"query": CUSTOMERS}).json() == {"data": CUSTOMERS_DATA}
        send("GET", "/other", params={"query": "customers in India"})
        send("GET", "/other?query=%7B%7D")
        send("GET", "/graphql")
    assert [call.name for call in captured.calls] == ["query Customers"]


def test_a_document_of_its_own_content_type_is_recorded(send: Send) -> None:
    with capture() as captured:
        for kind in ("application/graphql", "application/graphql; charset=utf-8", "text/plain"):
            send("POST", "/other", content="  { customers { id } }", headers={"content-type": kind})
    assert [call.name for call in captured.calls] == ["query {customers}"] * 2


def test_a_batch_is_a_call_for_each_operation_with_its_own_outcome_and_size(send: Send) -> None:
    with capture() as captured, query_span("q", agent="a"):
        response = send("POST", "/graphql", json=[{"query": CUSTOMERS}, {"query": PARTIAL}, {"query": PAY}])
    calls = captured.queries[0].calls
    assert [facts(call) for call in calls] == [
        ("query Customers", "ok", None),
        ("query Partial", "error", "GraphQLError"),
        ("mutation Pay", "ok", None),
    ]
    assert [call.parent for call in calls] == [None] * 3
    sizes = [call.result_size_bytes or 0 for call in calls]
    assert min(sizes) > 0
    assert 0 < len(response.content) - sum(sizes) <= len("[, , ]")


OTHERS: list[dict[str, Any]] = [
    {"json": {"query": "customers in India", "limit": 10}},
    {"json": {"query": {"match": {"name": "query { a }"}}}},
    {"json": [{"query": CUSTOMERS}, {"text": "no document"}]},
    {"json": {"document": CUSTOMERS}},
    {"json": ["query", CUSTOMERS]},
    {"content": '{"query": "query Half { a }'},
    {"content": b'{"query": "\xff{ a }"}'},
    {"content": b""},
    {"content": b"\x00\x01"},
    {"data": {"query": CUSTOMERS}},
]


@pytest.mark.parametrize("body", OTHERS)
def test_what_is_no_graphql_is_left_alone_even_when_it_looks_a_little_like_it(send: Send, body: Any) -> None:
    with capture() as captured:
        response = send("POST", "/other", **body)
    assert response.status_code == 200
    assert captured.calls == []


def test_a_body_that_is_sent_as_a_stream_is_left_to_the_client(library: Any, graphql_url: str) -> None:
    text = json.dumps({"query": CUSTOMERS}).encode()

    async def pieces() -> Any:
        yield text

    async def main() -> Any:
        async with library.AsyncClient(**LOCAL) as client:
            return await client.post(f"{graphql_url}/other", content=pieces())

    with capture() as captured, library.Client(**LOCAL) as client:
        assert client.post(f"{graphql_url}/other", content=iter([text])).json()["asked"] == text.decode()
        assert asyncio.run(main()).json()["asked"] == text.decode()
    assert captured.calls == []


@pytest.mark.parametrize(
    ("path", "error"), [("/failed", "HTTPStatusError"), ("/page", "JSONDecodeError"), ("/nowhere", "HTTPStatusError")]
)
def test_an_http_error_and_an_answer_that_is_no_json_mark_the_call_failed(send: Send, path: str, error: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        response = send("POST", path, json={"query": CUSTOMERS})
    (call,) = captured.queries[0].calls
    assert facts(call) == ("query Customers", "error", error)
    assert call.result_size_bytes == len(response.content)
    assert captured.queries[0].success


def test_a_redirected_call_is_one_call(send: Send) -> None:
    with capture() as captured:
        response = send("POST", "/moved", json={"query": CUSTOMERS}, follow_redirects=True)
    assert response.json() == {"data": CUSTOMERS_DATA}
    assert [facts(call) for call in captured.calls] == [("query Customers", "ok", None)]


def test_a_timeout_reaches_the_application_and_is_the_calls_error(send: Send, library: Any) -> None:
    with capture() as captured, pytest.raises(library.ReadTimeout):
        send("POST", "/graphql", json={"query": SLOW}, timeout=0.05)
    assert [facts(call) for call in captured.calls] == [("query Slow", "error", "ReadTimeout")]


def test_a_refused_connection_is_the_calls_error(library: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with capture() as captured, pytest.raises(library.ConnectError):
        library.post(f"http://127.0.0.1:{port}/", json={"query": CUSTOMERS}, **LOCAL)
    assert [facts(call) for call in captured.calls] == [("query Customers", "error", "ConnectError")]


def test_the_identical_exception_leaves_a_failing_transport(library: Any) -> None:
    problem = KeyError("of the application")

    def fail(request: Any) -> Any:
        raise problem

    with capture() as captured, pytest.raises(KeyError) as raised:
        library.Client(transport=library.MockTransport(fail)).post("http://api/", json={"query": CUSTOMERS})
    assert raised.value is problem
    assert captured.calls[0].error_type == "KeyError"


def test_a_cancelled_call_is_recorded_as_cancelled(library: Any, graphql_url: str) -> None:
    async def main() -> None:
        async with library.AsyncClient(**LOCAL) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post(f"{graphql_url}/graphql", json={"query": SLOW}), 0.05)

    with capture() as captured:
        asyncio.run(main())
    assert [facts(call) for call in captured.calls] == [("query Slow", "cancelled", "CancelledError")]


def test_an_answer_that_is_streamed_is_left_unread(library: Any, graphql_url: str) -> None:
    with capture() as captured, library.Client(**LOCAL) as client:
        with client.stream("POST", f"{graphql_url}/pieces", json={"query": CUSTOMERS}) as response:
            assert not response.is_stream_consumed
            assert len(captured.calls) == 1
            assert json.loads(b"".join(response.iter_bytes()))["data"] == {"a": 1}
        with client.stream("POST", f"{graphql_url}/graphql", json={"query": CUSTOMERS}) as response:
            length = int(response.headers["content-length"])
    assert [(facts(call), call.result_size_bytes) for call in captured.calls] == [
        (("query Customers", "ok", None), None),
        (("query Customers", "ok", None), length),
    ]


def test_fifty_at_once_are_fifty_calls_each_with_its_own_outcome(library: Any, graphql_url: str) -> None:
    async def main() -> list[Any]:
        async with library.AsyncClient(timeout=30, **LOCAL) as client:
            documents = [CUSTOMERS if number % 2 else PARTIAL for number in range(50)]
            asked = (client.post(f"{graphql_url}/graphql", json={"query": one}) for one in documents)
            with query_span("q", agent="a"):
                return await asyncio.gather(*asked)

    with capture() as captured:
        answers = asyncio.run(main())
    calls = captured.queries[0].calls
    assert len(answers) == len(calls) == 50
    assert all(call.success == (call.name == "query Customers") for call in calls)
    assert [call.parent for call in calls] == [None] * 50


def test_nothing_is_recorded_where_it_is_suppressed_and_nothing_is_changed(send: Send) -> None:
    with capture() as captured, suppress():
        assert send("POST", "/graphql", json={"query": CUSTOMERS}).json() == {"data": CUSTOMERS_DATA}
    assert captured.calls == []


def test_a_request_is_sent_as_it_was_and_given_by_any_keyword(library: Any) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return library.Response(200, json={"data": {}})

    with capture() as captured, library.Client(transport=library.MockTransport(answer)) as client:
        request = client.build_request("POST", "http://api/", json={"query": CUSTOMERS})
        before = (request.content, dict(request.headers))
        response = client.send(follow_redirects=False, request=request)
    assert seen == [request]
    assert (request.content, dict(request.headers)) == before
    assert response.request is request
    assert len(captured.calls) == 1


def test_a_huge_answer_is_measured_and_not_searched(library: Any) -> None:
    huge = json.dumps({"data": "x" * 1_000_000, "errors": [1]}).encode()
    transport = library.MockTransport(lambda request: library.Response(200, content=huge))
    with capture() as captured, library.Client(transport=transport) as client:
        client.post("http://api/", json={"query": CUSTOMERS})
    assert [(call.success, call.result_size_bytes) for call in captured.calls] == [(True, len(huge))]


def test_taking_it_out_restores_the_clients() -> None:
    before = httpx.Client.send, httpx.AsyncClient.send
    install("httpx")
    assert httpx.Client.send is not before[0]
    uninstall("httpx")
    assert httpx.Client.send is before[0]
    assert httpx.AsyncClient.send is before[1]


def test_equal_variables_have_equal_hashes_however_they_are_sent(send: Send) -> None:
    document = "query Customers($first: Int) { customers(first: $first) { id } }"
    with capture() as captured, query_span("q", agent="a"):
        for first in (1, 1, 2):
            send("POST", "/graphql", json={"query": document, "variables": {"first": first}})
        send("POST", "/graphql", content=json.dumps({"variables": {"first": 1}, "query": document}, indent=2))
        send("POST", "/graphql", json={"query": CUSTOMERS})
    one, same, other, spaced, without = (call.variables_hash for call in captured.queries[0].calls)
    assert one == same == spaced != other
    assert without is not None
    assert without != one
