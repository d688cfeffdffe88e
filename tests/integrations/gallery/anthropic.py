"""An agent that asks a model through Anthropic's client; a server on loopback answers from a card, as theirs would."""

import json
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

import anthropic

from instrument import track_query

CARD = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "small-1",
    "content": [{"type": "text", "text": "Asha and Vikram"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 40, "output_tokens": 6},
}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def api(environ, respond) -> list[bytes]:
    respond("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(CARD).encode()]


@track_query(agent="simple")
def answer(user_input: str, url: str) -> str:
    with anthropic.Anthropic(base_url=url, api_key="none") as client:
        messages = [{"role": "user", "content": user_input}]
        return client.messages.create(model="small-1", max_tokens=99, messages=messages).content[0].text


with make_server("127.0.0.1", 0, api, handler_class=Quiet) as server, ThreadPoolExecutor() as pool:
    pool.submit(server.handle_request)
    print(answer("who are our customers in India?", f"http://127.0.0.1:{server.server_port}"))
