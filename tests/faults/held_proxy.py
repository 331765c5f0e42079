"""Stands before a real engine: keeps what it was asked, and holds questions back when told to."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nightbench.endpoint import Endpoint

WITHIN_S = 120.0  # what the engine is given for an answer
Body = dict[str, Any]


class HeldProxy(ThreadingHTTPServer):
    """What is held back never reaches the engine: who asked it was ended meanwhile.

    A setting is known by its max_tokens; of what is none of `settings` (checks that the server
    answers) nothing is kept.
    """

    daemon_threads = True

    def __init__(self, engine: Endpoint, settings: frozenset[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        self.settings = settings
        self.asked: list[Body] = []  # by the engine, as it came in
        self._lock = threading.Lock()
        self._let_go = threading.Event()
        self._left: tuple[int, int] | None = None  # of a setting, that many questions

    @property
    def base_url(self) -> str:
        """Where the engine's API is for who is to come by here."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def hold_after(self, setting: int, questions: int) -> None:
        """Answer that many questions of a setting, and hold what comes after them."""
        with self._lock:
            self._let_go = threading.Event()
            self._left = setting, questions

    def let_go(self) -> None:
        """Forget what is held; what comes from now on is answered."""
        with self._lock:
            self._left = None
            self._let_go.set()

    def may_pass(self, body: Body) -> bool:
        """Whether a request goes on to the engine. Returns only when that is known."""
        if body.get("max_tokens") not in self.settings:
            return True
        with self._lock:
            if self._left is None or self._takes_one(body):
                self.asked.append(body)
                return True
            held = self._let_go
        held.wait()
        return False

    def _takes_one(self, body: Body) -> bool:
        assert self._left is not None
        setting, left = self._left
        if body["max_tokens"] != setting:
            return left > 0  # one that comes before it
        self._left = setting, max(0, left - 1)
        return left > 0


class _Handler(BaseHTTPRequestHandler):
    server: HeldProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.may_pass(json.loads(content)):
            self._pass_on(content)
        else:
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...

    def _pass_on(self, content: bytes | None) -> None:
        engine = self.server.engine
        url = f"{engine.base_url.removesuffix('/v1')}{self.path}"
        headers = {**engine.request_headers(), "Content-Type": "application/json"}
        request = urllib.request.Request(url, content, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:  # noqa: S310
                self._answer(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.headers["Content-Type"], error.read())

    def _answer(self, status: int, kind: str | None, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:  # who asked is gone
            self.close_connection = True


@contextmanager
def held_proxy(engine: Endpoint, settings: frozenset[int]) -> Iterator[HeldProxy]:
    """One that listens until the block is left."""
    with HeldProxy(engine, settings) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.let_go()
            proxy.shutdown()
            thread.join()
