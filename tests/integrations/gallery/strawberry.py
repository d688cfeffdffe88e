"""An agent that answers from a Strawberry schema in its own process."""

import asyncio

import strawberry

from instrument import track_query


@strawberry.type
class Bill:
    number: str
    paid: bool


@strawberry.type
class Query:
    @strawberry.field
    async def bills(self, country: str) -> list[Bill]:
        return [Bill(number=f"{country[:2].upper()}-{number}", paid=number % 2 == 0) for number in range(4)]


SCHEMA = strawberry.Schema(Query)
BILLS = "query Bills($country: String!) { bills(country: $country) { number paid } }"


@track_query(agent="simple")
async def answer(user_input: str) -> str:
    found = await SCHEMA.execute(BILLS, {"country": user_input.rpartition(" ")[2]})
    return ", ".join(bill["number"] for bill in found.data["bills"] if not bill["paid"])


print(asyncio.run(answer("unpaid bills in India")))
