"""A service as somebody else would run it: it wants its key, lists its models, limits how often it
is asked, and remembers what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Foreign = list[dict[str, Any]]


@dataclass
class Service:
    """What it is to do, and what it got."""

    url: str = ""
    models: tuple[str, ...] = ("m",)
    key: str | None = None
    gap_s: float = 0.0  # sooner after the last accepted request is 429
    says_when: bool = False  # Retry-After
    foreign: Foreign | None = None  # events of another shape, instead of OpenAI's
    answer: str = "A"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    accepted_at: list[float] = field(default_factory=list)
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0


@contextmanager
def service(**fields: Any) -> Iterator[Service]:
    """A service on loopback until the block is left."""
    state = Service(**fields)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _events(state: Service, path: str) -> Foreign:
    if state.foreign is not None:
        return state.foreign
    if path.endswith("/chat/completions"):
        first: dict[str, Any] = {"delta": {"content": state.answer}, "finish_reason": None}
    else:
        first = {"text": state.answer, "finish_reason": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    last = {"delta": {}, "finish_reason": "stop"}
    return [{"choices": [first]}, {"choices": [last]}, {"choices": [], "usage": usage}]


def _handler(state: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.may_ask():
                self.reply(200, {"data": [{"id": name} for name in state.models]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
            if not self.may_ask():
                return
            with state.lock:
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
                state.bodies.append(body)
                state.paths.append(self.path)
                state.headers.append({k.lower(): v for k, v in self.headers.items()})
            time.sleep(0.01)  # long enough to be seen beside others
            try:
                self.answer(body)
            finally:
                with state.lock:
                    state.at_once -= 1

        def may_ask(self) -> bool:
            if state.key is not None and self.headers["Authorization"] != f"Bearer {state.key}":
                self.refuse(401, "invalid api key")
                return False
            with state.lock:
                now = time.monotonic()
                too_soon = bool(state.accepted_at) and now - state.accepted_at[-1] < state.gap_s
                if not too_soon:
                    state.accepted_at.append(now)
            if too_soon:
                self.refuse(429, "rate limit reached")
            return not too_soon

        def answer(self, body: dict[str, Any]) -> None:
            if body.get("model") not in (*state.models, None):
                self.refuse(404, f"model {body['model']} does not exist")
            elif body.get("stream"):
                events = [json.dumps(event) for event in _events(state, self.path)]
                text = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
                self.reply_bytes(200, text.encode(), "text/event-stream")
            elif state.foreign is not None:
                self.reply(200, state.foreign[0])
            else:
                message = {"role": "assistant", "content": state.answer}
                choice = {"message": message, "text": state.answer, "finish_reason": "stop"}
                usage = {"prompt_tokens": 3, "completion_tokens": 1}
                self.reply(200, {"choices": [choice], "usage": usage})

        def refuse(self, status: int, message: str) -> None:
            state.refused.append(status)
            self.reply(status, {"error": {"message": message}})

        def reply(self, status: int, body: object) -> None:
            self.reply_bytes(status, json.dumps(body).encode(), "application/json")

        def reply_bytes(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            if status == 429 and state.says_when:
                self.send_header("Retry-After", str(state.gap_s))
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
