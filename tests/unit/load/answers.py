"""Answers of a server, byte by byte, for tests to cut and to spoil."""

from __future__ import annotations

import json
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]} | more).encode() + b"\n\n"


def usage(tokens: int, **more: Any) -> bytes:
    counts = {"prompt_tokens": 7, "completion_tokens": tokens} | more
    return event({}, choices=[], usage=counts)


DONE = b"data: [DONE]\n\n"
ROLE = event({"role": "assistant", "content": ""})
SAID = [event({"content": text}) for text in (" one", ' "two"', " 三", "\\", " five")]
RECORDED = HEAD + b"".join(
    framed(part) for part in [ROLE, *SAID, event({}, "stop"), usage(6), DONE]
)
RECORDED += END
