"""GraphQL calls: how they are named, and when an answer with errors marks them failed."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import graphql
import pytest
from gql import GraphQLRequest, gql
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument import graphql_span, query_span, track_graphql
from instrument.recording.operation_names import names, operation_name
from instrument.testing import capture

DOCUMENTS = {
    "query Customers { customers { id } }": "query Customers",
    'query Customers($country: String = "a{b") @live { customers(country: $country) { id } }': "query Customers",
    "{ customers { id } }": "query {customers}",
    "query { many: customers { id } }": "query {customers}",
    "mutation Pay { pay }": "mutation Pay",
    "mutation { pay(id: 1) }": "mutation {pay}",
    "subscription OnBill { bill }": "subscription OnBill",
    "\ufeff # a comment: query No { x }\n , query Yes { x }": "query Yes",
    "fragment F on Customer { id } query Q { customers { ...F } }": "query Q",
    'fragment F on C { f(x: "}", y: """}""") } mutation M { m }': "mutation M",
    'query Q($a: T = {b: ")"} @d(x: "{")) @live(if: {c: "}"}) { a }': "query Q",
    'query ($a: T = {b: ")"} @d(x: "{")) @live(if: {c: "}"}) { a }': "query {a}",
    "query One { a } query Two { b }": "query One",
}


@pytest.mark.parametrize(("document", "name"), DOCUMENTS.items())
def test_a_call_is_named_by_the_first_operation_of_its_document_in_whatever_form(document: str, name: str) -> None:
    @track_graphql
    def execute(query: Any) -> None: ...

    with capture() as captured:
        execute(document)
        execute(graphql.parse(document.lstrip("\ufeff")))
        execute(GraphQLRequest(document.lstrip("\ufeff")))
        execute(gql(document.lstrip("\ufeff")))
    assert [call.name for call in captured.calls] == [name] * 4
    assert {call.kind for call in captured.calls} == {"graphql"}


@pytest.mark.parametrize(
    "document", ["", "   ", "no document", 3, None, object(), b"query Q { a }", Mock(), [], {"a": 1}]
)
def test_anything_else_names_the_call_by_the_function(document: Any) -> None:
    @track_graphql
    def execute(query: Any) -> None: ...

    with capture() as captured:
        execute(document)
        with query_span("q", agent="a"):
            execute(document)
    assert [call.name for call in (*captured.calls, *captured.queries[0].calls)] == ["execute", "execute"]


STRINGS = st.text(alphabet='ab{}()#"\\\n ', max_size=6)
WORDS = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,8}", fullmatch=True)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["query", "mutation", "subscription"]),
    st.one_of(st.none(), WORDS),
    st.one_of(st.none(), WORDS),
    WORDS,
    st.lists(
        st.tuples(WORDS, st.text(alphabet='ab{}()#"\\\n ', max_size=6)), max_size=2, unique_by=lambda pair: pair[0]
    ),
    st.lists(WORDS.filter(lambda word: word != "on"), max_size=2),
)
def test_the_name_is_the_one_that_a_full_parser_finds(
    kind: str, name: str | None, alias: str | None, field: str, variables: list[Any], fragments: list[str]
) -> None:
    def quoted(text: str) -> str:
        return '"' + re.sub(r'(["\\])', r"\\\1", text).replace("\n", "\\n") + '"'

    given = ", ".join(f"${key}: String = {quoted(value)}" for key, value in variables)
    head = f"{kind} {name or ''} {f'({given})' if given else ''}"
    fragment = "".join(f"fragment {one} on T {{ f(x: {quoted('}')}) }} # }}\n" for one in fragments)
    document = f"{fragment}{head} {{ {alias + ': ' if alias else ''}{field} {{ id }} other }}"
    parsed = graphql.parse(document)
    assert operation_name(document, "none") == operation_name(parsed, "none")
    expected = f"{kind} {name}" if name else f"{kind} {{{field}}}"
    assert operation_name(parsed, "none") == expected


def test_the_document_is_the_parameter_named_else_query_or_document_else_the_first() -> None:
    text = "query {} {{ a }}".format
    with capture() as captured:
        track_graphql(document="body")(lambda query, body: 0)(text("No"), text("A"))
        track_graphql(lambda url, query: 0)("http", text("B"))
        track_graphql(lambda url, *, document: 0)("http", document=text("C"))
        track_graphql(lambda text: 0)(text("D"))
        track_graphql(lambda *args: 0)(text("E"))
        track_graphql("Given")(lambda query: 0)(text("No"))
    assert [call.name for call in captured.calls] == ["query A", "query B", "query C", "query D", "query E", "Given"]


FAILED: list[Any] = [
    {"errors": [{"message": "no"}]},
    {"data": None, "errors": "no"},
    {"errors": 1},
    SimpleNamespace(errors=[ValueError()], data=None),
    graphql.ExecutionResult(None, [graphql.GraphQLError("no")]),
]
WELL: list[Any] = [
    {"errors": []},
    {"errors": None},
    {"data": {"errors": [1]}},
    SimpleNamespace(errors=[]),
    graphql.ExecutionResult({"a": 1}, None),
    Mock(),
    None,
    "errors",
    [{"errors": 1}],
]


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_with_errors_marks_the_call_failed_and_is_handed_on_as_it_is(within: bool, is_async: bool) -> None:
    @track_graphql
    def execute(query: str, answer: Any) -> Any:
        return answer

    @track_graphql
    async def aexecute(query: str, answer: Any) -> Any:
        return answer

    def run(answer: Any) -> Any:
        return asyncio.run(aexecute("query Q { a }", answer)) if is_async else execute("query Q { a }", answer)

    with capture() as captured:
        for answer in (*FAILED, *WELL):
            if within:
                with query_span("q", agent="a"):
                    assert run(answer) is answer
            else:
                assert run(answer) is answer
    calls = captured.calls or [call for query in captured.queries for call in query.calls]
    assert [(call.success, call.error_type) for call in calls] == [
        *[(False, "GraphQLError")] * len(FAILED),
        *[(True, None)] * len(WELL),
    ]
    assert all(query.success for query in captured.queries)


def test_graphql_span_names_its_call_and_can_be_failed() -> None:
    with capture() as captured, query_span("q", agent="a"), graphql_span("query Customers") as span:
        span.fail("partial")
    (query,) = captured.queries
    assert (query.graphql_queries, query.tool_calls) == (1, 0)
    assert [(call.name, call.kind, call.status, call.error_type) for call in query.calls] == [
        ("query Customers", "graphql", "error", "Error")
    ]


def test_names_already_found_do_not_pile_up() -> None:
    execute = track_graphql(lambda query: None)
    with capture() as captured, query_span("q", agent="a"):
        for number in range(10_000):
            execute(f"query Q{number} {{ a }}")
    assert len(names) < 5000
    assert captured.queries[0].calls[-1].name == "query Q9999"
