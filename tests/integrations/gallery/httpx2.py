"""An agent that posts GraphQL with httpx2, two requests at once; a server on loopback reads from a card."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2

from instrument import track_query

CARD = b'{"data": {"customers": ["Asha", "Vikram"]}}'
CUSTOMERS = "query Customers($country: String!) { customers(country: $country) }"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def api(environ, respond) -> list[bytes]:
    respond("200 OK", [("Content-Type", "application/json")])
    return [CARD]


async def customers_of(client: httpx2.AsyncClient, country: str) -> list[str]:
    answer = await client.post("/graphql", json={"query": CUSTOMERS, "variables": {"country": country}})
    return answer.raise_for_status().json()["data"]["customers"]


@track_query(agent="simple")
async def answer(user_input: str, url: str) -> str:
    async with httpx2.AsyncClient(base_url=url) as client:
        found = await asyncio.gather(*(customers_of(client, country) for country in ("India", "Kenya")))
    return ", ".join(found[0] + found[1])


with make_server("127.0.0.1", 0, api, handler_class=Quiet) as server, ThreadPoolExecutor() as pool:
    pool.submit(server.handle_request)
    pool.submit(server.handle_request)
    print(asyncio.run(answer("customers in India and Kenya", f"http://127.0.0.1:{server.server_port}")))
