"""Loading is not failing; what is of our own making is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nightbench.endpoint import Endpoint
from nightbench.engines import remote as remote_engine
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import EndpointError
from nightbench.serving import external_api, probing
from nightbench.serving.patience import Patience, is_loading

COMPLETION = {"choices": [{"message": {"content": "hello"}}]}
LISTED = {"data": [{"id": "m"}]}


@contextmanager
def answering(*posts: tuple[int, Any], lists: tuple[tuple[int, Any], ...] = ()) -> Iterator[str]:
    """A server that gives these answers one after the other, the last of them for ever."""
    answers = {"POST": list(posts), "GET": list(lists or ((200, LISTED),))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            left = answers[self.command]
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.said: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def patience(self, patience_s: float) -> Patience:
        return Patience(
            patience_s, say=self.said.append, clock=lambda: self.now_s, sleep=self.sleep
        )


def connect(url: str, clock: Clock, patience_s: float = 60, model: str | None = "m") -> Endpoint:
    engine = RemoteEngine(kind="remote", base_url=url)
    return external_api.connect(
        engine, model, {}, sleep=clock.sleep, patience=clock.patience(patience_s)
    )


LOADING = [
    (503, {"error": "model is loading"}),
    (502, {}),
    (500, {"error": {"message": "The model is still loading"}}),
    (200, {"choices": []}),
    (200, {"message": "warming up"}),
]


@pytest.mark.parametrize("loading", LOADING, ids=str)
def test_a_model_that_is_loading_is_waited_for_and_what_it_says_is_shown(
    loading: tuple[int, Any],
) -> None:
    clock = Clock()
    with answering(loading, loading, (200, COMPLETION)) as url:
        assert connect(url, clock).model == "m"
    assert len(clock.said) == 2
    assert clock.said[0]


def test_a_server_that_only_comes_up_is_waited_for_and_one_that_does_not_is_told() -> None:
    clock = Clock()
    url = f"http://127.0.0.1:{probing.free_port()}/v1"
    with pytest.raises(EndpointError, match=r"chat/completions.*refused"):
        connect(url, clock)
    assert 60 <= clock.now_s < 66


def test_models_that_are_not_listed_yet_are_waited_for() -> None:
    clock = Clock()
    empty: tuple[int, Any] = (200, {"data": []})
    with answering((200, COMPLETION), lists=(empty, (503, {}), (200, LISTED))) as url:
        assert connect(url, clock, model=None).model == "m"
    assert len(clock.said) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_is_of_our_own_making_ends_it_at_once(status: int) -> None:
    clock = Clock()
    refusal = {"error": {"message": f"no such thing: {status}"}}
    with answering((status, refusal)) as url, pytest.raises(EndpointError):
        connect(url, clock, model="another")
    assert clock.now_s == 0


def test_without_patience_nothing_is_waited_for() -> None:
    clock = Clock()
    with (
        answering((503, {"error": "loading"})) as url,
        pytest.raises(EndpointError, match=r"HTTP 503.*loading"),
    ):
        connect(url, clock, patience_s=0)
    assert clock.now_s == 0


@pytest.mark.parametrize(
    ("status", "failure", "words", "loading"),
    [
        (None, "connect", "", True),
        (None, "cut", "", True),
        (None, "timeout", "", False),
        (503, None, "", True),
        (500, None, "unsupported head size", False),
        (404, None, "model m does not exist", False),
        (404, None, "model m is currently loading", True),
        (400, None, "while loading your JSON: bad", False),
    ],
)
def test_what_a_server_says_before_it_is_ready(
    status: int | None, failure: str | None, words: str, loading: bool
) -> None:
    assert is_loading(status, failure, words) is loading


def test_the_address_of_a_suite_is_used_as_it_is_given() -> None:
    for given, base in (("http://h/api/v3", "http://h/api/v3"), ("http://h:1/", "http://h:1/v1")):
        engine = RemoteEngine(kind="remote", base_url=given)
        assert remote_engine.endpoint(engine, "m", {}).base_url == base
