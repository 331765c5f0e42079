"""A server that repeats what it was asked with, in every way that has been thought of.

Run in a thread by `hostile()`. Request after request takes the next way of `WAYS`; `/models`,
`/version` and `/metrics` repeat the key too. `elsewhere` is another origin: what it hears, a
redirect has carried there.
"""

from __future__ import annotations

import base64
import gzip
import html
import itertools
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Headers = dict[str, str]
REFUSAL = "401, as OpenAI says it"


@dataclass
class Reply:
    """What goes over the wire."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=lambda: {"Content-Type": "application/json"})
    reason: str | None = None


@dataclass(frozen=True)
class Heard:
    """What a request came with: `key` is the bare secret, `sent` every secret header."""

    key: str
    sent: tuple[str, ...]
    streams: bool


Way = Callable[[Heard], Reply]


def _error(status: int, text: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": text}}).encode()
    return Reply(status, body, {"Content-Type": "application/json"} | headers)


def _raw(status: int, body: str | bytes, kind: str = "text/plain") -> Reply:
    data = body.encode() if isinstance(body, str) else body
    return Reply(status, data, {"Content-Type": kind})


def _answer(heard: Heard, text: str, finish: str = "stop", **message: str) -> Reply:
    """A completion, streamed in two pieces where that was asked for."""
    if not heard.streams:
        whole = {"role": "assistant", "content": text} | message
        choice = {"index": 0, "finish_reason": finish, "message": whole}
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "note": heard.key}
        body = {"model": f"m-{heard.key}", "choices": [choice], "usage": usage}
        return _raw(200, json.dumps(body), "application/json")
    half = len(text) // 2
    deltas: list[dict[str, str]] = [{"content": text[:half]} | message, {"content": text[half:]}]
    events: list[dict[str, object]] = [_chunk(heard, delta) for delta in deltas]
    events.append(_chunk(heard, {}, finish))
    return _raw(200, _sse(*events) + b"data: [DONE]\n\n", "text/event-stream")


def _chunk(heard: Heard, delta: object, finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": heard.key, "model": f"m-{heard.key}", "choices": [choice]}


def _sse(*events: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WAYS: dict[str, Way] = {
    REFUSAL: lambda h: _error(401, f"Incorrect API key provided: {h.key}."),
    "its header": lambda h: _error(500, f"Authorization: Bearer {h.key}", **{"X-Echo": h.key}),
    "all headers": lambda h: _error(500, "; ".join(h.sent)),
    "masked in the middle": lambda h: _error(403, f"{h.key[:14]}***{h.key[-4:]}"),
    "its last part": lambda h: _error(500, f"ends in {h.key[-20:]}"),
    "in base64": lambda h: _error(500, f"Basic {_b64(f'user:{h.key}')}"),
    "in base64 alone": lambda h: _raw(500, _b64(h.key)),
    "in hex": lambda h: _raw(500, h.key.encode().hex()),
    "in an address": lambda h: _raw(500, f"GET /?key={urllib.parse.quote(h.key, safe='')}"),
    "in HTML": lambda h: _raw(502, f"<p title='{html.escape(h.key)}'>no</p>", "text/html"),
    "in JSON in JSON": lambda h: _error(500, json.dumps(json.dumps({"key": h.key}))),
    "escaped letter by letter": lambda h: _raw(500, "".join(f"\\u{ord(c):04x}" for c in h.key)),
    "compressed": lambda h: Reply(
        500, gzip.compress(h.key.encode()), {"Content-Encoding": "gzip", "X": h.key}
    ),
    "far into a long text": lambda h: _raw(500, "x " * 140 + h.key + " y" * 4000),
    "with the wait": lambda h: _error(429, f"slow down, {h.key}", **{"Retry-After": h.key}),
    "as the reason": lambda h: Reply(503, b"", {}, reason=h.key),
    "as a header's name": lambda h: Reply(500, b"", {f"X-{h.key[:20]}": "1", "Y": h.key}),
    "as no JSON": lambda h: _raw(200, f"{{{h.key}", "application/json"),
    "as no choices": lambda h: _raw(200, json.dumps({"key": h.key}), "application/json"),
    "as no event": lambda h: _raw(200, f"data: {{{h.key}\n\n", "text/event-stream"),
    "as an event's error": lambda h: _raw(
        200, _sse({"error": {"message": f"no: {h.key}"}}), "text/event-stream"
    ),
    "as no HTTP": lambda h: Reply(-1, f"{h.key} 200 OK\r\n\r\n".encode()),
    "as a header that is none": lambda h: Reply(-1, f"HTTP/1.1 200 OK\r\n{h.key}\r\n\r\n".encode()),
    "a redirect elsewhere": lambda h: Reply(307, b"", {"Location": f"{{elsewhere}}/?k={h.key}"}),
    "another redirect": lambda h: Reply(302, h.key.encode(), {"Location": "{elsewhere}/v1/chat"}),
    "in the answer": lambda h: _answer(h, f"Your key is {h.key}. ANSWER: A"),
    "in its encoding": lambda h: _answer(h, f"It is {_b64(h.key)}. ANSWER: B"),
    "in the reasoning": lambda h: _answer(h, "ANSWER: C", reasoning_content=f"so {h.key} it is"),
    "in thinking": lambda h: _answer(h, f"<think>{h.key}</think>ANSWER: D"),
    "as the reason to end": lambda h: _answer(h, "ANSWER: A", finish=h.key),
    "as a short reason to end": lambda h: _answer(h, "ANSWER: A", finish=h.key[:20]),
}


class Hostile:
    """Where it is, what it heard, and what reached the other origin."""

    def __init__(self, first: str, *, healthy: bool) -> None:
        self.url = self.elsewhere = ""
        self.used: set[str] = set()
        self.carried: list[str] = []  # secret headers that came to the other origin
        self.healthy = healthy  # whether small questions (is it ready?) are answered well
        start = list(WAYS).index(first)
        self._next = itertools.cycle([*WAYS.items()][start:] + [*WAYS.items()][:start])
        self._lock = threading.Lock()

    def reply_to(self, heard: Heard) -> Reply:
        """The next way."""
        with self._lock:
            name, way = next(self._next)
            self.used.add(name)
        return way(heard)


@contextmanager
def hostile(
    secret_headers: tuple[str, ...] = (),
    *,
    first: str = REFUSAL,
    healthy: bool = False,
) -> Iterator[Hostile]:
    """A hostile server, gone when the block is left. `first` is the way it begins with."""
    state = Hostile(first, healthy=healthy)
    with (
        _serving(_handler(state, secret_headers)) as state.url,
        _serving(_sink(state, secret_headers)) as state.elsewhere,
    ):
        yield state


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(state: Hostile, secret_headers: tuple[str, ...]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = self.heard(b"").key
            if self.path.endswith("/models"):
                models = [{"id": f"m-{key}"}] if key else [{"id": "m"}]
                self.reply(_raw(200, json.dumps({"data": models}), "application/json"))
            elif self.path.endswith("/version"):
                self.reply(_raw(200, json.dumps({"version": f"1-{key}"}), "application/json"))
            else:
                self.reply(_raw(200, f"# {key}\nvllm:prefix_cache_hits_total 0\n"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard = self.heard(body)
            small = state.healthy and b'"max_tokens":4,' in body.replace(b" ", b"")
            self.reply(_answer(heard, f"hello {heard.key}") if small else state.reply_to(heard))

        def heard(self, body: bytes) -> Heard:
            names = ("authorization", *secret_headers)
            sent = tuple(f"{n}: {self.headers[n]}" for n in names if self.headers.get(n))
            key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            return Heard(key, sent, b'"stream":true' in body.replace(b" ", b""))

        def reply(self, reply: Reply) -> None:
            if reply.status < 0:
                self.wfile.write(reply.body)
                self.close_connection = True
                return
            self.send_response(reply.status, reply.reason)
            for name, value in reply.headers.items():
                self.send_header(name, value.replace("{elsewhere}", state.elsewhere))
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _sink(state: Hostile, secret_headers: tuple[str, ...]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            for name in ("authorization", *secret_headers):
                if self.headers.get(name):
                    state.carried.append(f"{name}: {self.headers[name]}")
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
