"""Apps of others behind our door."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest

from nightbench.web.guard import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    own_origin_only,
    says,
    with_password,
)
from nightbench.web.own_origin import OwnNames

OWN = OwnNames.of(["127.0.0.1"])
URL = "http://127.0.0.1:4200"
AUTH = "night:owl"


async def generous(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that lets everybody do everything, as Prefect's does."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    allowed = [(b"Access-Control-Allow-Origin", b"*"), (b"x-frame-options", b"ALLOWALL")]
    await send({"type": "http.response.start", "status": 200, "headers": allowed})
    await send({"type": "http.response.body", "body": b"everything"})


def ask(app: App, method: str = "GET", **headers: str) -> httpx.Response:
    async def asking() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            return await client.request(method, "/x", headers=headers)

    return asyncio.run(asking())


def connect(app: App, **headers: str) -> str:
    """The first thing that is said of a websocket."""
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    given = {"host": "127.0.0.1:4200"} | headers
    scope = {
        "type": "websocket",
        "path": "/api/events/out",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return str(said[0]["type"])


def test_what_the_app_allows_other_origins_is_taken_out_of_its_answers() -> None:
    answer = ask(own_origin_only(generous, OWN), Origin=URL)
    assert answer.text == "everything"
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_another_origin_reaches_nothing_and_may_read_nothing(method: str) -> None:
    answer = ask(own_origin_only(generous, OWN), method, Origin="http://elsewhere.example")
    assert answer.status_code == 403
    assert "everything" not in answer.text
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_another_name_reaches_nothing() -> None:
    answer = ask(own_origin_only(generous, OWN), Host="elsewhere.example:4200")
    assert answer.status_code == 403
    assert "add the name with --allowed-host" in answer.text


def test_a_websocket_of_another_origin_is_closed_before_it_is_open() -> None:
    app = own_origin_only(generous, OWN)
    assert connect(app) == "websocket.accept"
    assert connect(app, origin=URL) == "websocket.accept"
    assert connect(app, origin="http://elsewhere.example") == "websocket.close"
    assert connect(app, host="elsewhere.example") == "websocket.close"
    assert connect(with_password(generous, AUTH)) == "websocket.close"


def basic(auth: str) -> str:
    return f"Basic {base64.b64encode(auth.encode()).decode()}"


def test_a_password_is_asked_for_before_anything_is_said() -> None:
    app = with_password(generous, AUTH)
    refused = ask(app)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic realm=")
    assert "everything" not in refused.text
    assert ask(app, Authorization=basic(AUTH)).text == "everything"


@pytest.mark.parametrize(
    "word",
    [
        basic("night:ow"),
        basic("night:owl2"),
        basic("night"),
        basic(""),
        basic("nächt:owl"),
        basic(AUTH).replace("Basic", "Bearer"),
        basic(AUTH)[len("Basic ") :],
        "Basic",
        "Basic !!!",
        AUTH,
    ],
)
def test_another_word_is_none(word: str) -> None:
    assert not says([(b"authorization", word.encode())], AUTH)


def test_two_words_are_none() -> None:
    word = (b"authorization", basic(AUTH).encode())
    assert says([word], AUTH)
    assert not says([word, word], AUTH)
