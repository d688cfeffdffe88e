"""requests against a real server: GraphQL is recorded by its shape, everything else is left alone."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("requests")
pytest.importorskip("strawberry")

import requests
from graphql_schema import CUSTOMERS, CUSTOMERS_DATA, INVALID, PARTIAL, PAY, SLOW

from instrument import install, propagate, query_span, suppress, uninstall
from instrument.records import CallRecord
from instrument.testing import capture


@pytest.fixture
def session() -> Iterator[requests.Session]:
    install("requests")
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def url(graphql_url: str) -> str:
    return f"{graphql_url}/graphql"


def facts(call: CallRecord) -> tuple[str, str, str | None]:
    return call.name, call.status, call.error_type


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (CUSTOMERS, ("query Customers", "ok", None)),
        (PAY, ("mutation Pay", "ok", None)),
        (PARTIAL, ("query Partial", "error", "GraphQLError")),
        (INVALID, ("query Invalid", "error", "GraphQLError")),
    ],
)
def test_a_graphql_post_is_a_call_with_its_operation_outcome_and_size(
    session: requests.Session, url: str, document: str, expected: Any
) -> None:
    with capture() as captured, query_span("q", agent="a"):
        response = session.post(url, json={"query": document})
    (call,) = captured.queries[0].calls
    assert "data" in response.json()
    assert facts(call) == expected
    assert call.kind == "graphql"
    assert call.result_size_bytes == len(response.content)


def test_every_way_to_send_a_document_is_recorded(session: requests.Session, url: str) -> None:
    text = json.dumps({"query": CUSTOMERS})
    headers = {"content-type": "application/json"}
    prepared = session.prepare_request(requests.Request("POST", url, json={"query": CUSTOMERS}))
    with capture() as captured:
        answers = [
            requests.post(url, json={"query": CUSTOMERS}),
            session.post(url, data=text, headers=headers),
            session.post(url, data=f"\n  {text}".encode(), headers=headers),
            session.get(url, params={"query": CUSTOMERS}),
            session.send(request=prepared),
        ]
    assert [answer.json() for answer in answers] == [{"data": CUSTOMERS_DATA}] * 5
    assert [call.name for call in captured.calls] == ["query Customers"] * 5


def test_a_batch_is_a_call_for_each_operation_with_its_own_outcome(session: requests.Session, url: str) -> None:
    with capture() as captured, query_span("q", agent="a"):
        session.post(url, json=[{"query": CUSTOMERS}, {"query": PARTIAL}])
    assert [facts(call) for call in captured.queries[0].calls] == [
        ("query Customers", "ok", None),
        ("query Partial", "error", "GraphQLError"),
    ]


def test_what_is_no_graphql_is_left_alone(session: requests.Session, graphql_url: str) -> None:
    other = f"{graphql_url}/other"
    with capture() as captured:
        session.post(other, json={"query": "customers in India"})
        session.post(other, data={"query": CUSTOMERS})
        session.post(other, files={"query": io.BytesIO(CUSTOMERS.encode())})
        session.get(other, params={"query": "customers"})
        session.get(other)
        session.post(other)
        body = io.BytesIO(json.dumps({"query": CUSTOMERS}).encode())
        assert json.loads(session.post(other, data=body).json()["asked"]) == {"query": CUSTOMERS}
    assert captured.calls == []


@pytest.mark.parametrize(
    ("path", "error"), [("/failed", "HTTPError"), ("/page", "JSONDecodeError"), ("/nowhere", "HTTPError")]
)
def test_an_http_error_and_an_answer_that_is_no_json_mark_the_call_failed(
    session: requests.Session, graphql_url: str, path: str, error: str
) -> None:
    with capture() as captured:
        session.post(graphql_url + path, json={"query": CUSTOMERS})
    assert [facts(call) for call in captured.calls] == [("query Customers", "error", error)]


def test_a_redirected_call_is_one_call(session: requests.Session, graphql_url: str) -> None:
    with capture() as captured:
        assert session.post(f"{graphql_url}/moved", json={"query": CUSTOMERS}).json() == {"data": CUSTOMERS_DATA}
    assert [facts(call) for call in captured.calls] == [("query Customers", "ok", None)]


def test_a_timeout_and_a_refused_connection_reach_the_application_and_are_the_calls_error(
    session: requests.Session, url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with capture() as captured:
        with pytest.raises(requests.ReadTimeout):
            session.post(url, json={"query": SLOW}, timeout=0.05)
        with pytest.raises(requests.ConnectionError):
            session.post(f"http://127.0.0.1:{port}/", json={"query": CUSTOMERS})
    assert [facts(call) for call in captured.calls] == [
        ("query Slow", "error", "ReadTimeout"),
        ("query Customers", "error", "ConnectionError"),
    ]


@pytest.mark.parametrize("by_session", [False, True])
def test_an_answer_that_is_streamed_is_left_unread(
    session: requests.Session, graphql_url: str, by_session: bool
) -> None:
    session.stream = by_session
    with capture() as captured:
        options = {} if by_session else {"stream": True}
        with session.post(f"{graphql_url}/pieces", json={"query": CUSTOMERS}, **options) as response:
            assert len(captured.calls) == 1
            assert json.loads(b"".join(response.iter_content(1)))["data"] == {"a": 1}
    assert [(facts(call), call.result_size_bytes) for call in captured.calls] == [
        (("query Customers", "ok", None), None)
    ]


def test_threads_at_once_mix_nothing_up(session: requests.Session, url: str) -> None:
    def ask(number: int) -> None:
        with requests.Session() as own:
            own.trust_env = False
            own.post(url, json={"query": CUSTOMERS if number % 2 else PARTIAL})

    with capture() as captured, query_span("q", agent="a"):
        threads = [threading.Thread(target=propagate(ask), args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    calls = captured.queries[0].calls
    assert len(calls) == 20
    assert all(call.success == (call.name == "query Customers") for call in calls)


def test_nothing_is_recorded_where_it_is_suppressed_or_taken_out(session: requests.Session, url: str) -> None:
    with capture() as captured:
        with suppress():
            session.post(url, json={"query": CUSTOMERS})
        uninstall("requests")
        session.post(url, json={"query": CUSTOMERS})
    assert captured.calls == []
    assert not hasattr(requests.Session.send, "__wrapped__")
