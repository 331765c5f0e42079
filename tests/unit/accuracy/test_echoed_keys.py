"""A key that a server repeats reaches no sample and no error; and it goes to nobody else."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

import pytest

from nightbench.accuracy.replies import AskFailed
from nightbench.endpoint import Endpoint
from nightbench.secrets.redaction import Redactor
from tests.security.hostile import WAYS, hostile
from tests.unit.accuracy.conftest import ChatServer, completion
from tests.unit.accuracy.test_client import HELLO, ask

KEY = "sk-Canary9fQ2xZ7mLp4vT8wRb6nK3"


@pytest.fixture
def keyed(chat_server: ChatServer) -> ChatServer:
    chat_server.endpoint = Endpoint(
        base_url=chat_server.endpoint.base_url, model="m", api_key=KEY, redact=Redactor()
    )
    return chat_server


def tells_of_it(text: str) -> bool:
    return any(KEY[at : at + 12] in text for at in range(len(KEY) - 11))


@pytest.mark.parametrize("way", WAYS)
def test_however_a_server_repeats_the_key_nothing_of_it_is_told(way: str) -> None:
    with hostile(first=way) as server:
        endpoint = Endpoint(base_url=f"{server.url}/v1", model="m", api_key=KEY)
        try:
            told = json.dumps(asdict(ask(endpoint, HELLO)))
        except AskFailed as failure:
            told = failure.message
    assert not tells_of_it(told)
    assert base64.b64encode(KEY.encode()).decode()[:24] not in told
    assert server.carried == []


def test_a_reply_is_kept_but_for_the_key(keyed: ChatServer) -> None:
    keyed.answer = lambda _: completion(f"It is {KEY}, so B.", reasoning_content=f"{KEY}?")
    reply = ask(keyed.endpoint, HELLO)
    assert (reply.text, reply.reasoning) == ("It is ***, so B.", "***?")


def test_a_secret_header_is_taken_out_too(chat_server: ChatServer) -> None:
    endpoint = Endpoint(
        base_url=chat_server.endpoint.base_url,
        model="m",
        headers=(("X-Gateway-Token", "gate-7Q7Q7Q7Q"), ("X-Team", "nights-of-2026")),
    )
    body = json.dumps({"error": {"message": "gate-7Q7Q7Q7Q of nights-of-2026"}}).encode()
    chat_server.answer = lambda _: (403, body, {})
    with pytest.raises(AskFailed, match=r"HTTP 403: \*\*\* of nights-of-2026"):
        ask(endpoint, HELLO)


def test_a_key_is_found_before_a_long_error_is_cut(keyed: ChatServer) -> None:
    """Cut first, the first half of the key would be left."""
    text = "x" * 280 + KEY
    keyed.answer = lambda _: (500, text.encode(), {})
    with pytest.raises(AskFailed) as failed:
        ask(keyed.endpoint, HELLO)
    assert "sk-" not in failed.value.message


def test_a_redirect_is_said_and_not_followed() -> None:
    with hostile(("x-gateway-token",), first="a redirect elsewhere") as server:
        endpoint = Endpoint(
            base_url=f"{server.url}/v1",
            model="m",
            api_key=KEY,
            headers=(("X-Gateway-Token", "gate-7Q7Q7Q7Q"),),
        )
        with pytest.raises(AskFailed, match=r"redirect to .*, not followed") as failed:
            ask(endpoint, HELLO)
    assert failed.value.kind == "bad_request"
    assert server.carried == []


def test_what_the_environment_holds_for_openai_goes_to_nobody_else(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-canary")
    monkeypatch.setenv("OPENAI_API_KEY", "key-canary")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: canary\nauthorization: Bearer canary")
    ask(chat_server.endpoint, HELLO)
    ask(Endpoint(base_url=chat_server.endpoint.base_url, model="m"), HELLO)
    assert "canary" not in str(chat_server.headers)
    sent: list[Any] = [headers["authorization"] for headers in chat_server.headers]
    assert sent == ["Bearer secret-key", "Bearer none"]
