"""Addresses that sign a browser in, once."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import httpx
import pytest

from nightbench.web.guard import App, Receive, Scope, Send
from nightbench.web.sign_in import FOR_PREFECT, LASTS_S, PATH, Tokens, with_sign_in

AUTH = "night:owl"


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sign-in"


async def prefects(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"Prefect"})


def ask(app: App, method: str, path: str, body: bytes = b"") -> httpx.Response:
    async def asking() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(asking())


def test_a_token_is_worth_the_password_once(folder: Path) -> None:
    app = with_sign_in(prefects, Tokens(folder), AUTH, FOR_PREFECT)
    token = Tokens(folder).make()  # by another process
    taken = ask(app, "POST", PATH, token.encode())
    assert base64.b64decode(taken.text).decode() == AUTH
    assert taken.headers["cache-control"] == "no-store"
    again = ask(app, "POST", PATH, token.encode())
    assert again.status_code == 403
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"x", b"../password", b"/etc/passwd", b"\xff", b"x" * 10**6])
def test_what_was_not_given_out_is_worth_nothing(folder: Path, body: bytes) -> None:
    Tokens(folder).make()
    app = with_sign_in(prefects, Tokens(folder), AUTH, FOR_PREFECT)
    answer = ask(app, "POST", PATH, body)
    assert answer.status_code == 403
    assert AUTH not in answer.text
    assert len(list(folder.iterdir())) == 1


def test_a_token_lasts_a_day_by_a_clock_that_may_be_set_back(folder: Path) -> None:
    clock = Clock()
    tokens = Tokens(folder, clock)
    kept, old, ahead = tokens.make(), tokens.make(), tokens.make()
    clock.now += LASTS_S - 1
    assert tokens.take(kept)
    clock.now += 1
    assert not tokens.take(old)
    clock.now -= 2 * LASTS_S
    assert not tokens.take(ahead)
    soon = tokens.make()
    clock.now -= 5
    assert tokens.take(soon)


def test_the_tokens_of_the_server_before_are_worth_nothing(folder: Path) -> None:
    tokens = Tokens(folder)
    token = tokens.make()
    tokens.forget()
    assert not tokens.take(token)


def test_a_token_is_not_written_down_and_nobody_else_may_look(folder: Path) -> None:
    token = Tokens(folder).make()
    [file] = folder.iterdir()
    assert token not in file.name + file.read_text(encoding="ascii")
    assert folder.stat().st_mode & 0o077 == 0
    assert file.stat().st_mode & 0o077 == 0


def test_a_page_takes_the_token_out_of_the_address_and_the_rest_is_prefects(folder: Path) -> None:
    app = with_sign_in(prefects, Tokens(folder), AUTH, FOR_PREFECT)
    page = ask(app, "GET", PATH).text
    assert page.index("history.replaceState") < page.index("fetch(")
    assert "prefect-password" in page
    assert AUTH not in page
    assert ask(app, "GET", "/v2/").text == "Prefect"
    assert ask(app, "POST", "/api/flow_runs/filter").text == "Prefect"
