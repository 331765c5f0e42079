"""What a server replies is read as far as it may be, and unpacked here."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

import httpx2
import pytest

from nightbench.accuracy.bounded_replies import OnResponse, bounded
from nightbench.accuracy.client import Ask, opened_client
from nightbench.accuracy.replies import AskFailed, Reply
from nightbench.suite.models import Generation
from nightbench.untrusted.limits import AnswerLimits
from tests.unit.accuracy.conftest import ChatServer, completion

LIMITS = AnswerLimits(answer_bytes=10_000, error_bytes=1_000)
HELLO = Ask(prompt="hello", generation=Generation())


def ask(chat_server: ChatServer) -> Reply:
    endpoint = replace(chat_server.endpoint, limits=LIMITS)

    async def main() -> Reply:
        async with opened_client(endpoint, max_concurrency=1, timeout_s=30) as send:
            return await send(HELLO)

    return asyncio.run(main())


def answer(chat_server: ChatServer, status: int, content: bytes, **headers: str) -> None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    chat_server.answer = lambda _: (status, content, sent)


def kind_of(chat_server: ChatServer) -> str:
    with pytest.raises(AskFailed) as failed:
        ask(chat_server)
    return failed.value.kind


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)],
)
def test_a_compressed_reply_is_unpacked(
    chat_server: ChatServer, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    answer(chat_server, 200, pack(completion("yes")[1]), content_encoding=encoding)

    assert ask(chat_server).text == "yes"
    assert chat_server.headers[0]["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("text", ["a" * 10_000, "a" * 10_000_000])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_reply_larger_than_it_may_be_is_too_large(
    chat_server: ChatServer, text: str, encoding: str
) -> None:
    content = completion(text)[1]
    packed = gzip.compress(content) if encoding == "gzip" else content
    answer(chat_server, 200, packed, content_encoding=encoding)

    assert kind_of(chat_server) == "too_large"


def test_what_was_not_asked_for_is_a_bad_reply(chat_server: ChatServer) -> None:
    for encoding in ("br", "zstd", "gzip, gzip", "gzip"):
        answer(chat_server, 200, b"\x5b\xff\xff", content_encoding=encoding)
        assert kind_of(chat_server) == "bad_reply"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_a_refusal_keeps_its_kind_however_much_it_says(
    chat_server: ChatServer, encoding: str
) -> None:
    content = gzip.compress(bytes(5_000_000)) if encoding == "gzip" else b"a" * 5_000_000
    answer(chat_server, 503, content, content_encoding=encoding)

    assert kind_of(chat_server) == "server_error"


def test_a_charset_that_unpacks_is_not_used(chat_server: ChatServer) -> None:
    """Python has zlib among its encodings, which knows no limit."""
    answer(chat_server, 500, zlib.compress(b"x" * 900), content_type="text/plain; charset=zlib")

    with pytest.raises(AskFailed) as failed:
        ask(chat_server)

    assert failed.value.kind == "server_error"
    assert "xxx" not in failed.value.message


def test_all_replies_together_have_a_limit_too_and_one_that_is_read_makes_room() -> None:
    on_response = bounded(LIMITS, free_bytes=0)  # so two of the largest

    async def main() -> None:
        begun = [await response_of([b"a" * 9_000], on_response) for _ in range(3)]
        bodies = [response.aiter_raw() for response in begun]
        assert [len(await anext(body)) for body in bodies[:2]] == [9_000, 9_000]
        with pytest.raises(AskFailed, match="all replies together exceed") as failed:
            await anext(bodies[2])
        assert failed.value.kind == "too_large"
        for response in begun:
            await response.aclose()
        another = await response_of([b"a" * 9_000], on_response)
        assert len(await another.aread()) == 9_000

    asyncio.run(main())


class _Parts(httpx2.AsyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


async def response_of(parts: Iterable[bytes], on_response: OnResponse) -> httpx2.Response:
    response = httpx2.Response(200, stream=_Parts(parts))
    await on_response(response)
    return response


def test_a_failure_that_is_kept_holds_nothing_of_what_was_read(chat_server: ChatServer) -> None:
    answer(chat_server, 200, b"a" * 20_000)
    try:
        ask(chat_server)
    except AskFailed as error:
        kept = error.bare()

    assert (kept.__traceback__, kept.__context__, kept.__cause__) == (None, None, None)
