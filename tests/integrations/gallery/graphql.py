"""An agent that runs GraphQL operations itself, with graphql-core, on a schema of its own."""

from graphql import build_schema, graphql_sync

from instrument import track_query

SCHEMA = build_schema("type Query { customers(country: String!): [String!]! }")
ROOT = {"customers": lambda info, country: {"India": ["Asha", "Vikram"]}.get(country, [])}
CUSTOMERS = "query Customers($country: String!) { customers(country: $country) }"


@track_query(agent="simple")
def answer(user_input: str) -> str:
    country = user_input.rpartition(" ")[2]
    found = graphql_sync(SCHEMA, CUSTOMERS, ROOT, variable_values={"country": country})
    return ", ".join(found.data["customers"])


print(answer("customers in India"))
