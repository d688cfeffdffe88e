"""An agent that asks a model through OpenAI's client; a server on loopback answers from a card, as OpenAI would."""

import json
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

import openai

from instrument import track_query

CARD = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Asha and Vikram"}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 40, "completion_tokens": 6, "total_tokens": 46},
}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def api(environ, respond) -> list[bytes]:
    respond("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(CARD).encode()]


@track_query(agent="simple")
def answer(user_input: str, url: str) -> str:
    with openai.OpenAI(base_url=url, api_key="none") as client:
        messages = [{"role": "user", "content": user_input}]
        return client.chat.completions.create(model="small-1", messages=messages).choices[0].message.content


with make_server("127.0.0.1", 0, api, handler_class=Quiet) as server, ThreadPoolExecutor() as pool:
    pool.submit(server.handle_request)
    print(answer("who are our customers in India?", f"http://127.0.0.1:{server.server_port}/v1"))
