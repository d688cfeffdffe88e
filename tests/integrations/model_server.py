"""A server on loopback that answers as OpenAI's and Anthropic's do, streams as server-sent events included.

What it answers, the model's name says: `broken` is a server error, `busy` one that goes away after two tries, `rude` a
refusal that no retry helps, `torn` a stream that breaks off, everything else an answer.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
RESPONSE_USAGE = {
    "input_tokens": 12,
    "output_tokens": 5,
    "total_tokens": 17,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 3},
}
MESSAGE_USAGE = {
    "input_tokens": 2,
    "cache_read_input_tokens": 8,
    "cache_creation_input_tokens": 2,
    "output_tokens": 5,
}
TOKENS = (12, 5, 8, 3)
SAID = "Asha lives in India"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tries: dict[str, int]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model, server = body["model"], self.server
        server.asked.append((self.path, model))  # type: ignore[attr-defined]
        server.tries[model] = server.tries.get(model, 0) + 1  # type: ignore[attr-defined]
        if model == "broken" or (model == "busy" and server.tries[model] < 3):  # type: ignore[attr-defined]
            return self._json({"error": {"type": "server_error", "message": "overloaded"}}, 503)
        if model == "rude":
            return self._json({"error": {"type": "invalid_request_error", "message": "no"}}, 400)
        answer = _ANSWERS[self.path.partition("?")[0].removeprefix("/v1")]
        if body.get("stream"):
            return self._events(answer.stream(model, body), torn=model == "torn")
        return self._json(answer.whole(model, body), 200)

    def _json(self, document: Any, status: int) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(content)

    def _events(self, events: list[tuple[str, Any]], torn: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, event in events[: 2 if torn else None]:
            data = event if isinstance(event, str) else json.dumps(event)
            piece = (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        if torn:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that was cancelled is gone
            super().handle()

    def log_message(self, *_: Any) -> None: ...


class _Chat:
    def whole(self, model: str, body: Any) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": SAID}
        if body.get("tools"):
            call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        about = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": f"{model}-2026"}
        return about | {"choices": [choice], "usage": CHAT_USAGE}

    def stream(self, model: str, body: Any) -> list[tuple[str, Any]]:
        about = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": f"{model}-2026"}
        words = [
            about | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]}
            for word in ("Asha lives", " in India")
        ]
        last = [about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        if (body.get("stream_options") or {}).get("include_usage"):
            last.append(about | {"choices": [], "usage": CHAT_USAGE})
        return [("", each) for each in [*words, *last, "[DONE]"]]


class _Responses:
    def whole(self, model: str, body: Any) -> Any:
        content = [{"type": "output_text", "text": SAID, "annotations": []}]
        message = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": content}
        about = {"id": "resp-1", "object": "response", "created_at": 1, "status": "completed", "model": f"{model}-2026"}
        rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "output": [message]}
        return about | rest | {"usage": RESPONSE_USAGE}

    def stream(self, model: str, body: Any) -> list[tuple[str, Any]]:
        whole = self.whole(model, body)
        content = whole["output"][0]["content"][0]
        place = {"item_id": "m1", "output_index": 0, "content_index": 0}
        events = [
            {"type": "response.created", "response": whole | {"usage": None, "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": whole["output"][0] | {"content": []}},
            {"type": "response.content_part.added", **place, "part": content | {"text": ""}},
            {"type": "response.output_text.delta", **place, "delta": SAID, "logprobs": []},
            {"type": "response.completed", "response": whole},
        ]
        return [(event["type"], event | {"sequence_number": number}) for number, event in enumerate(events)]


class _Embeddings:
    def whole(self, model: str, body: Any) -> Any:
        numbers = "AACAPwAAAEA=" if body.get("encoding_format") == "base64" else [1.0, 2.0]
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        data = [{"object": "embedding", "index": 0, "embedding": numbers}]
        return {"object": "list", "model": f"{model}-2026", "data": data, "usage": usage}


class _Messages:
    def whole(self, model: str, body: Any) -> Any:
        content: list[Any] = [{"type": "text", "text": SAID}]
        if body.get("tools"):
            content = [{"type": "tool_use", "id": "t1", "name": "find", "input": {}}]
        about = {"id": "msg_1", "type": "message", "role": "assistant", "model": f"{model}-2026"}
        return about | {"content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": MESSAGE_USAGE}

    def stream(self, model: str, body: Any) -> list[tuple[str, Any]]:
        begun = self.whole(model, body) | {"content": [], "stop_reason": None}
        block = {"type": "text", "text": ""}
        events = [
            {"type": "message_start", "message": begun | {"usage": MESSAGE_USAGE | {"output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
            {"type": "message_stop"},
        ]
        return [(event["type"], event) for event in events]


_ANSWERS: dict[str, Any] = {
    "/chat/completions": _Chat(),
    "/responses": _Responses(),
    "/embeddings": _Embeddings(),
    "/messages": _Messages(),
}


class ModelServer:
    """Where it is, and what it was asked."""

    def __init__(self, server: Any) -> None:
        self.root = f"http://127.0.0.1:{server.server_address[1]}"
        self.url = f"{self.root}/v1"
        self.asked: list[tuple[str, str]] = server.asked


@contextmanager
def serving() -> Iterator[ModelServer]:
    """Serve for the length of a block."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.asked, server.tries = [], {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ModelServer(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
