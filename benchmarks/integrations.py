"""What an integration adds to a call of its framework's, beyond what recording the same call by hand costs.

For each framework that is installed here, the same call is made in three ways that take turns: untouched, with a span
of ours around it, and with the integration installed. The last against the second is what hooking in costs. The calls
are as cheap as the framework has them, since the noise is a share of the whole; CrewAI's take milliseconds, in which
nothing of the kind can be told.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from time import thread_time_ns
from typing import Any, NamedTuple

from instrument_cli.overhead import Cost, Slice, cost, take_turns

import instrument
from benchmarks.ours import own_store
from benchmarks.progress import say
from benchmarks.results import Check, Limit, Section, Table, measured_again, number
from instrument import graphql_span, propagate, query_span, tool_span

LIMIT = Limit(budget=20, goal=10)
"""CPU that hooking in adds to a call, in µs."""

WARMING = 20
"""Calls before the clock starts: the interpreter has to adapt anew to what was patched."""

Call = Callable[[], Any]

DOCUMENT = "query Customers { customers }"
ANSWER = {"data": {"customers": ["Asha", "Vikram"]}}


class Subject(NamedTuple):
    """A call of a framework's: as an application makes it, and with a span of ours put around it by hand."""

    name: str
    integration: str
    plain: Call
    by_hand: Call
    calls: int = 25


class Costs(NamedTuple):
    """What a call costs: recorded by hand, against untouched; and with the integration, against by hand."""

    by_hand: Cost
    hooked_in: Cost


def run(short: bool = False) -> Section:
    """Measure every framework that is there."""
    missing = [name for name, (_, needs) in SUBJECTS.items() if not all(map(importlib.util.find_spec, needs))]
    with own_store():
        found = {subject.name: _settled(subject, 1 if short else 4) for subject in subjects()}
    return Section(
        "integrations",
        [_table(found, missing)],
        [_check(name, costs) for name, costs in found.items()],
        {name: {way: one._asdict() for way, one in costs._asdict().items()} for name, costs in found.items()},
    )


def subjects() -> Iterator[Subject]:
    """What can be measured here, each ready to be called until the next one is asked for."""
    for make, needs in SUBJECTS.values():
        if all(map(importlib.util.find_spec, needs)):
            yield from make()


def _settled(subject: Subject, seconds: float) -> Costs:
    return measured_again(
        lambda longer: measure(subject, longer * seconds), lambda costs: [_check(subject.name, costs)]
    )


def measure(subject: Subject, seconds: float) -> Costs:
    """One subject's three ways, in turns."""
    say(f"integrations: {subject.name}")
    slices: dict[str, Slice] = {
        "untouched": lambda: _slice(subject, subject.plain, instrument.uninstall),
        "by hand": lambda: _slice(subject, subject.by_hand, instrument.uninstall),
        "hooked in": lambda: _slice(subject, subject.plain, instrument.install),
    }
    taken = take_turns(slices, seconds, instrument.flush).slices
    instrument.uninstall(subject.integration)
    return Costs(
        cost(taken["by hand"], taken["untouched"], 0, subject.calls),
        cost(taken["hooked in"], taken["by hand"], 0, subject.calls),
    )


def _slice(subject: Subject, call: Call, prepare: Callable[..., None]) -> int:
    prepare(subject.integration)
    with query_span("slice", agent="benchmark"):
        for _ in repeat(None, WARMING):
            call()
        begin = thread_time_ns()
        for _ in repeat(None, subject.calls):
            call()
        return thread_time_ns() - begin


# -- what is shown ---------------------------------------------------------------------------------------------------


def _check(name: str, costs: Costs) -> Check:
    low, mean, high = (end / 1000 for end in costs.hooked_in.ns)
    return Check(f"{name}, hooked in", mean, LIMIT, "µs", low, high)


def _table(found: dict[str, Costs], missing: list[str]) -> Table:
    rows = [
        (
            name,
            number(costs.by_hand.plain_ns / 1000),
            number(costs.by_hand.ns.mean / 1000),
            f"{number(costs.hooked_in.ns.mean / 1000)} ({number(costs.hooked_in.ns.low / 1000)} – "
            f"{number(costs.hooked_in.ns.high / 1000)})",
        )
        for name, costs in found.items()
    ]
    notes = ("The writer's share is left out: it is the same for both.",)
    if missing:
        notes = (*notes, f"Not installed here, and so not measured: {', '.join(missing)}.")
    return Table(
        "Integrations: µs of CPU a call; 95 % interval",
        ("call", "untouched", "+ recording", "+ hooking in"),
        rows,
        notes,
    )


# -- subjects ----------------------------------------------------------------------------------------------------------


def _spanned(span: Callable[[str], Any], name: str, call: Call) -> Call:
    def by_hand() -> Any:
        with span(name):
            return call()

    return by_hand


def _graphql(name: str, integration: str, call: Call) -> Subject:
    return Subject(name, integration, call, _spanned(graphql_span, "query Customers", call))


class _Unhurried(ThreadPoolExecutor):
    """A pool whose work is done by whoever asks for it, so that one thread's clock sees all of it."""

    def _adjust_thread_count(self) -> None:
        pass

    def do(self) -> None:
        # From Python 3.14 on an item is run in a context that its worker made.
        context = (self._create_worker_context(),) if hasattr(self, "_create_worker_context") else ()
        self._work_queue.get_nowait().run(*context)


def _threads() -> Iterator[Subject]:
    pool = _Unhurried()

    def work() -> None: ...

    def plain() -> None:
        pool.submit(work)
        pool.do()

    def by_hand() -> None:
        pool.submit(propagate(work))
        pool.do()

    yield Subject("threads: submit to a pool", "threads", plain, by_hand)


def _schema() -> Any:
    import graphql

    customers = graphql.GraphQLField(graphql.GraphQLList(graphql.GraphQLString), resolve=lambda *_: ["Asha", "Vikram"])
    return graphql.GraphQLSchema(graphql.GraphQLObjectType("Query", {"customers": customers}))


def _graphql_core() -> Iterator[Subject]:
    import graphql

    schema, document = _schema(), graphql.parse(DOCUMENT)
    yield _graphql("graphql: execute_sync", "graphql", lambda: graphql.execute_sync(schema, document))


def _gql() -> Iterator[Subject]:
    import gql
    from gql.transport import Transport
    from graphql import ExecutionResult

    class Local(Transport):
        def execute(self, request: Any, *args: Any, **kwargs: Any) -> ExecutionResult:
            return ExecutionResult(data=ANSWER["data"])

    request = gql.gql(DOCUMENT)
    with gql.Client(transport=Local()) as session:
        yield _graphql("gql: execute", "gql", lambda: session.execute(request))


def _strawberry() -> Iterator[Subject]:
    import strawberry
    from strawberry.extensions import ParserCache, ValidationCache

    @strawberry.type
    class Query:
        @strawberry.field
        def customers(self) -> list[str]:
            return ["Asha", "Vikram"]

    schema = strawberry.Schema(Query, extensions=[ParserCache, ValidationCache])
    yield _graphql("strawberry: execute_sync", "strawberry", lambda: schema.execute_sync(DOCUMENT))


def _httpx(library: str) -> Iterator[Subject]:
    httpx: Any = importlib.import_module(library)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=ANSWER))
    with httpx.Client(transport=transport, base_url="http://localhost", trust_env=False) as client:
        yield _graphql(f"{library}: post GraphQL", library, lambda: client.post("/graphql", json={"query": DOCUMENT}))
        other: Call = lambda: client.post("/customers", json={"first": 2})  # noqa: E731 - as the line above
        yield Subject(f"{library}: post something else", library, other, other)


def _requests() -> Iterator[Subject]:
    import requests
    from requests.adapters import BaseAdapter

    class Local(BaseAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            response = requests.Response()
            response.status_code, response._content = 200, b'{"data": {"customers": ["Asha", "Vikram"]}}'
            response.request, response.url = request, request.url
            return response

        def close(self) -> None: ...

    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", Local())
        url = "http://localhost/"
        yield _graphql("requests: post GraphQL", "requests", lambda: session.post(url, json={"query": DOCUMENT}))
        other: Call = lambda: session.post(url, json={"first": 2})  # noqa: E731 - as the line above
        yield Subject("requests: post something else", "requests", other, other)


def _langchain() -> Iterator[Subject]:
    from langchain_core.tools import tool

    @tool
    def customers(country: str) -> str:
        """Find customers."""
        return country

    call: Call = lambda: customers.invoke({"country": "India"})  # noqa: E731 - as in the others
    yield Subject("langchain: invoke a tool", "langchain", call, _spanned(tool_span, "customers", call))


SUBJECTS: dict[str, tuple[Callable[[], Iterator[Subject]], tuple[str, ...]]] = {
    "threads": (_threads, ()),
    "graphql": (_graphql_core, ("graphql",)),
    "gql": (_gql, ("gql",)),
    "strawberry": (_strawberry, ("strawberry",)),
    "httpx": (lambda: _httpx("httpx"), ("httpx",)),
    "httpx2": (lambda: _httpx("httpx2"), ("httpx2",)),
    "requests": (_requests, ("requests",)),
    "langchain": (_langchain, ("langchain_core",)),
}
