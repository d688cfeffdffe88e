"""An agent that posts GraphQL with requests; a server on loopback reads its answer from a card."""

from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

import requests

from instrument import track_query

CARD = b'{"data": {"customers": ["Asha", "Vikram"]}}'
CUSTOMERS = "query Customers($country: String!) { customers(country: $country) }"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def api(environ, respond) -> list[bytes]:
    respond("200 OK", [("Content-Type", "application/json")])
    return [CARD]


@track_query(agent="simple")
def answer(user_input: str, url: str) -> str:
    variables = {"country": user_input.rpartition(" ")[2]}
    found = requests.post(url, json={"query": CUSTOMERS, "variables": variables}, timeout=10).json()
    return ", ".join(found["data"]["customers"])


with make_server("127.0.0.1", 0, api, handler_class=Quiet) as server, ThreadPoolExecutor() as pool:
    pool.submit(server.handle_request)
    print(answer("customers in India", f"http://127.0.0.1:{server.server_port}/graphql"))
