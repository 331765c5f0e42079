from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import pytest

from nightbench.accuracy.client import Ask, opened_client
from nightbench.accuracy.replies import AskFailed, Reply, parse_reply, split_thinking
from nightbench.endpoint import Endpoint
from nightbench.suite.models import Generation
from tests.unit.accuracy.conftest import ChatServer, completion


def ask(endpoint: Endpoint, question: Ask, timeout_s: float = 10.0) -> Reply:
    async def main() -> Reply:
        async with opened_client(endpoint, max_concurrency=2, timeout_s=timeout_s) as send:
            return await send(question)

    return asyncio.run(main())


HELLO = Ask(prompt="hello", generation=Generation())


def test_what_the_suite_says_is_what_is_sent_and_nothing_else(chat_server: ChatServer) -> None:
    generation = Generation(
        temperature=0,
        max_tokens=32,
        top_k=5,
        chat_template_kwargs={"enable_thinking": False},
        extra_body={"guided": 1},
    )

    reply = ask(
        chat_server.endpoint, Ask(prompt="你好", generation=generation, system_prompt="short")
    )

    assert chat_server.requests == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "short"},
                {"role": "user", "content": "你好"},
            ],
            "temperature": 0,
            "max_tokens": 32,
            "top_k": 5,
            "chat_template_kwargs": {"enable_thinking": False},
            "guided": 1,
        }
    ]
    assert reply == Reply(text="yes", finish_reason="stop", prompt_tokens=7, completion_tokens=3)


def test_a_completion_is_asked_for_the_prompt_as_it_stands(chat_server: ChatServer) -> None:
    payload = {"choices": [{"index": 0, "text": " Paris.", "finish_reason": "length"}]}
    chat_server.answer = lambda _: (200, json.dumps(payload).encode(), {})

    question = Ask(
        prompt="The capital of France is", generation=Generation(max_tokens=2), api="completions"
    )
    reply = ask(chat_server.endpoint, question)

    assert chat_server.paths == ["/v1/completions"]
    assert chat_server.requests == [
        {"model": "m", "prompt": "The capital of France is", "max_tokens": 2}
    ]
    assert reply == Reply(text=" Paris.", finish_reason="length")


def test_the_key_and_the_headers_go_along(chat_server: ChatServer) -> None:
    ask(chat_server.endpoint, HELLO)

    assert chat_server.headers[0]["authorization"] == "Bearer secret-key"
    assert chat_server.headers[0]["x-team"] == "nights"


def test_a_proxy_in_the_environment_is_for_the_world_and_not_for_this_machine(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", chat_server.endpoint.root_url)
    world = Endpoint(base_url="http://api.example/v1", model="m", api_key="secret-key")

    ask(world, HELLO)
    ask(chat_server.endpoint, HELLO)

    assert chat_server.paths == ["http://api.example/v1/chat/completions", "/v1/chat/completions"]
    assert chat_server.headers[0]["authorization"] == "Bearer secret-key"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "not_found"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_a_status_has_its_kind_and_the_servers_words(
    chat_server: ChatServer, status: int, kind: str
) -> None:
    body = json.dumps({"error": {"message": "words \x1b[31m of the server"}}).encode()
    chat_server.answer = lambda _: (status, body, {"retry-after": "2.5"})

    with pytest.raises(AskFailed, match="of the server") as failed:
        ask(chat_server.endpoint, HELLO)

    assert (failed.value.kind, failed.value.status) == (kind, status)
    assert failed.value.retry_after_s == 2.5
    assert "\x1b" not in failed.value.message
    assert len(chat_server.requests) == 1


def test_a_reply_that_does_not_come_is_a_timeout(chat_server: ChatServer) -> None:
    enough = threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        enough.wait(10)
        return completion("late")

    chat_server.answer = answer
    with pytest.raises(AskFailed) as failed:
        ask(chat_server.endpoint, HELLO, timeout_s=0.2)
    enough.set()

    assert failed.value.kind == "timeout"


def test_a_connection_that_ends_without_a_reply_is_cut(chat_server: ChatServer) -> None:
    def answer(_: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        raise ConnectionAbortedError

    chat_server.answer = answer
    with pytest.raises(AskFailed) as failed:
        ask(chat_server.endpoint, HELLO)

    assert failed.value.kind == "cut"


@pytest.mark.parametrize("said", [b"!!! no HTTP !!!\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_what_is_not_http_is_cut(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        with pytest.raises(AskFailed) as failed:
            ask(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m"), HELLO)
        thread.join()

    assert failed.value.kind == "cut"


def test_nobody_there_is_a_failure_to_connect() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        port = taken.getsockname()[1]
        with pytest.raises(AskFailed) as failed:
            ask(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m"), HELLO)

    assert failed.value.kind == "connect"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b"[" * 200_000,
        b'{"choices": [{"message": {"content": "\xff',
    ],
)
def test_what_is_not_a_completion_is_a_bad_reply(content: bytes) -> None:
    with pytest.raises(AskFailed) as failed:
        parse_reply(content)

    assert failed.value.kind == "bad_reply"


def test_odd_members_of_a_completion_are_no_trouble() -> None:
    _, content, _ = completion(None, tool_calls=[], reasoning_content=3)
    odd = json.loads(content) | {"usage": None}

    assert parse_reply(json.dumps(odd).encode()) == Reply(text="", finish_reason="stop")


def test_invalid_utf8_in_a_reply_is_replaced() -> None:
    content = b'{"choices": [{"message": {"content": "a\xffb"}}]}'

    assert parse_reply(content).text == "a\ufffdb"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_its_own_field_is_kept_apart(field: str) -> None:
    _, content, _ = completion("B", **{field: "let me see"})

    assert parse_reply(content).reasoning == "let me see"
    assert parse_reply(content).text == "B"


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("<think>hm A?</think>\n\nB", "B", "hm A?"),
        ("hm A?</think>B", "B", "hm A?"),
        ("<think>hm", "", "hm"),
        ("B", "B", None),
        ("", "", None),
    ],
)
def test_a_think_block_in_the_content_is_kept_apart(
    text: str, answer: str, thought: str | None
) -> None:
    assert split_thinking(text) == (answer, thought)
