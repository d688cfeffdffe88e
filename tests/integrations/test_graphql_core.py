"""graphql-core in this process: whole operations, however they are run, each recorded once."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import AsyncGenerator
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("graphql")

import graphql
from graphql import build_schema, execute, graphql_sync, parse, subscribe
from graphql import graphql as run_graphql

from instrument import install, query_span, tool_span, uninstall
from instrument.collecting.collector import collector
from instrument.records import CallRecord
from instrument.testing import capture

SCHEMA = build_schema(
    "type Query { hello: String slow: String broken: String fails: String } type Subscription { count: Int }"
)
HELLO = "query Hello { hello }"
HELLO_DATA = {"hello": "hi"}


async def slow(info: Any) -> str:
    await asyncio.sleep(0)
    with tool_span("in a resolver"):
        await asyncio.sleep(0)
    return "at last"


def broken(info: Any) -> str:
    raise ValueError("the books are closed")


async def never(info: Any) -> str:
    await asyncio.sleep(30)
    return ""


ROOT = {"hello": "hi", "slow": slow, "broken": broken}


@pytest.fixture(autouse=True)
def installed() -> None:
    install("graphql")


def facts(call: CallRecord) -> tuple[str, str, str | None]:
    return call.name, call.status, call.error_type


@pytest.mark.parametrize(
    ("document", "expected", "size"),
    [
        (HELLO, ("query Hello", "ok", None), len('{"hello":"hi"}')),
        ("{ hello }", ("query {hello}", "ok", None), len('{"hello":"hi"}')),
        ("query P { hello broken }", ("query P", "error", "GraphQLError"), len('{"hello":"hi","broken":null}')),
        ("query I { nothing }", ("query I", "error", "GraphQLError"), 0),
        ("no document", ("GraphQL", "error", "GraphQLError"), 0),
    ],
)
def test_an_operation_is_a_call_with_its_outcome_and_size(document: str, expected: Any, size: int) -> None:
    with capture() as captured, query_span("q", agent="a"):
        graphql_sync(SCHEMA, document, ROOT)
        graphql.graphql_sync(SCHEMA, source=graphql.Source(document), root_value=ROOT)
        asyncio.run(run_graphql(SCHEMA, document, ROOT))
    calls = captured.queries[0].calls
    assert [(facts(call), call.result_size_bytes, call.parent) for call in calls] == [(expected, size, None)] * 3


def test_a_parsed_document_is_recorded_at_once_or_until_it_has_been_awaited() -> None:
    async def main() -> None:
        with query_span("q", agent="a"):
            assert execute(SCHEMA, parse(HELLO), ROOT).data == HELLO_DATA
            assert graphql.execute_sync(SCHEMA, document=parse(HELLO), root_value=ROOT).data == HELLO_DATA
            waiting = execute(SCHEMA, parse("query Slow { slow }"), ROOT)
            assert asyncio.iscoroutine(waiting)
            assert (await asyncio.create_task(waiting)).data == {"slow": "at last"}  # type: ignore[arg-type]
            assert (await execute(SCHEMA, parse("query Slow { slow }"), ROOT)).data == {"slow": "at last"}

    with capture() as captured:
        asyncio.run(main())
    assert [(call.name, call.parent, call.success) for call in captured.queries[0].calls] == [
        ("query Hello", None, True),
        ("query Hello", None, True),
        ("query Slow", None, True),
        ("in a resolver", 2, True),
        ("query Slow", None, True),
        ("in a resolver", 4, True),
    ]


@pytest.mark.parametrize("parsed", [False, True])
def test_a_cancelled_operation_is_recorded_as_cancelled(parsed: bool) -> None:
    async def main() -> None:
        text, root = "query Hello { slow }", {"slow": never}
        running = execute(SCHEMA, parse(text), root) if parsed else run_graphql(SCHEMA, text, root)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running, 0.01)  # type: ignore[arg-type]

    with capture() as captured:
        asyncio.run(main())
    assert [facts(call) for call in captured.calls] == [("query Hello", "cancelled", "CancelledError")]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # graphql-core's own
def test_an_operation_whose_result_nobody_awaits_is_closed_and_nothing_of_it_is_kept() -> None:
    async def main() -> None:
        execute(SCHEMA, parse("query Hello { slow }"), {"slow": never}).close()
        task = asyncio.ensure_future(execute(SCHEMA, parse("query Hello { slow }"), {"slow": never}))
        task.cancel()  # before its first step, as Strawberry does
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture() as captured:
        asyncio.run(main())
        gc.collect()
    assert {call.status for call in captured.calls} == {"closed", "cancelled"}
    assert not collector.opened


def test_an_exception_reaches_the_application_and_is_the_calls_error() -> None:
    with capture() as captured, pytest.raises(TypeError):
        graphql_sync(None, HELLO)  # type: ignore[arg-type]
    assert [facts(call) for call in captured.calls] == [("query Hello", "error", "TypeError")]


def test_an_operation_is_named_as_it_was_chosen() -> None:
    document = parse(f"{HELLO} query Other {{ hello }}")
    with capture() as captured:
        execute(SCHEMA, document, ROOT, operation_name="Other")
        execute(SCHEMA, document, ROOT, None, None, "Hello")
    assert [call.name for call in captured.calls] == ["query Other", "query Hello"]


async def counting(info: Any) -> AsyncGenerator[dict[str, int], None]:
    for number in range(3):
        yield {"count": number}


async def subscribed(resolver: Any) -> Any:
    result: Any = subscribe(SCHEMA, parse("subscription Count { count }"), {"count": resolver})
    return await result if inspect.isawaitable(result) else result  # before graphql-core 3.3 it was one always


async def take(most: int) -> list[Any]:
    taken: list[Any] = []
    async for event in await subscribed(counting):
        taken.append(event.data)
        if len(taken) == most:
            break
    return taken


@pytest.mark.parametrize(("most", "status"), [(10, "ok"), (2, "closed")])
def test_a_subscription_is_one_call_from_its_first_step_to_its_last(most: int, status: str) -> None:
    with capture() as captured:
        assert asyncio.run(take(most)) == [{"count": number} for number in range(min(most, 3))]
    assert [facts(call) for call in captured.calls] == [("subscription Count", status, None)]


def test_a_subscription_that_is_refused_is_a_call_that_has_failed() -> None:
    with capture() as captured:
        assert asyncio.run(subscribed(broken)).errors
    assert [facts(call) for call in captured.calls] == [("subscription Count", "error", "GraphQLError")]


def test_a_resolver_that_runs_another_operation_is_recorded_inside() -> None:
    root = {"hello": lambda info: graphql_sync(SCHEMA, HELLO, ROOT).data["hello"]}
    with capture() as captured, query_span("q", agent="a"):
        assert graphql_sync(SCHEMA, HELLO, root).data == HELLO_DATA
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [
        ("query Hello", None),
        ("query Hello", 0),
    ]


def test_a_function_imported_by_name_before_or_after_is_the_recorded_one_until_it_is_taken_out() -> None:
    uninstall("graphql")
    before = graphql.graphql_sync
    other = ModuleType("an_application")
    other.run = before  # type: ignore[attr-defined]
    sys.modules["an_application"] = other
    try:
        install("graphql")
        late = graphql.graphql_sync
        with capture() as captured:
            other.run(SCHEMA, HELLO, ROOT)
            late(SCHEMA, HELLO, ROOT)
            uninstall("graphql")
            other.run(SCHEMA, HELLO, ROOT)
            late(SCHEMA, HELLO, ROOT)
        assert len(captured.calls) == 2
        assert other.run is graphql.graphql_sync is before
        assert sys.modules["graphql.graphql"].graphql_sync is before
    finally:
        del sys.modules["an_application"]


def test_equal_variables_have_equal_hashes_and_none_are_known_by_the_document() -> None:
    with capture() as captured, query_span("q", agent="a"):
        for variables in ({"n": 1}, {"n": 1}, {"n": 2}, None):
            graphql_sync(SCHEMA, HELLO, ROOT, variable_values=variables)
        graphql_sync(SCHEMA, "query Hello { again: hello }", ROOT)
    one, same, other, without, longer = (call.variables_hash for call in captured.queries[0].calls)
    assert one == same != other
    assert len({one, other, without, longer}) == 4
    assert None not in (one, without)
