"""The application that is measured: ordinary agents, with methods like those of any other.

It is loaded anew for everybody who decorates it: the interpreter adapts a function's code to what runs through it, so
code shared between a decorated and an undecorated class would be adapted to neither. Nothing here knows which
decorators it is given.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

Decorator = Callable[[Any], Any]

CUSTOMERS = [
    {"id": f"C-{number:04}", "name": f"Customer {number}", "country": country, "due": number * 7.5}
    for number, country in enumerate(["India", "Japan", "Norway", "Kenya"] * 3)
]
CUSTOMERS_QUERY = "query Customers($country: String!) { customers(country: $country) { id name due } }"
BILLS_QUERY = "query UnpaidBills($ids: [ID!]!) { bills(customers: $ids, paid: false) { id amount } }"


class Kit(NamedTuple):
    """What an application is decorated with; each takes a function."""

    query: Decorator
    tool: Decorator
    graphql: Decorator


bodies = [0]
"""CPU time that the bodies have taken so far, in ns, as `clock` has it."""


def clock() -> int:
    """What a body reads at its ends; where bodies are to be told from the rest, a clock is put in this place."""
    return 0


def busy(units: int) -> int:
    """Work as agents do it between their calls: text out of data and back, for `units` turns of a few µs each."""
    size = 0
    for turn in range(units):
        text = json.dumps(CUSTOMERS[turn % 12])
        size += len(text) + len(json.loads(text)["name"].upper().split())
    return size


def body(units: int) -> None:
    """A function's own work, between two marks."""
    begin = clock()
    busy(units)
    bodies[0] += clock() - begin


def agent_class(kit: Kit) -> type[Any]:
    """An agent that answers a query with three tool calls and two GraphQL calls."""
    query, tool, graphql = kit

    class BillingAgent:
        def __init__(self, units: int) -> None:
            self.units = units

        @query
        def process_query(self, user_input: str) -> str:
            country = self.find_country(user_input)
            found = self._execute_graphql(CUSTOMERS_QUERY, {"country": country})
            customers = self.rank_customers(found["data"]["customers"])
            bills = self._execute_graphql(BILLS_QUERY, {"ids": [customer["id"] for customer in customers]})
            answer: str = self.write_answer(country, bills["data"]["bills"])
            return answer

        @tool
        def find_country(self, text: str) -> str:
            body(self.units)
            return text.rpartition(" ")[2]

        @tool
        def rank_customers(self, customers: list[dict[str, Any]]) -> list[dict[str, Any]]:
            body(self.units)
            return customers[:2]

        @tool
        def write_answer(self, country: str, bills: list[dict[str, Any]]) -> str:
            body(self.units)
            return f"{len(bills)} unpaid bills in {country}"

        @graphql
        def _execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
            body(self.units)
            return {"data": {"customers": CUSTOMERS, "bills": CUSTOMERS[:2]}}

    return BillingAgent


def async_agent_class(kit: Kit) -> type[Any]:
    """The same agent with coroutines; its GraphQL calls wait for the loop, as they would for a server."""
    query, tool, graphql = kit

    class AsyncBillingAgent:
        def __init__(self, units: int) -> None:
            self.units = units

        @query
        async def process_query(self, user_input: str) -> str:
            country = await self.find_country(user_input)
            found = await self._execute_graphql(CUSTOMERS_QUERY, {"country": country})
            customers = await self.rank_customers(found["data"]["customers"])
            bills = await self._execute_graphql(BILLS_QUERY, {"ids": [customer["id"] for customer in customers]})
            answer: str = await self.write_answer(country, bills["data"]["bills"])
            return answer

        @tool
        async def find_country(self, text: str) -> str:
            body(self.units)
            return text.rpartition(" ")[2]

        @tool
        async def rank_customers(self, customers: list[dict[str, Any]]) -> list[dict[str, Any]]:
            body(self.units)
            return customers[:2]

        @tool
        async def write_answer(self, country: str, bills: list[dict[str, Any]]) -> str:
            body(self.units)
            return f"{len(bills)} unpaid bills in {country}"

        @graphql
        async def _execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
            begin = clock()
            busy(self.units)
            await asyncio.sleep(0)
            bodies[0] += clock() - begin
            return {"data": {"customers": CUSTOMERS, "bills": CUSTOMERS[:2]}}

    return AsyncBillingAgent


def fresh() -> ModuleType:
    """This module loaded once more, with code of its own."""
    specification = importlib.util.spec_from_file_location("benchmarks.subject_of_its_own", Path(__file__))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def fresh_call(kit: Kit, *, units: int = 0, asynchronous: bool = False) -> Callable[[], Any]:
    """One query of an agent of its own, decorated with `kit`, as a function without arguments."""
    return fresh_agent(kit, units=units, asynchronous=asynchronous)[0]


def fresh_agent(kit: Kit, *, units: int, asynchronous: bool) -> tuple[Callable[[], Any], ModuleType]:
    """The same, and the module that is its own."""
    module = fresh()
    made = module.async_agent_class(kit) if asynchronous else module.agent_class(kit)
    return partial(made(units).process_query, "unpaid bills in India"), module


def undecorated() -> Kit:
    """A kit that leaves functions as they are."""
    return Kit(lambda function: function, lambda function: function, lambda function: function)


def units_for(milliseconds: float) -> int:
    """How many units of work make a query of this much CPU time here and now, its five calls together."""
    spent = sorted(_spent(200) for _ in range(101))[50]
    return max(1, round(milliseconds * 1e6 / (spent / 200) / 5))


def _spent(units: int) -> int:
    begin = time.thread_time_ns()
    busy(units)
    return time.thread_time_ns() - begin
