"""A small schema with everything that can go well or wrong, for the tests' own process and for the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import strawberry
from strawberry.schema.config import StrawberryConfig


@strawberry.type
class Customer:
    id: int
    name: str


@strawberry.type
class Query:
    @strawberry.field
    def customers(self, first: int = 2) -> list[Customer]:
        return [Customer(id=number, name=f"c{number}") for number in range(first)]

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("the books are closed")

    @strawberry.field
    async def slow(self, seconds: float = 30) -> str:
        await asyncio.sleep(seconds)
        return "at last"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def pay(self, bill: int) -> int:
        return bill


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int = 3) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def failing(self) -> AsyncGenerator[int, None]:
        yield 0
        raise ValueError("no more")


schema = strawberry.Schema(
    Query, Mutation, Subscription, config=StrawberryConfig(batching_config={"max_operations": 10})
)

CUSTOMERS = "query Customers { customers { id } }"
CUSTOMERS_DATA = {"customers": [{"id": 0}, {"id": 1}]}
PAY = "mutation Pay { pay(bill: 7) }"
PARTIAL = "query Partial { customers { id } broken }"
INVALID = "query Invalid { nothing }"
SLOW = "query Slow { slow }"
COUNT = "subscription Count { count }"
FAILING = "subscription Failing { failing }"
