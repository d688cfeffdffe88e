"""An agent that asks a GraphQL API through gql; the schema is at hand, so that it runs offline."""

import asyncio

from gql import Client, GraphQLRequest
from graphql import build_schema

from instrument import track_query

BILLS = {"India": ["B-17", "B-22"]}
SCHEMA = build_schema("type Query { unpaidBills(country: String!): [String!]! }")
UNPAID = "query UnpaidBills($country: String!) { unpaidBills(country: $country) }"


@track_query(agent="simple")
async def answer(user_input: str) -> str:
    async with Client(schema=SCHEMA) as session:
        request = GraphQLRequest(UNPAID, variable_values={"country": user_input.rpartition(" ")[2]})
        found = await session.execute(request, root_value={"unpaidBills": lambda info, country: BILLS[country]})
    return f"{', '.join(found['unpaidBills'])} are unpaid"


print(asyncio.run(answer("unpaid bills in India")))
