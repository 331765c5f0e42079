"""What a misbehaving server sends, piece by piece: what its answers are made of."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

Sent = bytes | float  # bytes to send, or seconds to wait
Mode = Callable[[], Iterator[Sent]]

BLOCK = b"a" * 65536
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
ERROR = b"HTTP/1.1 500 X\r\nConnection: close\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
NO_END = b"\r\n"  # neither length nor chunks: until the connection closes
GIGABYTE = 1_000_000_000
FOREVER_S = 60.0


def whole(head: bytes, body: bytes) -> bytes:
    """A response with its length."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunk(data: bytes) -> bytes:
    """`data` in the framing of chunked transfer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def completion(text: Any = "B", **more: Any) -> dict[str, Any]:
    """A completion as servers send it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 1}} | more


def replied(body: bytes, head: bytes = JSON) -> Iterator[Sent]:
    """A whole answer of these bytes."""
    return iter([whole(head, body)])


def event(delta: dict[str, Any], **more: Any) -> bytes:
    """An event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]} | more).encode() + b"\n\n"


TOKEN = event({"content": "a"})
STOP = event({}, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
DONE = b"data: [DONE]\n\n"


def streamed(*events: bytes) -> Iterator[Sent]:
    """A token, these events, and a proper end."""
    yield SSE + CHUNKED
    for piece in (TOKEN, *events, STOP, DONE):
        yield chunk(piece)
    yield b"0\r\n\r\n"


def endless(first: bytes, again: bytes) -> Iterator[Sent]:
    """`first`, then the same bytes over and over, 64 KB or so at once."""
    yield first
    yield from itertools.repeat(again * max(1, 65536 // len(again)))


def models() -> bytes:
    """The one model of a server that is well."""
    return whole(JSON, b'{"object":"list","data":[{"id":"m"}]}')
