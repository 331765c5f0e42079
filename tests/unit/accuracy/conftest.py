from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nightbench.endpoint import Endpoint

Answer = Callable[[dict[str, Any]], tuple[int, bytes, dict[str, str]]]


class ChatServer:
    """A real HTTP server on loopback; `answer` decides what each request gets."""

    def __init__(self) -> None:
        self.answer: Answer = lambda body: completion("yes")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(body)
                outer.paths.append(self.path)
                outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                try:
                    status, content, headers = outer.answer(body)
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True  # the client has gone: that is its right

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.endpoint = Endpoint(
            base_url=f"http://127.0.0.1:{self.http.server_port}/v1",
            model="m",
            api_key="secret-key",
            headers=(("x-team", "nights"),),
        )


def completion(text: str | None, **message: Any) -> tuple[int, bytes, dict[str, str]]:
    """A chat completion as vLLM writes one."""
    payload = {
        "id": "1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text} | message,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    return 200, json.dumps(payload).encode(), {}


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()
